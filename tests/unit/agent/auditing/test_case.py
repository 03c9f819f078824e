"""Cases: who may be audited, what is compared, and that nothing is lost on the way through the journal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.agreement import Agreement
from upriver.parameters import Mode, Reason
from upriver_agent.auditing.case import Case, Parts, judge, may_be_audited, read_case, write_case
from upriver_agent.envelope import CallerOptions
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.place import Place

PLACE = Place("me", "device", "eu", ("device", "edge", "cloud"))
CASE = Case(
    question="q-1",
    row=2,
    asked=1.5,
    model="digits",
    version_digest="v",
    policy_digest="p",
    rules_digest="r",
    agreement="same_label",
    settings={},
    parts=Parts(scores="probabilities"),
    confidence=0.9,
    features={"margin": 0.5},
    passes=True,
    answered_here=True,
    brought=True,
    draw=0.01,
    rate=0.02,
)
FACT = RowFacts("cloud-1", "cloud", 0.9, True, Reason.TOP, False, ("cloud-1",), "sha256:top")


@given(st.none() | st.floats(0, 1), st.booleans(), st.dictionaries(st.text(), st.floats(-1e9, 1e9)))
def test_a_case_comes_back_as_it_was_written(
    confidence: float | None, region_only: bool, features: dict[str, float]
) -> None:
    case = replace(CASE, confidence=confidence, region_only=region_only, features=features)
    assert read_case(write_case(case)) == case


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"parts":{}}'])
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"case|JSON|Expecting"):
        read_case(text)


@pytest.mark.parametrize(
    ("options", "budget", "top_near", "allowed"),
    [
        (CallerOptions(), None, False, True),
        (CallerOptions(mode=Mode.TOP), None, False, True),
        (CallerOptions(mode=Mode.LOCAL), None, True, False),
        (CallerOptions(max_tier="edge"), None, True, False),
        (CallerOptions(max_tier="cloud"), None, False, True),
        (CallerOptions(region_only=True), None, True, True),
        (CallerOptions(region_only=True), None, False, False),
        (CallerOptions(), 100, False, True),
        (CallerOptions(), 99, False, False),
    ],
)
def test_what_a_caller_does_not_let_the_top_see_is_not_audited(
    options: CallerOptions, budget: int | None, top_near: bool, allowed: bool
) -> None:
    assert may_be_audited(options, PLACE, budget, 100, top_near) is allowed


def classified(scores: list[list[float]], labels: tuple[str, ...], output: str = "probabilities") -> Answers:
    return Answers({output: np.array(scores)}, (FACT,) * len(scores), labels, output)


def test_labels_are_compared_by_name_whatever_the_order_and_the_output_s_name() -> None:
    own = classified([[0.1, 0.9]], ("cat", "dog"))
    top = classified([[0.3, 0.7, 0.0], [0.8, 0.1, 0.1]], ("dog", "cat", "cow"), "scores")
    other, same = judge(CASE, own, top, 0), judge(CASE, own, top, 1)
    assert (other.agrees, other.answer, other.top_answer) == (False, "dog", "cat")
    assert (same.agrees, same.top_answer, same.top_agent, same.top_policy_digest) == (
        True,
        "dog",
        "cloud-1",
        "sha256:top",
    )


def test_numbers_agree_within_the_policy_s_tolerance() -> None:
    agreement = Agreement("tolerance", {"absolute": 0.1, "relative": 0.0})
    case = replace(CASE, agreement="tolerance", settings=agreement.settings, parts=Parts(value="height"))
    own = Answers({"height": np.array([[1.0]])}, (FACT,))
    top = Answers({"height": np.array([[1.05], [1.5]])}, (FACT, FACT))
    verdicts = [judge(case, own, top, index) for index in (0, 1)]
    assert [one.agrees for one in verdicts] == [True, False]
    assert verdicts[0].answer != verdicts[0].top_answer


def test_boxes_agree_when_they_match() -> None:
    parts = Parts(boxes="boxes", box_scores="scores", classes="classes")
    case = replace(CASE, agreement="boxes_f1", settings={}, parts=parts)

    def detected(box: list[float]) -> Answers:
        outputs = {"boxes": np.array([[box]]), "scores": np.array([[0.9]]), "classes": np.array([[0.0]])}
        return Answers(outputs, (FACT,), ("cat",), classes_output="classes")

    assert judge(case, detected([0, 0, 1, 1]), detected([0, 0, 1, 0.9]), 0).agrees
    assert not judge(case, detected([0, 0, 1, 1]), detected([2, 2, 3, 3]), 0).agrees


def test_what_can_not_be_compared_says_so() -> None:
    with pytest.raises(ValueError, match="scores"):
        judge(CASE, classified([[1.0]], ("cat",)), Answers({}, (FACT,)), 0)
