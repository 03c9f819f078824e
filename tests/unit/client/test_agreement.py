"""When two answers are the same, per task."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from upriver.agreement import NAMES, Agreement, Answered, problems_of

AB, BA = ("a", "b", "c"), ("c", "b", "a")


def test_labels_are_matched_by_name_whatever_their_order() -> None:
    local = Answered(scores=np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]), labels=AB)
    top = Answered(scores=np.array([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]]), labels=BA)
    assert Agreement()(local, top).tolist() == [True, False]


def test_the_tops_label_among_the_k_best_agrees() -> None:
    local = Answered(scores=np.array([[0.7, 0.2, 0.1]]), labels=AB)
    for best, k, agrees in (("b", 1.0, False), ("b", 2.0, True), ("c", 2.0, False), ("c", 9.0, True)):
        top = Answered(scores=np.array([[float(label == best) for label in AB]]), labels=AB)
        assert Agreement("top_k", {"k": k})(local, top).tolist() == [agrees]


def test_numbers_agree_within_both_tolerances() -> None:
    local, top = Answered(values=np.array([[1.0], [1.2], [0.0], [np.nan]])), Answered(values=np.ones((4, 1)))
    assert Agreement("tolerance", {"absolute": 0.1, "relative": 0.1})(local, top).tolist() == [True, True, False, False]


def boxes(*rows: list[tuple[float, float, float, float, int, float]]) -> Answered:
    most = max(map(len, rows))
    table = np.zeros((len(rows), most, 6))
    for row, found in enumerate(rows):
        table[row, : len(found)] = found if found else np.zeros((0, 6))
    counts = np.array([len(found) for found in rows])
    return Answered(scores=table[..., 5], boxes=table[..., :4], classes=table[..., 4], counts=counts, labels=("x", "y"))


def test_boxes_agree_by_the_f1_of_their_matches() -> None:
    here = [(0.0, 0.0, 1.0, 1.0, 0, 0.9), (2.0, 2.0, 3.0, 3.0, 1, 0.8)]
    moved = [(0.0, 0.1, 1.0, 1.1, 0, 0.9), (2.0, 2.0, 3.0, 3.0, 1, 0.8)]
    renamed = [(0.0, 0.0, 1.0, 1.0, 1, 0.9), (2.0, 2.0, 3.0, 3.0, 1, 0.8)]
    faint = [(0.0, 0.0, 1.0, 1.0, 0, 0.1)]
    rule = Agreement("boxes_f1", {"f1": 0.6})
    assert rule(boxes(here, here, here, faint), boxes(moved, renamed, here[:1], [])).tolist() == [
        True,
        False,
        True,
        True,
    ]


def test_a_detector_agrees_with_itself() -> None:
    answers = boxes([(0.0, 0.0, 1.0, 1.0, 0, 0.9)] * 3, [])
    assert Agreement("boxes_f1")(answers, answers).all()


@given(npst.arrays(np.float64, (4, 3), elements=st.floats(0, 1)), st.permutations(range(3)))
def test_an_order_of_labels_changes_nothing(
    scores: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", order: list[int]
) -> None:
    unique = scores + np.arange(12).reshape(4, 3) * 1e-9
    one = Answered(scores=unique, labels=AB)
    other = Answered(scores=unique[:, order], labels=tuple(AB[index] for index in order))
    assert Agreement()(one, other).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_of_another_task_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't be compared"):
        Agreement(name)(Answered(), Answered())


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("similar", {}, "expected one of same_label"),
        ("same_label", {"k": 1.0}, "no setting"),
        ("top_k", {"k": 0.0}, "1 to"),
        ("boxes_f1", {"iou": float("nan")}, "0 to 1"),
    ],
)
def test_what_is_no_agreement_is_refused(name: str, settings: dict[str, float], problem: str) -> None:
    assert any(problem in told for told in problems_of(name, settings))
    with pytest.raises(ValueError, match=problem):
        Agreement(name, settings)
