"""What the mathematics gave, as a calibration's result and documents."""

import math
from collections.abc import Sequence

from upriver.policies import Basis, PolicyDocument, write_policy
from upriver_control.calibrating.order import Made
from upriver_control.calibration import binomial
from upriver_control.calibration.outcome import Calibration, Preflight, TierOutcome
from upriver_control.calibration.outcome import Operating as Found
from upriver_control.jobs import Fitness, Operating, PathPoint, Result, Spec, TierResult, TierSpec, WhatIf


def made_of(spec: Spec, calibration: Calibration, tune: int, costs: Sequence[float], notes: Sequence[str]) -> Made:
    """The result of a calibration; `costs` are those of asking each tier from the one below, 0 for the lowest."""
    shares = calibration.shipped.exit_shares
    tiers = [
        _tier(outcome, tier, shares[place], costs[place])
        for place, (outcome, tier) in enumerate(zip(calibration.tiers, spec.tiers[:-1], strict=True))
    ]
    top = spec.tiers[-1]
    tiers.append(TierResult(top.tier, top.version, "", -math.inf, exit_share=shares[-1], cost=costs[-1], coverage=1.0))
    result = Result(
        tiers=tuple(tiers),
        tune_questions=tune,
        calibrate_questions=calibration.questions,
        losses=float(calibration.losses),
        certified_loss=calibration.certified_loss,
        missing=calibration.missing,
        path=_path(calibration),
        chosen=calibration.chosen,
        baselines=tuple(map(_operating, calibration.baselines)),
        shipped=_operating(calibration.shipped),
        what_if=tuple(
            WhatIf(one.epsilon, float(sum(one.exit_shares[:-1])), one.cost, float(one.losses), one.missing)
            for one in calibration.what_if
        ),
        notes=tuple(notes),
    )
    return Made(result, (*(write_policy(outcome.policy) for outcome in calibration.tiers), ""))


def tier_result(
    tier: TierSpec, policy: PolicyDocument, exit_share: float, missing: int, fitness: Fitness | None, cost: float = 0.0
) -> TierResult:
    """One tier's result from its policy; it is named when it is signed."""
    certificate = policy.certificate
    return TierResult(
        tier=tier.tier,
        version=tier.version,
        policy="",
        threshold=policy.threshold,
        epsilon=0.0 if certificate is None else certificate.epsilon,
        coverage=0.0 if certificate is None else certificate.coverage,
        exit_share=exit_share,
        missing=missing,
        fitness=fitness,
        cost=cost,
    )


def _tier(outcome: TierOutcome, tier: TierSpec, share: float, cost: float) -> TierResult:
    return tier_result(tier, outcome.policy, share, outcome.missing, fitness(outcome.preflight), cost)


def fitness(found: Preflight) -> Fitness:
    """How well a tier tells right from wrong, as it is kept."""
    return Fitness(found.auroc, found.aurc, found.caught, found.disagreements, found.questions, found.fit)


def _path(calibration: Calibration) -> tuple[PathPoint, ...]:
    counts = calibration.basis is Basis.TOP
    return tuple(
        PathPoint(
            exit_shares=point.exit_shares,
            cost=point.cost,
            losses=float(point.losses),
            p_value=float(point.p_value),
            certified=point.certified,
            bound=(
                binomial.upper_bound(round(point.losses), calibration.questions, calibration.delta)
                if counts and calibration.questions
                else math.nan
            ),
        )
        for point in calibration.path
    )


def _operating(found: Found) -> Operating:
    return Operating(found.name, found.risk, found.cost, found.exit_shares)
