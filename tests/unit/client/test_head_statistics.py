"""Sums over lessons: merged they are what one place would have, and what is taken out was never there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ModelInvalid
from upriver.head_statistics import (
    HARD_SHARE,
    HeadStatistics,
    merged,
    nothing,
    read_statistics,
    shares_of,
    target_of,
    write_statistics,
)

LABELS = ("a", "b", "c")


def lessons(seed: int, count: int, width: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(0, 1, width).astype(np.float16), rng.dirichlet(np.ones(3))) for _ in range(count)]


def learnt(some: list[tuple[np.ndarray, np.ndarray]], labels: tuple[str, ...] = LABELS) -> HeadStatistics:
    found = nothing(5, labels)
    for embedding, target in some:
        found.add(embedding, target)
    return found


def same(one: HeadStatistics, other: HeadStatistics) -> bool:
    other = other.widened(one.labels)
    columns = [other.labels.index(label) for label in one.labels]
    close = np.allclose(one.outer, other.outer, rtol=0, atol=1e-9)
    return close and np.allclose(one.toward, other.toward[:, columns], rtol=0, atol=1e-9)


@given(st.integers(0, 99), st.lists(st.integers(0, 3), min_size=2, max_size=30), st.permutations(range(4)))
def test_sums_of_places_are_those_of_one_place(seed: int, places: list[int], order: list[int]) -> None:
    some = lessons(seed, len(places))
    parts = [learnt([one for one, where in zip(some, places, strict=True) if where == place]) for place in range(4)]
    assert same(merged([parts[place] for place in order]), learnt(some))


@given(st.integers(0, 99), st.sets(st.integers(0, 19)))
def test_what_is_taken_out_was_never_there(seed: int, forgotten: set[int]) -> None:
    some = lessons(seed, 20)
    found = learnt(some)
    for number in forgotten:
        found.add(*some[number], weight=-1.0)
    assert same(found, learnt([one for number, one in enumerate(some) if number not in forgotten]))


def test_labels_that_only_one_place_knows_get_a_column() -> None:
    one, other = learnt(lessons(1, 4), ("a", "b", "c")), learnt(lessons(2, 4), ("c", "d", "a"))
    both = merged([one, other])
    assert both.labels == ("a", "b", "c", "d")
    assert np.allclose(both.toward[:, 2], one.toward[:, 2] + other.toward[:, 0])
    assert np.allclose(both.toward[:, 3], other.toward[:, 1])
    assert both.lessons == 8


def test_places_with_other_embeddings_are_not_merged() -> None:
    with pytest.raises(ValueError, match="expected 5"):
        merged([nothing(5), nothing(6)])
    with pytest.raises(ValueError, match="nothing to merge"):
        merged([])


def test_what_fades_counts_less() -> None:
    found = learnt(lessons(1, 10))
    found.fade(0.5)
    assert found.lessons == 5
    assert same(found, merged([learnt(lessons(1, 10))])) is False


@given(
    st.sampled_from(LABELS),
    st.dictionaries(st.sampled_from(["a", "b", "c", "unknown"]), st.floats(-0.5, 2), max_size=4),
    st.sets(st.sampled_from(LABELS)),
)
def test_a_target_is_a_distribution_with_its_label_ahead(label: str, teacher: dict[str, float], own: set[str]) -> None:
    target = target_of(LABELS, shares_of(label, teacher, own))
    assert target.sum() == pytest.approx(1.0)
    assert (target >= -1e-12).all()
    assert target[LABELS.index(label)] >= HARD_SHARE - 1e-12


def test_a_target_is_mostly_its_label_and_partly_what_the_teacher_says() -> None:
    found = target_of(LABELS, shares_of("a", {"a": 0.5, "b": 0.3, "c": 0.2}, LABELS))
    assert found == pytest.approx([0.85, 0.09, 0.06])


def test_a_teacher_speaks_in_passing_of_the_versions_own_labels_only() -> None:
    told = {"new": 0.5, "b": 0.3, "stranger": 0.19, "c": 0.001}
    assert shares_of("new", told, LABELS) == pytest.approx({"new": 0.91, "b": 0.09})
    assert shares_of("new", told, ()) == {"new": 1.0}


@given(st.integers(0, 99), st.integers(0, 9))
def test_sums_come_back_as_they_were_written(seed: int, count: int) -> None:
    found = learnt(lessons(seed, count))
    again = read_statistics(write_statistics(found))
    assert again.labels == found.labels
    assert np.array_equal(again.outer, found.outer)
    assert np.array_equal(again.toward, found.toward)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"outer": np.zeros(5)}, "triangle"),
        ({"outer": np.zeros((3, 3))}, "triangle"),
        ({"outer": np.full(21, np.nan)}, "finite"),
        ({"toward": np.zeros((6, 2))}, "toward"),
        ({"labels": np.array(["a", "a", "b"])}, "each once"),
        ({"outer": np.zeros(21, "S3")}, "arrays"),
    ],
)
def test_arrays_that_are_no_sums_are_refused(change: dict[str, object], told: str) -> None:
    arrays = {**write_statistics(learnt(lessons(1, 3))), **change}
    with pytest.raises(ModelInvalid, match=told):
        read_statistics(arrays)
