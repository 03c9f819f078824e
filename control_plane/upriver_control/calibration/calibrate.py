"""The whole calibration: scores and path on the tuning split, the certificate on the calibration split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from upriver.policies import Basis, Certificate, Form, Peer, PolicyDocument, rules_digest
from upriver_control.calibration.baselines import baselines, operating
from upriver_control.calibration.cost_path import Ladder, Rule, run
from upriver_control.calibration.fusion import fuse_where_it_pays
from upriver_control.calibration.inputs import CalibrationInput, Progress, check, silent
from upriver_control.calibration.joint import JointTest, Splits
from upriver_control.calibration.outcome import Calibration, PathPoint, TierOutcome, WhatIf
from upriver_control.calibration.plan import Plan, look_ahead, prove
from upriver_control.calibration.prepared import Prepared, ladder_of, prepare

OTHER_TARGETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""What is told of as what-if, besides the target."""


def calibrate(given: CalibrationInput, progress: Progress = silent) -> Calibration:
    """Makes policies for the tiers below the top; raises InvalidInput with everything that is wrong with the input.

    Too few questions are no error: the policies then always escalate and say how many are missing.
    """
    check(given)
    below = given.tiers[:-1]
    tiers = []
    for at, tier in enumerate(below):
        progress(f"scores of {tier.tier}", 0.4 * at / len(below))
        tiers.append(prepare(given, tier))
    progress("fusing answers", 0.4)
    tiers = fuse_where_it_pays(given, tiers)
    progress("cost path", 0.5)
    splits = _splits(given, tiers)
    prospect = look_ahead(splits.tuning, splits.active, splits.questions, given.target)
    path = prospect.path
    progress("certificate", 0.6)
    plan = prove(splits, prospect, given.target)
    what_if = []
    for at, epsilon in enumerate(OTHER_TARGETS):
        progress("other targets", 0.7 + 0.3 * at / len(OTHER_TARGETS))
        what_if.append(_what_if(given, splits, path, epsilon))
    progress("done", 1.0)
    names = tuple(tier.tier for tier in given.tiers)
    return Calibration(
        tiers=_outcomes(given, tiers, plan, splits.proving),
        form=given.target.form,
        basis=_basis(given),
        epsilon=given.target.epsilon,
        delta=given.target.delta,
        questions=splits.questions,
        losses=plan.losses,
        certified_loss=plan.certified_loss,
        shipped=operating("shipped", splits.proving, plan.rule),
        path=tuple(_path_points(splits, path, given.target.epsilon, given.target.delta, names)),
        chosen=plan.chosen,
        baselines=baselines(splits.proving),
        what_if=tuple(what_if),
        missing=plan.missing,
    )


def _basis(given: CalibrationInput) -> Basis:
    return Basis.TOP if given.truth is None else Basis.LABELS


def _splits(given: CalibrationInput, tiers: Sequence[Prepared]) -> Splits:
    labelled = given.truth is not None
    return Splits(
        tuning=ladder_of(tiers, given.tune, given.costs),
        proving=ladder_of(tiers, given.calibrate, given.costs),
        active=tuple(tier.preflight.fit for tier in tiers),
        tuning_pays=tuple(tier.pays[given.tune] for tier in tiers) if labelled else None,
        proving_pays=tuple(tier.pays[given.calibrate] for tier in tiers) if labelled else None,
    )


def _what_if(given: CalibrationInput, splits: Splits, path: Sequence[Rule], epsilon: float) -> WhatIf:
    target = replace(given.target, epsilon=epsilon)
    plan = prove(splits, look_ahead(splits.tuning, splits.active, splits.questions, target, path), target)
    does = operating("", splits.proving, plan.rule)
    return WhatIf(epsilon, does.cost, does.exit_shares, plan.losses, plan.missing)


def _path_points(
    splits: Splits, path: Sequence[Rule], epsilon: float, delta: float, names: Sequence[str]
) -> "list[PathPoint]":
    points, certified, tuning, test = [], True, splits.tuning, JointTest(splits, path)
    for at, (rule, p_value) in enumerate(zip(path, test.p_values(epsilon), strict=True)):
        certified = certified and p_value <= delta
        does = operating("", tuning, rule)
        points.append(
            PathPoint(
                thresholds=rule.thresholds,
                escalate_to=tuple(names[k] for k in rule.following),
                tuning_risk=does.risk,
                cost=does.cost,
                exit_shares=does.exit_shares,
                losses=float(test.losses[at]),
                p_value=p_value,
                certified=certified,
            )
        )
    return points


@dataclass(frozen=True, slots=True)
class _Rules:
    """One tier's rules without a certificate, and their digest."""

    tier: str
    policy: PolicyDocument
    digest: str


def _outcomes(
    given: CalibrationInput, tiers: Sequence[Prepared], plan: Plan, proving: Ladder
) -> tuple[TierOutcome, ...]:
    rules = [_rules(given, tier, plan.rule, at) for at, tier in enumerate(tiers)]
    exits = run(proving, plan.rule)
    shares = exits.shares(proving.below + 1)
    outcomes = []
    for at, (tier, its) in enumerate(zip(tiers, rules, strict=True)):
        policy, missing = its.policy, 0
        if its.policy.threshold < math.inf:
            coverage = float((proving.confidence[at] >= its.policy.threshold).mean())
            policy = replace(policy, certificate=_certificate(given, plan, rules, at, coverage, float(shares[at])))
        elif tier.preflight.fit:
            missing = plan.missing
        outcomes.append(TierOutcome(its.tier, policy, tier.preflight, missing))
    return tuple(outcomes)


def _rules(given: CalibrationInput, tier: Prepared, rule: Rule, at: int) -> _Rules:
    following = rule.following[at]
    policy = PolicyDocument(
        version_digest=tier.outputs.version_digest,
        score=tier.scored.kind,
        threshold=rule.thresholds[at],
        temperature=tier.scored.temperature,
        box_threshold=tier.outputs.box_threshold,
        agreement=given.agreement,
        risk=tier.scored.model,
        fusion=tier.fusion,
        head=tier.outputs.head,
        escalate_to="" if following == at + 1 else given.tiers[following].tier,
    )
    return _Rules(tier.outputs.tier, policy, rules_digest(policy))


def _certificate(
    given: CalibrationInput, plan: Plan, rules: Sequence[_Rules], at: int, coverage: float, exit_share: float
) -> Certificate:
    joint = given.target.form is Form.JOINT
    return Certificate(
        form=given.target.form,
        basis=_basis(given),
        epsilon=given.target.epsilon if joint else plan.budgets[at].epsilon,
        delta=given.target.delta if joint else plan.budgets[at].delta,
        questions=len(given.calibrate),
        losses=plan.losses if joint else plan.tier_losses[at],
        coverage=coverage,
        exit_share=exit_share,
        top=given.tiers[-1].version_digest,
        rules=rules[at].digest,
        data=given.data,
        peers=tuple(Peer(one.tier, one.digest) for one in rules if one is not rules[at]) if joint else (),
    )
