"""Certifying anew from audits: each tier keeps what was promised of it, and one of which nothing was stays as it is."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from upriver.errors import InvalidInput
from upriver.policies import PolicyDocument, certify, read_policy, write_policy
from upriver.scores import ScoreKind
from upriver_control.calibrating.order import Made, Order, audits_of
from upriver_control.calibrating.recertifying import recertified
from upriver_control.jobs import Source, Spec, TierSpec

DEVICE, EDGE, TOP, DATA = (f"sha256:{digit * 64}" for digit in "1234")
ESCALATES = PolicyDocument(EDGE, ScoreKind.MARGIN, math.inf)
ANSWERS = PolicyDocument(DEVICE, ScoreKind.MARGIN, 0.5)
CERTIFIED = certify(ANSWERS, epsilon=0.02, delta=0.05, questions=500, losses=2, coverage=0.9, top=TOP, data=DATA)


def made(folder: Path, policies: Sequence[PolicyDocument], max_loss: float = 0.0, count: int = 2_000) -> Made:
    tiers = [
        TierSpec(name, f"models/m/versions/{name}", digest, write_policy(policy))
        for name, digest, policy in zip(("device", "edge"), (DEVICE, EDGE), policies, strict=True)
    ]
    top = TierSpec("cloud", "models/m/versions/cloud", TOP)
    chance = np.random.default_rng(1)
    for place in range(2):
        confidence = chance.random(count)
        with audits_of(folder, place).open("wb") as out:
            np.savez(
                out,
                confidence=confidence,
                agree=chance.random(count) > 0.3 * (1.0 - confidence) ** 4,
                question=np.array([f"q-{place}-{number}:0" for number in range(count)]),
            )
    spec = Spec(max_loss, 0.95 if max_loss else 0.0, (*tiers, top), source=Source.AUDITS)
    return recertified(Order(spec, str(folder), 60.0, 1024), lambda doing, share: None)


def test_a_tier_keeps_what_its_certificate_promised(tmp_path: Path) -> None:
    out = made(tmp_path, (CERTIFIED, ESCALATES))
    policy = read_policy(out.documents[0])
    assert policy.certificate is not None
    assert (policy.certificate.epsilon, policy.certificate.delta) == (0.02, 0.05)
    assert policy.threshold < 1.0
    assert policy.certificate.top == TOP


def test_a_tier_of_which_nothing_was_promised_and_that_answers_nothing_stays_as_it_is(tmp_path: Path) -> None:
    out = made(tmp_path, (CERTIFIED, ESCALATES))
    assert out.documents[1] == ""
    assert out.result.tiers[1].policy == ""
    assert any("edge stays as it is" in note for note in out.result.notes)


def test_with_a_loss_that_was_asked_for_such_a_tier_is_certified_too(tmp_path: Path) -> None:
    out = made(tmp_path, (CERTIFIED, ESCALATES), max_loss=0.06)
    assert all(read_policy(document).certificate is not None for document in out.documents[:2])


@pytest.mark.parametrize(
    "policies", [(ANSWERS, ESCALATES), (PolicyDocument(DEVICE, ScoreKind.MARGIN, math.inf), ESCALATES)]
)
def test_where_nothing_was_promised_of_who_answers_or_of_anybody_it_is_asked_for(
    tmp_path: Path, policies: tuple[PolicyDocument, PolicyDocument]
) -> None:
    with pytest.raises(InvalidInput, match=r"tier device: .* give --max-loss and --confidence"):
        made(tmp_path, policies)
