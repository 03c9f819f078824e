"""What a head must promise, which labels it has, and how it sees the holdout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.heads import head_for, version_with_embedding
from tests.unit.agent.learning.world import LABELS, World
from upriver.agreement import Agreement
from upriver.head_statistics import nothing, write_statistics
from upriver.listing import PRIOR
from upriver.policies import Basis, Certificate, Form, PolicyDocument, rules_digest
from upriver.promises import Promise
from upriver.scores import ScoreKind
from upriver_agent.head import embedding_width
from upriver_agent.learning.candidate import learnt_labels, passes_of, promise_of, scored
from upriver_agent.learning.holdout import HeldOut, Key
from upriver_agent.learning.prior import Priors
from upriver_agent.sections import LearningSection

DIGEST = "sha256:" + "1" * 64


def policy(form: Form | None = None) -> PolicyDocument:
    plain = PolicyDocument(DIGEST, ScoreKind.MAX_PROBABILITY, 0.5)
    if form is None:
        return plain
    certificate = Certificate(form, Basis.TOP, 0.01, 0.03, 500, 1.0, 0.5, 0.5, DIGEST, rules_digest(plain), DIGEST)
    return replace(plain, certificate=certificate)


def test_a_promise_is_the_configurations_or_the_certificates() -> None:
    assert promise_of(policy(Form.PER_TIER), LearningSection()) == Promise(0.01, 0.03)
    assert promise_of(policy(Form.PER_TIER), LearningSection(max_loss=0.02)) == Promise(0.02, 0.03)
    assert promise_of(policy(), LearningSection(max_loss=0.02)) == Promise(0.02, 0.05)
    found = promise_of(policy(Form.JOINT), LearningSection(max_loss=0.02, confidence=0.9))
    assert isinstance(found, Promise)
    assert (found.epsilon, round(found.delta, 9)) == (0.02, 0.1)


@pytest.mark.parametrize("form", [None, Form.JOINT])
def test_without_a_promise_there_is_a_reason(form: Form | None) -> None:
    found = promise_of(policy(form), LearningSection())
    assert isinstance(found, str)
    assert "learning.max_loss" in found


def test_labels_are_the_versions_own_then_those_before_then_new_ones_by_name() -> None:
    sums = nothing(2, ("a", "b", "z", "y", "x", "dust"))
    sums.toward[-1] = [0, 5, 3, 2, 1, 0.2]
    assert learnt_labels(("a", "b"), ("a", "b", "y", "forgotten"), sums) == ("a", "b", "y", "x", "z")


def held_out(world: World, count: int = 40) -> HeldOut:
    verdicts = [world.verdict() for _ in range(count)]
    return HeldOut(
        Key("pattern", world.version.digest, DIGEST),
        "",
        tuple(f"{one.case.question}.0" for one in verdicts),
        np.array([one.embedding for one in verdicts]),
        tuple(one.top_answer for one in verdicts),
        tuple(one.case.policy_digest for one in verdicts),
        np.array([one.case.passes for one in verdicts]),
    )


def test_a_head_sees_the_holdout_as_it_does_when_it_answers(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.learn()
    questions = held_out(world)
    answering = world.answering
    assert answering.head is not None
    head = world.heads.get(answering.policy.document.head)
    confidence, agrees = scored(head, False, Agreement(), questions)
    passes, known = passes_of(answering, questions)
    assert known.all()
    assert (passes == (confidence >= answering.policy.threshold)).all()
    assert agrees[passes].all()
    top_five = Agreement("top_k", {"k": 5.0})
    assert scored(head, False, top_five, questions)[1].sum() >= agrees.sum()
    world.close()


def test_of_a_pair_without_a_head_it_is_known_where_it_answered_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    questions = held_out(world)
    passes, known = passes_of(world.given, questions)
    assert known.all()
    assert (passes == questions.passes).all()
    other = replace(questions, policies=(DIGEST,) * len(questions.ids))
    assert not passes_of(world.given, other)[1].any()
    world.close()


def test_an_empty_holdout_is_seen_as_nothing(tmp_path: Path) -> None:
    head = head_for(version_with_embedding(tmp_path), 1)
    empty = HeldOut(Key("m", DIGEST, DIGEST), "", (), np.zeros((0, 4), np.float32), (), (), np.zeros(0, bool))
    confidence, agrees = scored(head, False, Agreement(), empty)
    assert (len(confidence), len(agrees)) == (0, 0)


def test_a_certificate_names_the_questions_and_what_the_top_said_in_any_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    questions = held_out(world, 3)
    turned = replace(questions, ids=questions.ids[::-1], labels=questions.labels[::-1])
    assert turned.digest() == questions.digest()
    assert replace(questions, labels=("x", *questions.labels[1:])).digest() != questions.digest()
    world.close()


def test_a_prior_is_read_once_and_one_that_is_not_the_versions_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    loaded, path = world.given, world.version.folder / PRIOR
    assert Priors().of(loaded) is None
    sums = nothing(embedding_width(world.version) or 0, LABELS)
    sums.add(np.ones(sums.width), np.eye(len(LABELS))[0])
    np.savez(path, **write_statistics(sums))
    priors = Priors()
    found = priors.of(loaded)
    assert found is not None
    assert (found.width, found.labels) == (sums.width, LABELS)
    np.savez(path, **write_statistics(nothing(4, ("stranger",))))
    assert Priors().of(loaded) is None
    assert priors.of(loaded) is found
    path.write_bytes(b"PK no archive")
    assert Priors().of(loaded) is None
    path.unlink()
    path.mkdir()
    assert Priors().of(loaded) is None
    world.close()
