"""The sums over lessons are those of the lessons that are there, in whatever order they came and went."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.head_fit import fit
from upriver.head_statistics import HeadStatistics, merged
from upriver_agent.learning.sums import LessonSums, narrowed

OWN = ("a", "b")
WIDTH = 3


def lesson(number: int) -> tuple[np.ndarray, str, dict[str, float]]:
    rng = np.random.default_rng(number)
    label = ("a", "b", "new", "rare")[int(rng.integers(4))]
    return rng.normal(size=WIDTH).astype(np.float16), label, {label: 0.6, "b": 0.25, "other": 0.1, "dust": 0.001}


def sums_of(numbers: list[int], memory: float = 0.0) -> LessonSums:
    sums = LessonSums(WIDTH, OWN, memory)
    for number in numbers:
        assert sums.add(number, *lesson(number))
    return sums


def same(one: HeadStatistics, other: HeadStatistics) -> bool:
    labels = tuple(sorted({*one.labels, *other.labels}))
    mine, theirs = narrowed(one, labels), narrowed(other, labels)
    return bool(np.abs(mine.outer - theirs.outer).max() < 1e-9 and np.abs(mine.toward - theirs.toward).max() < 1e-9)


@given(st.lists(st.integers(1, 60), unique=True, max_size=25), st.data(), st.sampled_from([0.0, 7.0, 50.0]))
@settings(max_examples=80, deadline=None)
def test_what_is_taken_out_was_never_there_whatever_the_order(
    numbers: list[int], data: st.DataObject, memory: float
) -> None:
    gone = data.draw(st.lists(st.sampled_from(numbers), unique=True)) if numbers else []
    sums = sums_of(data.draw(st.permutations(numbers)), memory)
    for number in gone:
        assert sums.remove(number, *lesson(number))
    kept = sorted(set(numbers) - set(gone))
    faded = bool(memory and kept and max(numbers) - max(kept) > 5 * memory)
    assert sums.stale == faded
    assert faded or same(sums.statistics(), sums_of(kept, memory).statistics())
    assert (len(sums), sums.newest) == (len(kept), max(kept, default=0))


def test_a_lesson_counts_once_and_is_taken_out_once() -> None:
    sums = sums_of([1, 2])
    assert not sums.add(1, *lesson(1))
    assert sums.remove(1, *lesson(1))
    assert not sums.remove(1, *lesson(1))
    assert len(sums) == 1
    assert (sums.has(1), sums.has(2)) == (False, True)


def test_new_labels_get_columns_and_what_a_teacher_says_of_others_in_passing_does_not() -> None:
    sums = sums_of(list(range(1, 30)))
    assert sums.labels[:2] == OWN
    assert set(sums.labels) == {"a", "b", "new", "rare"}
    assert sums.statistics().toward[-1].sum() == pytest.approx(29)


@pytest.mark.parametrize("embedding", [np.zeros(2, np.float16), np.array([1, np.nan, 0], np.float16)])
def test_what_is_no_embedding_of_this_version_is_not_counted(embedding: np.ndarray) -> None:
    assert not LessonSums(WIDTH, OWN).add(1, embedding, "a", {})


def test_labels_without_end_are_not_counted() -> None:
    sums = LessonSums(WIDTH, OWN)
    for number in range(1, 1100):
        sums.add(number, np.ones(WIDTH, np.float16), f"label-{number}", {})
    assert len(sums.labels) == 1024
    assert len(sums) == 1022


def test_with_a_memory_older_lessons_fade_and_a_world_that_changed_is_followed() -> None:
    rng = np.random.default_rng(3)
    here, there = np.array([4.0, 0.0, 0.0]), np.array([0.0, 4.0, 0.0])

    def told(memory: float) -> str:
        sums = LessonSums(WIDTH, OWN, memory)
        for number in range(1, 401):
            swapped = number > 300  # from then on the labels are the other way round
            for offset, (mean, label) in enumerate(((here, "a"), (there, "b"))):
                right = label if not swapped else {"a": "b", "b": "a"}[label]
                sums.add(2 * number + offset, (mean + rng.normal(size=WIDTH)).astype(np.float16), right, {})
        weights = fit(sums.statistics())
        return OWN[int((here @ weights[:-1] + weights[-1]).argmax())]

    assert told(0.0) == "a"
    assert told(60.0) == "b"


def test_sums_out_of_which_all_that_counted_has_gone_are_to_be_made_anew() -> None:
    sums = sums_of([1, 8000], memory=10.0)
    assert not sums.stale
    assert sums.remove(8000, *lesson(8000))
    assert sums.stale
    assert sums.add(8001, *lesson(8001))
    assert sums.stale, "whatever comes then"
    assert sums.remove(8001, *lesson(8001))
    assert sums.remove(1, *lesson(1))
    assert not sums.stale, "of nothing nothing is left"
    assert not sums.statistics().outer.any()


def test_the_latest_so_many_are_those_behind_a_number() -> None:
    sums = sums_of([3, 5, 9, 12])
    assert [sums.after(most) for most in (1, 2, 4, 9)] == [9, 5, 0, 0]
    assert [sums.up_to(number) for number in (2, 5, 12)] == [0, 2, 4]


def test_parts_with_other_labels_are_narrowed_to_the_same_columns() -> None:
    both = merged([sums_of([1, 2, 3]).statistics(), sums_of([4, 5]).statistics()])
    picked = narrowed(both, ("new", "nobody", "a"))
    assert picked.labels == ("new", "nobody", "a")
    assert not picked.toward[:, 1].any()
