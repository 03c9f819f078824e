"""Policies as documents."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.agreement import Agreement
from upriver.errors import ManifestError
from upriver.policies import (
    Basis,
    Certificate,
    Form,
    Fusion,
    Peer,
    PolicyDocument,
    read_policy,
    rules_digest,
    write_policy,
)
from upriver.risk import RiskModel
from upriver.scores import ScoreKind

VERSION, TOP, DATA = (f"sha256:{digit * 64}" for digit in "012")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)
SHARES = st.floats(min_value=0, max_value=1)
INSIDE = st.floats(min_value=1e-9, max_value=0.999)
AGREEMENTS = st.one_of(
    st.just(Agreement()),
    st.builds(lambda k: Agreement("top_k", {"k": float(k)}), st.integers(1, 100)),
    st.builds(lambda iou, f1: Agreement("boxes_f1", {"iou": iou, "f1": f1}), SHARES, SHARES),
    st.just(Agreement("tolerance")),
)


@st.composite
def risks(draw: st.DrawFn) -> RiskModel:
    kinds = draw(st.lists(st.sampled_from(["margin", "entropy", "energy"]), min_size=1, unique=True))
    at = sorted(draw(st.lists(st.integers(-1000, 1000), min_size=1, max_size=5, unique=True)))
    risk = sorted(draw(st.lists(SHARES, min_size=len(at), max_size=len(at))))
    weights = tuple((ScoreKind(kind), draw(NUMBERS)) for kind in kinds)
    return RiskModel(weights, draw(NUMBERS), tuple((float(u), r) for u, r in zip(at, risk, strict=True)))


@st.composite
def policies(draw: st.DrawFn) -> PolicyDocument:
    risk = draw(st.none() | risks())
    kind = draw(st.sampled_from([ScoreKind.MARGIN, ScoreKind.MAX_PROBABILITY])) if risk is None else ScoreKind.RISK
    policy = PolicyDocument(
        VERSION,
        kind,
        draw(NUMBERS | st.sampled_from([math.inf, -math.inf])),
        draw(POSITIVE),
        draw(NUMBERS),
        draw(AGREEMENTS),
        risk,
        draw(st.sampled_from(["", "cloud", "near-edge"])),
        draw(st.none() | st.builds(lambda own, below: Fusion(own, {TOP: below}), POSITIVE, POSITIVE)),
        draw(st.sampled_from(["", DATA])),
    )
    if not draw(st.booleans()):
        return policy
    certificate = Certificate(
        draw(st.sampled_from(Form)),
        draw(st.sampled_from(Basis)),
        draw(INSIDE),
        draw(INSIDE),
        questions=1000,
        losses=draw(st.integers(0, 1000)),
        coverage=draw(SHARES),
        exit_share=draw(SHARES),
        top=TOP,
        rules=rules_digest(policy),
        data=DATA,
        peers=draw(st.sampled_from([(), (Peer("far-edge", TOP),)])),
    )
    return replace(policy, certificate=certificate)


PLAIN = PolicyDocument(VERSION, ScoreKind.MARGIN, 0.5)
CERTIFIED = replace(
    PLAIN,
    certificate=Certificate(Form.PER_TIER, Basis.TOP, 0.005, 0.05, 5000, 16, 0.9, 0.9, TOP, rules_digest(PLAIN), DATA),
)


@given(policies())
def test_a_policy_comes_back_as_it_was_written(policy: PolicyDocument) -> None:
    assert read_policy(write_policy(policy)) == policy


@given(policies(), st.integers(0, 2000), st.characters(codec="ascii"))
def test_a_document_with_another_letter_is_another_policy_or_none(policy: PolicyDocument, at: int, letter: str) -> None:
    document = write_policy(policy)
    at %= len(document)
    changed = document[:at] + letter + document[at + 1 :]
    try:
        found = read_policy(changed)
    except ManifestError:
        return
    assert (found == policy) == (changed == document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["agreement", "risk", "escalate_to", "fusion", "head", "certificate", "threshold", "score"]), JSON
)
def test_whatever_stands_in_a_field_is_read_or_refused(name: str, value: object) -> None:
    fields = json.loads(write_policy(CERTIFIED))
    fields[name] = value
    try:
        found = read_policy(json.dumps(fields, sort_keys=True, separators=(",", ":")))
    except ManifestError:
        return
    assert isinstance(found, PolicyDocument)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 9999, '{"score":"margin"}', "x" * 20_000])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="policy document"):
        read_policy(text)


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(ManifestError) as told:
        write_policy(PolicyDocument("x", ScoreKind.MARGIN, math.nan, 0.0, math.inf))
    assert len(told.value.problems) == 4


RISKY = replace(
    PLAIN, score=ScoreKind.RISK, risk=RiskModel(((ScoreKind.MARGIN, -1.0),), 0.0, ((-1.0, 0.0), (1.0, 1.0)))
)


@pytest.mark.parametrize(
    "edit",
    [
        {"threshold": 0.49},
        {"threshold": -math.inf},
        {"temperature": 1.1},
        {"version_digest": TOP},
        {"score": ScoreKind.ENTROPY},
        {"agreement": Agreement("top_k")},
        {"escalate_to": "cloud"},
        {"fusion": Fusion(1.0, {TOP: 0.5})},
        {"head": DATA},
        {"score": RISKY.score, "risk": RISKY.risk},
    ],
    ids=str,
)
def test_a_certificate_does_not_survive_an_edit(edit: dict[str, object]) -> None:
    assert read_policy(write_policy(CERTIFIED)) == CERTIFIED
    fields: dict[str, Any] = {name: getattr(CERTIFIED, name) for name in PolicyDocument.__slots__}
    changed = PolicyDocument(**(fields | edit))
    with pytest.raises(ManifestError, match="not certified"):
        write_policy(changed)


def test_a_certificate_does_not_survive_an_edit_of_the_risk_model() -> None:
    assert CERTIFIED.certificate is not None
    certified = replace(RISKY, certificate=replace(CERTIFIED.certificate, rules=rules_digest(RISKY)))
    document = write_policy(certified)
    changed = document.replace("-1.0", "-2.0", 1)
    assert changed != document
    with pytest.raises(ManifestError, match="not certified"):
        read_policy(changed)


def test_a_document_from_before_there_was_more_in_it_is_still_read() -> None:
    text = f'{{"box_threshold":0.5,"score":"margin","temperature":1.0,"threshold":"inf","version_digest":"{VERSION}"}}'
    assert read_policy(text) == PolicyDocument(VERSION, ScoreKind.MARGIN, math.inf)
