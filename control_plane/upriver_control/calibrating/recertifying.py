"""The part of a calibration that is made from audits: every tier by itself, its score as it is."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from upriver.errors import InvalidInput
from upriver.policies import PolicyDocument, read_policy, write_policy
from upriver_control.calibrating.order import Made, Order, audits_of
from upriver_control.calibrating.outcome import fitness, tier_result
from upriver_control.calibration.outcome import Preflight
from upriver_control.calibration.preflight import preflight
from upriver_control.jobs import Result, TierResult, TierSpec
from upriver_control.jobs.audited import Promise, certified, choose, promised
from upriver_control.jobs.split import by_name

_UNPROMISED: Final = (
    "tier {tier}: its policy has no certificate that says how much may be lost; give --max-loss and --confidence"
)


def recertified(order: Order, telling: Callable[[str, float], None]) -> Made:
    """Certifies each tier below the top that has audits here; raises InvalidInput where nothing was ever promised."""
    spec = order.spec
    tiers: list[TierResult] = []
    documents: list[str] = []
    notes: list[str] = []
    counts = [0, 0]
    for place, tier in enumerate(spec.tiers[:-1]):
        telling(f"{tier.tier} is certified anew", place / len(spec.tiers))
        path, running = audits_of(Path(order.folder), place), read_policy(tier.policy_document)
        promise = _promise(order, tier, running)
        unpromised = path.exists() and promise is None
        if unpromised and running.threshold < math.inf:
            raise InvalidInput(_UNPROMISED.format(tier=tier.tier))
        if unpromised:
            notes.append(f"{tier.tier} stays as it is: it always escalates, and nothing was promised of it")
        if promise is None or not path.exists():
            tiers.append(TierResult(tier.tier, tier.version, "", running.threshold))
            documents.append("")
            continue
        found, policy, (tuning, certifying) = _recertified(order, tier, running, promise, path, notes)
        tiers.append(found)
        documents.append(write_policy(policy))
        counts = [counts[0] + tuning, counts[1] + certifying]
    if notes and not any(documents):
        raise InvalidInput(_UNPROMISED.format(tier=spec.only or spec.tiers[0].tier))
    top = spec.tiers[-1]
    tiers.append(TierResult(top.tier, top.version, "", -math.inf, coverage=1.0))
    missing = [one.missing for one, document in zip(tiers, documents, strict=False) if document]
    result = Result(
        tiers=tuple(tiers),
        tune_questions=counts[0],
        calibrate_questions=counts[1],
        missing=min(missing, default=0),
        notes=tuple(notes),
    )
    return Made(result, (*documents, ""))


def _promise(order: Order, tier: TierSpec, policy: PolicyDocument) -> tuple[float, float] | None:
    """What the tier's new certificate is to say, epsilon and delta; None where nothing says it."""
    spec = order.spec
    delta = 1.0 - spec.confidence if spec.confidence else 0.0
    epsilon, delta = promised(policy, spec.max_loss, delta, len(spec.tiers) - 1, tier.promise)
    return (epsilon, delta) if 0.0 < epsilon < 1.0 and 0.0 < delta < 1.0 else None


def _recertified(
    order: Order, tier: TierSpec, policy: PolicyDocument, promise: tuple[float, float], path: Path, notes: list[str]
) -> tuple[TierResult, PolicyDocument, tuple[int, int]]:
    spec, (epsilon, delta) = order.spec, promise
    with np.load(path, allow_pickle=False) as arrays:
        confidence, agrees, names = arrays["confidence"], arrays["agree"], [str(one) for one in arrays["question"]]
    tune, certify = by_name(names, spec.seed, spec.tune_share)
    judged = preflight(confidence[tune], ~agrees[tune])
    chosen = choose(confidence[tune], confidence[certify], agrees[certify], epsilon, delta, fit=judged.fit)
    data = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    new = certified(policy, chosen, Promise(epsilon, delta, spec.tiers[-1].version_digest, data))
    # Both halves of the audits are needed for every certifying one.
    missing = math.ceil(chosen.missing / max(1e-9, 1.0 - spec.tune_share))
    if chosen.threshold == math.inf:
        notes.append(_why(tier.tier, len(names), missing, epsilon, judged))
    return tier_result(tier, new, chosen.coverage, missing, fitness(judged)), new, (len(tune), len(certify))


def _why(tier: str, audits: int, missing: int, epsilon: float, judged: Preflight) -> str:
    if missing:
        return f"{tier} always escalates: {audits} audits are too few, about {missing} more are needed at least"
    if not judged.fit:
        return f"{tier} always escalates: its confidence does not tell right from wrong (AUROC {judged.auroc:.2f})"
    return f"{tier} always escalates: its surest answers disagree with the top in more than {epsilon:.3g} of questions"
