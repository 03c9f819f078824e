"""From what was heard to lessons."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Reason
from upriver.tensors import Tensor
from upriver_agent import coin, wire
from upriver_agent.envelope import DEFAULT_OPTIONS
from upriver_agent.lessons.lesson import MOST_PROBABILITIES
from upriver_agent.lessons.making import LessonMaker, Refusal
from upriver_agent.lessons.rules import Quotas
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loaded import AnswerForm
from upriver_agent.serving.pupil import Heard
from upriver_agent.serving.request import InferRequest
from upriver_agent.telemetry import Origin

LABELS = ("0", "1", "2")
DIGEST = "sha256:" + "1" * 64


def fact(agent="cloud-1", resolved=True):
    return RowFacts(agent, "cloud", 0.98, resolved, Reason.CONFIDENT, False, ("me", agent), "sha256:up")


def heard(
    mine, theirs, facts=None, labels=LABELS, logits=False, question="", embedding=None, consent=False, escalated=None
):
    """What an agent hears that said `mine` and was told `theirs`, [rows, labels] each."""
    mine, theirs = np.array(mine, np.float32), np.array(theirs, np.float32)
    rows = len(mine)
    vectors = np.arange(rows * 4, dtype=np.float32).reshape(rows, 2, 2) if embedding is None else embedding
    image = Tensor("image", "FP32", np.arange(rows * 4, dtype=np.float32).reshape(rows, 4))
    loaded = SimpleNamespace(
        model="digits",
        version=SimpleNamespace(digest=DIGEST),
        form=AnswerForm(LABELS, "p", logits),
    )
    return Heard(
        loaded=loaded,
        question=question or coin.question_id(7, 7),
        numbers=(),
        escalated=np.arange(rows) if escalated is None else np.array(escalated),
        prediction=Prediction(mine, vectors, {}),
        confidence=mine.max(axis=1).astype(np.float64),
        answers=Answers({"p": theirs}, facts or [fact()] * rows, labels, "p", logits),
        request=InferRequest("digits", "", "id", {"image": image}, DEFAULT_OPTIONS) if consent else None,
        source="ipv4:10.0.0.1",
        origin=Origin("ab" * 16, "cd" * 8),
    )


def make(what, holdout=0.0, quotas=None, seal=None):
    refused = Counter()
    maker = LessonMaker("me", holdout, quotas or Quotas(0.0, 0.0, lambda: 0.0), seal, lambda: 5.0)
    return maker.make(what, refused), refused


def test_a_lesson_says_what_was_said_here_and_above():
    (one,), refused = make(heard([[0.5, 0.3, 0.2]], [[0.1, 0.1, 0.8]]))
    assert (one.student_label, one.label, one.teacher, one.teacher_tier) == ("0", "2", "cloud-1", "cloud")
    assert one.known == pytest.approx(0.2)
    assert one.student_confidence == pytest.approx(0.5)
    assert one.probabilities == pytest.approx({"2": 0.8, "0": 0.1, "1": 0.1})
    assert one.embedding.dtype == np.float16
    assert one.embedding.tolist() == [0, 1, 2, 3]
    assert (one.at, one.source, one.consent, one.input) == (5.0, "ipv4:10.0.0.1", False, b"")
    assert not refused


def test_a_class_that_the_version_does_not_know_is_learnt_and_was_not_known():
    (one,), _ = make(heard([[0.5, 0.3, 0.2]], [[0.1, 0.0, 0.1, 0.8]], labels=(*LABELS, "3")))
    assert (one.label, one.known) == ("3", 0.0)


def test_logits_are_taken_as_the_probabilities_that_they_stand_for():
    (one,), _ = make(heard([[0.0, 1.0, 0.0]], [[-np.inf, 2.0, 0.0]], logits=True))
    assert one.known == pytest.approx(np.exp(1) / (np.exp(1) + 2))
    assert one.probabilities == pytest.approx({"1": np.exp(2) / (np.exp(2) + 1), "2": 1 / (np.exp(2) + 1)}, abs=1e-5)


def test_only_the_largest_probabilities_of_a_teacher_are_kept():
    labels = tuple(str(number) for number in range(100))
    (one,), _ = make(heard([[0.5, 0.3, 0.2]], np.full((1, 100), 0.01), labels=labels))
    assert len(one.probabilities) == MOST_PROBABILITIES


def test_rows_that_nobody_answered_teach_nothing_and_neither_do_own_answers():
    facts = [fact(resolved=False), fact(agent="me"), fact()]
    found, refused = make(heard([[0.4, 0.3, 0.3]] * 3, [[0, 0, 1]] * 3, facts))
    assert [one.row for one in found] == [2]
    assert not refused
    found, _ = make(heard([[0.4, 0.3, 0.3]] * 3, [[0, 0, 1]] * 3, [fact()] * 3, escalated=[1]))
    assert [one.row for one in found] == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"theirs": [[np.nan, 0, 1]]},
        {"theirs": [[0.0, 0.0, 0.0]]},
        {"mine": [[np.nan, 0, 1]]},
        {"labels": ("a", "b", "c", "d")},
        {"labels": ("", "a", "b"), "theirs": [[1, 0, 0]]},
        {"labels": ("x" * 201, "a", "b"), "theirs": [[1, 0, 0]]},
        {"embedding": np.array([[np.inf, 1.0]], np.float32)},
        {"embedding": np.array([[1e6, 1.0]], np.float32)},
        {"embedding": np.zeros((1, 5000), np.float32)},
        {"embedding": np.zeros((2, 5), np.float32)},
    ],
)
def test_what_can_not_be_learnt_is_no_lesson(changes):
    found, refused = make(heard(**{"mine": [[0.4, 0.3, 0.3]], "theirs": [[0, 0, 1]]} | changes))
    assert found == []
    assert refused == {Refusal.UNUSABLE: 1}


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 2**64 - 1), holdout=st.sampled_from([0.01, 0.2, 0.9]), rows=st.integers(1, 30))
def test_what_heads_are_tested_on_never_teaches_however_it_comes(number, holdout, rows):
    question = coin.question_id(number, 3)
    what = heard([[0.4, 0.3, 0.3]] * rows, [[0, 0, 1]] * rows, question=question)
    drawn = coin.draws(number, range(rows)) / coin.SPAN
    found, refused = make(what, holdout)
    assert [one.row for one in found] == np.flatnonzero(drawn >= holdout).tolist()
    assert refused[Refusal.HOLDOUT] == int((drawn < holdout).sum())
    for row in range(rows):
        again, _ = make(heard([[0.4, 0.3, 0.3]], [[0, 0, 1]], question=f"{question}.{row}"), holdout)
        assert not (again and drawn[row] < holdout)
        assert all(one.id == f"{question}.{row}" for one in again)


def test_beyond_a_quota_there_are_no_lessons():
    found, refused = make(heard([[0.4, 0.3, 0.3]] * 9, [[0, 0, 1]] * 9), quotas=Quotas(0.0, 4.0, lambda: 0.0))
    assert len(found) == 4
    assert refused == {Refusal.QUOTA: 5}


def test_an_input_is_kept_as_one_row_when_its_caller_agrees():
    found, _ = make(heard([[0.4, 0.3, 0.3]] * 2, [[0, 0, 1]] * 2, consent=True))
    for one in found:
        request = wire.read_request(pb.ModelInferRequest.FromString(one.input))
        assert one.consent
        assert request.model == "digits"
        assert request.inputs["image"].array.tolist() == [
            [0 + 4 * one.row, 1 + 4 * one.row, 2 + 4 * one.row, 3 + 4 * one.row]
        ]
