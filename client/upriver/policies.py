"""A policy as a document: what is signed when a version is to run with another policy than its manifest's.

Canonical JSON (keys sorted, no spaces, ASCII), so that the same policy always has the same digest; what has its default
value is left out. Infinite thresholds are the texts "inf" and "-inf", which JSON has no numbers for.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from upriver import agreement as agreements
from upriver import risk as risks
from upriver.agreement import Agreement
from upriver.errors import ManifestError
from upriver.listing import is_digest
from upriver.risk import RiskModel
from upriver.scores import CLASS_KINDS, ScoreKind

MAX_BYTES: Final = 16_384
_WHAT = "policy document"
_TIER = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MAX_EXPERTS: Final = 16


class Form(StrEnum):
    """What a certificate speaks of."""

    PER_TIER = "per-tier"
    """This pair alone: the share of all questions that it answers confidently and otherwise than the top."""
    JOINT = "joint"
    """Exactly the pairs that it names: the share of questions that any of them answers confidently and otherwise than
    the top, so that it holds on every way through them. By labels: the cascade as it is routed."""


class Basis(StrEnum):
    """What counts as a loss."""

    TOP = "top"
    """Another answer than the top's; needs no labels."""
    LABELS = "labels"
    """Wrong where the top is right; the other way round pays back."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another pair of a joint certificate, by its tier and the digest of its rules (see `rules_digest`)."""

    tier: str
    rules: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """With probability of at least 1 - `delta` over the calibration data, at most `epsilon` of questions are lost.

    `questions` were looked at, `losses` of them lost; `coverage` is the share of them that passes the threshold,
    `exit_share` the share that ends here when the tiers below answer theirs. `top` is the digest of the version that
    was asked as the top. `rules` is what it holds for: the rules' digest of the policy that carries it. `data` names
    what it was computed from.
    """

    form: Form
    basis: Basis
    epsilon: float
    delta: float
    questions: int
    losses: float
    coverage: float
    exit_share: float
    top: str
    rules: str
    data: str
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weights of a product of experts: p ∝ own^own_weight · Π below^weight, all scaled by their temperatures.

    `weights` are of versions below, by digest, or of their heads where they answer with one; no other answer is fused.
    """

    own_weight: float
    weights: Mapping[str, float]

    def __hash__(self) -> int:
        return hash((self.own_weight, tuple(sorted(self.weights.items()))))


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """The policy of the version called `version_digest`; the first fields are as in a manifest's [policy].

    `agreement` is when an answer counts as the top's, `risk` belongs to score = "risk" and only to it, `escalate_to` is
    the lowest tier that may be asked next (empty: the next one), `fusion` how answers from below are taken in. `head`
    is the digest of the head that answers in the place of the version's own last layer (empty: its own); see
    `upriver.heads`.
    """

    version_digest: str
    score: ScoreKind
    threshold: float
    temperature: float = 1.0
    box_threshold: float = 0.5
    agreement: Agreement = field(default_factory=Agreement)
    risk: RiskModel | None = None
    escalate_to: str = ""
    fusion: Fusion | None = None
    head: str = ""
    certificate: Certificate | None = None


def write_policy(policy: PolicyDocument) -> str:
    """The document of a policy; raises ManifestError when it is not valid."""
    problems = list(_problems(policy))
    if problems:
        raise ManifestError(_WHAT, problems)
    fields: dict[str, Any] = {
        "version_digest": policy.version_digest,
        "score": policy.score.value,
        "threshold": _told(policy.threshold),
        "temperature": float(policy.temperature),
        "box_threshold": float(policy.box_threshold),
    }
    if policy.agreement != Agreement():
        fields["agreement"] = {
            "name": policy.agreement.name,
            **{k: float(v) for k, v in policy.agreement.settings.items()},
        }
    if policy.risk is not None:
        fields["risk"] = {
            "weights": [[kind.value, float(weight)] for kind, weight in policy.risk.weights],
            "intercept": float(policy.risk.intercept),
            "knots": [[float(at), float(risk)] for at, risk in policy.risk.knots],
        }
    if policy.escalate_to:
        fields["escalate_to"] = policy.escalate_to
    if policy.fusion is not None:
        weights = {digest: float(weight) for digest, weight in policy.fusion.weights.items()}
        fields["fusion"] = {"own_weight": float(policy.fusion.own_weight), "weights": weights}
    if policy.head:
        fields["head"] = policy.head
    if policy.certificate is not None:
        fields["certificate"] = _write_certificate(policy.certificate)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def rules_digest(policy: PolicyDocument) -> str:
    """Names everything that decides in a policy: all but its certificate. Raises ManifestError when it is not valid."""
    return "sha256:" + hashlib.sha256(write_policy(replace(policy, certificate=None)).encode()).hexdigest()


def certify(
    policy: PolicyDocument,
    *,
    epsilon: float,
    delta: float,
    questions: int,
    losses: int,
    coverage: float,
    top: str,
    data: str,
) -> PolicyDocument:
    """The policy with a certificate for this pair alone, against the top: see `Certificate`."""
    bare = replace(policy, certificate=None)
    certificate = Certificate(
        form=Form.PER_TIER,
        basis=Basis.TOP,
        epsilon=epsilon,
        delta=delta,
        questions=questions,
        losses=float(losses),
        coverage=coverage,
        exit_share=coverage,
        top=top,
        rules=rules_digest(bare),
        data=data,
    )
    return replace(bare, certificate=certificate)


def read_policy(document: str) -> PolicyDocument:
    """Reads a document; raises ManifestError unless it is exactly as one is written."""
    if len(document) > MAX_BYTES:
        raise ManifestError(_WHAT, [f"of {len(document)} characters: expected at most {MAX_BYTES}"])
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ManifestError(_WHAT, [f"not JSON: {error}"]) from error
    try:
        policy = _read(fields)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        # What is read is checked as a whole below; here something has not even the shape of it.
        raise ManifestError(_WHAT, [f"not a policy: {error}"]) from error
    if write_policy(policy) != document:
        raise ManifestError(_WHAT, ["not written canonically"])
    return policy


def _read(fields: Any) -> PolicyDocument:
    known = set(PolicyDocument.__slots__)
    if not isinstance(fields, dict) or not _REQUIRED <= set(fields) <= known:
        raise ValueError(
            f"expected an object with {', '.join(sorted(_REQUIRED))} and none but {', '.join(sorted(known))}"
        )
    if fields["score"] not in list(ScoreKind):
        raise ValueError(f"score = {fields['score']!r}: expected one of: {', '.join(ScoreKind)}")
    risk, fusion, certificate = fields.get("risk"), fields.get("fusion"), fields.get("certificate")
    stated = dict(fields.get("agreement", {"name": Agreement().name}))
    return PolicyDocument(
        version_digest=_text(fields["version_digest"]),
        score=ScoreKind(fields["score"]),
        threshold=_threshold(fields["threshold"]),
        temperature=_number(fields["temperature"]),
        box_threshold=_number(fields["box_threshold"]),
        agreement=Agreement(_text(stated.pop("name")), {key: _number(value) for key, value in stated.items()}),
        risk=None if risk is None else _read_risk(risk),
        escalate_to=_text(fields.get("escalate_to", "")),
        fusion=None if fusion is None else _read_fusion(fusion),
        head=_text(fields.get("head", "")),
        certificate=None if certificate is None else _read_certificate(certificate),
    )


_REQUIRED: Final = frozenset({"version_digest", "score", "threshold", "temperature", "box_threshold"})


def _read_risk(fields: Mapping[str, Any]) -> RiskModel:
    return RiskModel(
        weights=tuple((ScoreKind(kind), _number(weight)) for kind, weight in fields["weights"]),
        intercept=_number(fields["intercept"]),
        knots=tuple((_number(at), _number(risk)) for at, risk in fields["knots"]),
    )


def _read_fusion(fields: Mapping[str, Any]) -> Fusion:
    weights = {_text(digest): _number(weight) for digest, weight in fields["weights"].items()}
    return Fusion(_number(fields["own_weight"]), weights)


def _write_certificate(certificate: Certificate) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(certificate, name) for name in Certificate.__slots__}
    for name in ("epsilon", "delta", "losses", "coverage", "exit_share"):
        fields[name] = float(fields[name])
    fields["form"], fields["basis"] = certificate.form.value, certificate.basis.value
    fields["peers"] = [[peer.tier, peer.rules] for peer in certificate.peers]
    if not certificate.peers:
        del fields["peers"]
    return fields


def _read_certificate(fields: Mapping[str, Any]) -> Certificate:
    unknown = set(fields) - set(Certificate.__slots__)
    if unknown:
        raise ValueError(f"certificate: unknown {', '.join(sorted(unknown))}")
    questions = fields["questions"]
    if isinstance(questions, bool) or not isinstance(questions, int):
        raise TypeError(f"certificate.questions = {questions!r}: expected a whole number")
    return Certificate(
        form=Form(fields["form"]),
        basis=Basis(fields["basis"]),
        epsilon=_number(fields["epsilon"]),
        delta=_number(fields["delta"]),
        questions=questions,
        losses=_number(fields["losses"]),
        coverage=_number(fields["coverage"]),
        exit_share=_number(fields["exit_share"]),
        top=_text(fields["top"]),
        rules=_text(fields["rules"]),
        data=_text(fields["data"]),
        peers=tuple(Peer(_text(tier), _text(rules)) for tier, rules in fields.get("peers", ())),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r}: expected a text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r}: expected a number")
    return float(value)


def _threshold(value: Any) -> float:
    return float(value) if value in ("inf", "-inf") else _number(value)


def _told(threshold: float) -> float | str:
    if math.isinf(threshold):
        return "inf" if threshold > 0 else "-inf"
    return float(threshold)


def _problems(policy: PolicyDocument) -> list[str]:
    problems = []
    if not is_digest(policy.version_digest):
        problems.append(f"version_digest = {policy.version_digest!r}: expected sha256: and 64 digits")
    if not 0.0 < policy.temperature < math.inf:
        problems.append(f"temperature = {policy.temperature}: expected a finite number above 0")
    if math.isnan(policy.threshold):
        problems.append("threshold = nan: expected a number; inf always escalates")
    if not math.isfinite(policy.box_threshold):
        problems.append(f"box_threshold = {policy.box_threshold}: expected a finite number")
    if policy.escalate_to and not _TIER.fullmatch(policy.escalate_to):
        problems.append(f"escalate_to = {policy.escalate_to!r}: expected a tier's name, or nothing")
    if (policy.risk is not None) != (policy.score is ScoreKind.RISK):
        problems.append(f"score = {policy.score.value!r} {'with' if policy.risk else 'without'} risk: they go together")
    if policy.risk is not None:
        problems += risks.problems_of(policy.risk)
    problems += agreements.problems_of(policy.agreement.name, policy.agreement.settings)
    if policy.head and not is_digest(policy.head):
        problems.append(f"head = {policy.head!r}: expected sha256: and 64 digits, or nothing")
    if policy.head and not _classifies(policy):
        problems.append(f"head with score = {policy.score.value!r}: only classifiers have one")
    if policy.fusion is not None:
        problems += _fusion_problems(policy, policy.fusion)
    if policy.certificate is not None and not problems:
        problems += _certificate_problems(policy, policy.certificate)
    return problems


def _classifies(policy: PolicyDocument) -> bool:
    """Whether it scores the classes of a classifier."""
    return policy.score in CLASS_KINDS or (policy.risk is not None and set(policy.risk.features) <= CLASS_KINDS)


def _fusion_problems(policy: PolicyDocument, fusion: Fusion) -> list[str]:
    problems = []
    if not _classifies(policy):
        problems.append(f"fusion with score = {policy.score.value!r}: only classifiers are fused")
    if not 1 <= len(fusion.weights) <= _MAX_EXPERTS:
        problems.append(f"fusion.weights has {len(fusion.weights)}: expected 1 to {_MAX_EXPERTS}")
    if not all(is_digest(digest) for digest in fusion.weights):
        problems.append("fusion.weights: expected digests of versions")
    if not all(0.0 <= weight < math.inf for weight in (fusion.own_weight, *fusion.weights.values())):
        problems.append("fusion: expected finite weights of at least 0")
    return problems


def _certificate_problems(policy: PolicyDocument, certificate: Certificate) -> list[str]:
    problems = []
    for name in ("epsilon", "delta"):
        if not 0.0 < getattr(certificate, name) < 1.0:
            problems.append(f"certificate.{name} = {getattr(certificate, name)}: expected above 0 and below 1")
    for name in ("coverage", "exit_share"):
        if not 0.0 <= getattr(certificate, name) <= 1.0:
            problems.append(f"certificate.{name} = {getattr(certificate, name)}: expected 0 to 1")
    if certificate.questions < 0 or not abs(certificate.losses) <= certificate.questions:
        problems.append(f"certificate: {certificate.losses} losses of {certificate.questions} questions")
    for name in ("top", "data"):
        if not is_digest(getattr(certificate, name)):
            problems.append(f"certificate.{name} = {getattr(certificate, name)!r}: expected sha256: and 64 digits")
    if any(not _TIER.fullmatch(peer.tier) or not is_digest(peer.rules) for peer in certificate.peers):
        problems.append("certificate.peers: expected a tier and a digest each")
    if certificate.rules != rules_digest(policy):
        problems.append("the certificate is of other rules than these: a policy that was changed is not certified")
    return problems
