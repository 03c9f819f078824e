"""Merging keeps every row in its place and every score at its label, whatever the tiers call first."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from upriver import parameters as names
from upriver.parameters import Reason
from upriver_agent.merge import AnswerInvalid, Answers, RowFacts, least_certain, merge, read_row_facts

ME = "device-1"
ALPHABET = ["cat", "dog", "owl", "crane", "a,b", "\\"]


def fact(agent: str, confidence: float = 0.5, resolved: bool = True) -> RowFacts:
    return RowFacts(agent, "tier", confidence, resolved, Reason.CONFIDENT, False, (agent,), "sha256:00")


def facts(agent: str, rows: int) -> tuple[RowFacts, ...]:
    return tuple(fact(f"{agent}-{row}") for row in range(rows))


def scores(rows: int, labels: Sequence[str], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((rows, len(labels)), dtype=np.float32)


@st.composite
def batches(draw: st.DrawFn, unique: bool = True) -> tuple[Answers, Answers, NDArray[np.intp]]:
    """A local batch, an answer from above for some of its rows, and which."""
    some = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=6, unique=unique).map(tuple)
    ours, theirs = draw(some), draw(some)
    rows = draw(st.integers(1, 6))
    went = np.array(draw(st.lists(st.integers(0, rows - 1), unique=True).map(sorted)), dtype=np.intp)
    local = Answers({"scores": scores(rows, ours, 1)}, facts("low", rows), ours, "scores")
    above = Answers({"probs": scores(len(went), theirs, 2)}, facts("high", len(went)), theirs, "probs")
    return local, above, went


@given(batches())
def test_each_row_has_its_answerers_scores_by_label(case: tuple[Answers, Answers, NDArray[np.intp]]) -> None:
    local, above, went = case
    merged = merge(local, above, went, ME).answers
    table = merged.outputs["scores"]
    assert table.dtype == np.float32
    assert merged.labels[: len(local.labels)] == local.labels
    assert set(merged.labels) == {*local.labels, *above.labels}
    for row in range(len(table)):
        got = dict(zip(merged.labels, table[row].tolist(), strict=True))
        answer, name, index = (local, "scores", row)
        if row in went:
            answer, name, index = (above, "probs", int(np.flatnonzero(went == row)[0]))
        known = dict(zip(answer.labels, answer.outputs[name][index].tolist(), strict=True))
        assert got == {label: known.get(label, 0.0) for label in merged.labels}
        assert merged.facts[row].agent == answer.facts[index].agent
        assert merged.facts[row].path == ((ME, answer.facts[index].agent) if row in went else (f"low-{row}",))


@given(batches(unique=False))
def test_namesakes_are_matched_in_order_and_no_score_is_lost(case: tuple[Answers, Answers, NDArray[np.intp]]) -> None:
    local, above, went = case
    merged = merge(local, above, went, ME).answers
    table = merged.outputs["scores"]
    for label in ALPHABET:
        assert merged.labels.count(label) == max(local.labels.count(label), above.labels.count(label))
        columns = [index for index, name in enumerate(merged.labels) if name == label]
        theirs = [index for index, name in enumerate(above.labels) if name == label]
        got = table[went][:, columns[: len(theirs)]]
        np.testing.assert_array_equal(got, above.outputs["probs"][:, theirs])


@given(batches())
def test_merging_changes_nothing_that_it_was_given(case: tuple[Answers, Answers, NDArray[np.intp]]) -> None:
    local, above, went = case
    before = local.outputs["scores"].copy(), above.outputs["probs"].copy()
    merge(local, above, went, ME)
    np.testing.assert_array_equal(local.outputs["scores"], before[0])
    np.testing.assert_array_equal(above.outputs["probs"], before[1])


@pytest.mark.parametrize("ours", [True, False])
def test_logits_and_probabilities_are_brought_to_the_local_kind(ours: bool) -> None:
    logits = np.array([[2.0, -1.0, 0.5]], dtype=np.float32)
    probabilities = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    local = Answers({"s": np.zeros((1, 2), np.float32)}, facts("low", 1), ("cat", "dog"), "s", scores_are_logits=ours)
    theirs = probabilities if ours else logits
    above = Answers({"s": theirs}, facts("high", 1), ("dog", "owl", "cat"), "s", scores_are_logits=not ours)
    row = merge(local, above, np.array([0]), ME).answers.outputs["s"][0]
    got = np.exp(row) if ours else row
    np.testing.assert_allclose(got, probabilities[0][[2, 0, 1]], rtol=1e-5)


def test_a_label_that_the_answerer_does_not_know_has_no_chance() -> None:
    for logits, missing in ((False, 0.0), (True, -math.inf)):
        local = Answers({"s": np.ones((2, 1), np.float32)}, facts("l", 2), ("cat",), "s", scores_are_logits=logits)
        above = Answers({"s": np.ones((1, 1), np.float32)}, facts("h", 1), ("dog",), "s", scores_are_logits=logits)
        table = merge(local, above, np.array([1]), ME).answers.outputs["s"]
        np.testing.assert_array_equal(table, [[1.0, missing], [missing, 1.0]])


def test_an_output_of_another_shape_or_type_stays_local_and_is_named() -> None:
    local = Answers({"s": np.zeros((2, 1), np.float32), "embedding": np.zeros((2, 4)), "x": np.zeros(2)}, facts("l", 2))
    above = Answers({"s": np.ones((1, 1), np.float32), "embedding": np.ones((1, 8))}, facts("h", 1))
    merged = merge(local, above, np.array([1]), ME)
    assert merged.kept_local == ("embedding", "x")
    np.testing.assert_array_equal(merged.answers.outputs["s"], [[0], [1]])
    np.testing.assert_array_equal(merged.answers.outputs["embedding"], np.zeros((2, 4)))


def detector(labels: tuple[str, ...], classes: list[list[float]], agent: str, boxes: int = 2) -> Answers:
    rows = len(classes)
    outputs = {
        "classes": np.array(classes, dtype=np.float32),
        "boxes": np.full((rows, boxes, 4), rows, dtype=np.float32),
    }
    return Answers(outputs, facts(agent, rows), labels, classes_output="classes", whole=frozenset({"boxes"}))


def test_a_detectors_label_numbers_are_renumbered_by_name() -> None:
    local = detector(("cat", "dog"), [[0, 1], [1, 1]], "low")
    above = detector(("owl", "dog", "cat"), [[0, 2], [1, -1]], "high")
    merged = merge(local, above, np.array([1, 0]), ME).answers
    assert merged.labels == ("cat", "dog", "owl")
    np.testing.assert_array_equal(merged.outputs["classes"], [[1, -1], [2, 0]])


@given(st.permutations(ALPHABET), st.permutations(ALPHABET), st.integers(1, 6), st.integers(1, 6))
def test_a_detected_name_is_the_same_before_and_after(ours: list[str], theirs: list[str], few: int, many: int) -> None:
    local = detector(tuple(ours[:few]), [[0.0]], "low")
    above = detector(tuple(theirs[:many]), [[float(number) for number in range(many)]], "high")
    wide = detector(local.labels, [[0.0] * many], "low")
    merged = merge(wide, above, np.array([0]), ME).answers
    assert [merged.labels[int(number)] for number in merged.outputs["classes"][0]] == theirs[:many]


@pytest.mark.parametrize(
    "above",
    [
        detector(("cat",), [[0, 0]], "high", boxes=3),
        detector(("cat",), [[0, 0, 0]], "high"),
        detector((), [[0, 0]], "high"),
        detector(("cat",), [[0, 0], [0, 0]], "high"),
    ],
    ids=["other boxes", "other classes", "no labels", "other rows"],
)
def test_half_an_answer_is_no_answer(above: Answers) -> None:
    with pytest.raises(AnswerInvalid):
        merge(detector(("cat",), [[0, 0]], "low"), above, np.array([0]), ME)


@pytest.mark.parametrize(
    "theirs",
    [np.zeros((1, 3), np.float32), np.zeros((2, 2), np.float32), np.zeros((1, 2), np.int32), np.zeros(2, np.float32)],
    ids=["columns", "rows", "integers", "one dimension"],
)
def test_scores_that_do_not_fit_their_labels_are_no_answer(theirs: NDArray[Any]) -> None:
    local = Answers({"s": np.zeros((1, 2), np.float32)}, facts("l", 1), ("cat", "dog"), "s")
    with pytest.raises(AnswerInvalid, match=r"'s'.*expected floats \[1, 2\]"):
        merge(local, Answers({"s": theirs}, facts("h", 1), ("dog", "cat"), "s"), np.array([0]), ME)


def test_label_numbers_too_large_for_their_type_are_no_answer() -> None:
    numbers = np.zeros((1, 1), np.uint8)
    local = Answers({"c": numbers}, facts("l", 1), tuple(f"a{i}" for i in range(200)), classes_output="c")
    above = Answers({"c": numbers}, facts("h", 1), tuple(f"b{i}" for i in range(200)), classes_output="c")
    with pytest.raises(AnswerInvalid, match="uint8"):
        merge(local, above, np.array([0]), ME)


def test_the_least_certain_row_is_the_least_confident_of_the_unresolved() -> None:
    batch = [fact("a", 0.2), fact("b", 0.9, resolved=False), fact("c", 0.8, resolved=False), fact("d", 0.1)]
    assert least_certain(batch).agent == "c"
    assert least_certain(batch[:1] + batch[3:]).agent == "d"


def columns(**changed: object) -> dict[str, Sequence[object]]:
    row: dict[str, object] = {
        "agent": b"cloud-1",
        "tier": "cloud",
        "confidence": np.float64(0.5),
        "resolved": np.bool_(True),
        "reason": b"confident",
        "degraded": False,
        "path": b"far-1,cloud-1",
        "policy": "sha256:00",
    }
    return {f"upriver.{name}": [value] for name, value in (row | changed).items()}


def test_row_facts_are_read_from_an_upstreams_outputs() -> None:
    expected = RowFacts("cloud-1", "cloud", 0.5, True, Reason.CONFIDENT, False, ("far-1", "cloud-1"), "sha256:00")
    assert read_row_facts(columns(), 1) == (expected,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent", b"a b"),
        ("agent", 7),
        ("tier", "x" * 300),
        ("confidence", math.nan),
        ("confidence", math.inf),
        ("confidence", "0.5"),
        ("resolved", 1),
        ("reason", "because"),
        ("path", b""),
        ("path", ",".join(["a"] * 66)),
        ("path", "a" * 20_000),
    ],
)
def test_facts_that_are_not_what_they_should_be_are_no_answer(name: str, value: object) -> None:
    with pytest.raises(AnswerInvalid, match="expected"):
        read_row_facts(columns(**{name: value}), 1)


def test_a_missing_or_short_column_is_no_answer() -> None:
    missing = columns()
    del missing[names.REASON]
    with pytest.raises(AnswerInvalid, match=r"upriver\.reason.*0 rows: expected 1"):
        read_row_facts(missing, 1)
    with pytest.raises(AnswerInvalid, match="1 rows: expected 2"):
        read_row_facts(columns(), 2)
