"""Whether a head may answer in a region, by what its agents counted. The same test as an agent's own gate makes.

Learn-then-test: thresholds from the surest down, each "more than ε of all questions are lost", until one can't be
refuted. The j-th head that is ever looked at in a region, of a version, is tested at δ_j = 6δ/(π²j²), so that over all
of them one that breaks the promise gets through with a probability of at most δ; several temperatures are as many
tests, and each has its even part of δ_j. Of the thresholds that are proven the lowest is taken above which fewer than a
quarter are wrong. And more questions must be gained than given up, by a one-sided binomial test at 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from upriver.policies import Basis, Certificate, Form, PolicyDocument, rules_digest
from upriver.trials import Tally, Trial
from upriver_control.calibration import binomial
from upriver_control.regional.model import Need, Promise, Verdict

FEWER: Final = 0.05
MOST_WRONG: Final = 0.25


def delta_of(delta: float, attempt: int) -> float:
    """δ_j of attempt number `attempt`, from 1 on."""
    if attempt < 1:
        raise ValueError(f"attempt {attempt}: expected 1 or more")
    return 6.0 * delta / (math.pi * attempt) ** 2


def needed(promise: Promise, attempt: int, tests: int) -> int:
    """How many questions are needed at least before a look at them can prove anything."""
    return binomial.questions_needed(promise.epsilon, delta_of(promise.delta, attempt) / tests)


def judge(trial: Trial, found: Sequence[Tally], promise: Promise, attempt: int, need: Need) -> Verdict:
    """What the counts of a trial say, one tally for each temperature; `attempt` must have been counted before."""
    level = delta_of(promise.delta, attempt) / len(found)
    judged = [
        _judged(trial, tally, temperature, promise, Verdict(attempt, level, tally.questions, temperature))
        for tally, temperature in zip(found, trial.temperatures, strict=True)
    ]
    proven = [one for one in judged if not one.why]
    best = max(proven or judged, key=lambda one: one.coverage)
    if not proven or _is_met(need, best, FEWER / len(found)):
        return best
    told = f"{best.gained} questions gained, {best.given_up} given up (p = {best.p_fewer:.3g})"
    return replace(best, why=f"it does not escalate less: {told}")


def certified(policy: PolicyDocument, trial: Trial, verdict: Verdict, promise: Promise, data: str) -> PolicyDocument:
    """The policy that a head which passed answers under: the given one's rules but for score, threshold and head."""
    bare = PolicyDocument(
        version_digest=trial.version_digest,
        score=trial.score,
        threshold=verdict.threshold,
        temperature=verdict.temperature,
        box_threshold=policy.box_threshold,
        agreement=policy.agreement,
        escalate_to=policy.escalate_to,
        head=trial.head,
    )
    certificate = Certificate(
        form=Form.PER_TIER,
        basis=Basis.TOP,
        epsilon=promise.epsilon,
        delta=verdict.delta,
        questions=verdict.questions,
        losses=float(verdict.losses),
        coverage=verdict.coverage,
        exit_share=verdict.coverage,
        top=trial.top,
        rules=rules_digest(bare),
        data=data,
    )
    return replace(bare, certificate=certificate)


def _is_met(need: Need, verdict: Verdict, level: float) -> bool:
    match need:
        case Need.NOTHING:
            return True
        case Need.AS_FEW:
            return verdict.gained >= verdict.given_up
        case Need.FEWER:
            return verdict.p_fewer <= level


def _judged(trial: Trial, tally: Tally, temperature: float, promise: Promise, bare: Verdict) -> Verdict:
    n, level = tally.questions, bare.delta
    most = binomial.allowed(n, promise.epsilon, level) if n else -1
    proven = np.flatnonzero(tally.lost <= most)  # thresholds rise, so losses fall: all from the first such one on
    wrong = max(MOST_WRONG, promise.epsilon)
    at = next(
        (int(one) for one in proven if _mostly_right(tally, int(one), wrong, level)),
        None,
    )
    if at is None:
        why = "where it is sure it is sure of too little, or wrong too often"
        if not len(proven):
            missing = binomial.questions_needed(promise.epsilon, level) - n
            why = f"it loses more than can be proven to be within {promise.epsilon:g}, even where it is surest"
            if missing > 0:
                why = f"{n} questions were held out: {missing} more are needed to prove {promise.epsilon:g}"
        return replace(bare, why=why)
    losses, gained, given_up = int(tally.lost[at]), int(tally.gained[at]), int(tally.given_up[at])
    return Verdict(
        attempt=bare.attempt,
        delta=level,
        questions=n,
        temperature=temperature,
        threshold=trial.thresholds[at],
        losses=losses,
        coverage=int(tally.passed[at]) / n,
        p_loss=float(binomial.p_values(losses, n, promise.epsilon)),
        gained=gained,
        given_up=given_up,
        p_fewer=float(binomial.p_values(given_up, gained + given_up, 0.5)) if gained + given_up else 1.0,
    )


def _mostly_right(tally: Tally, at: int, wrong: float, level: float) -> bool:
    passed = int(tally.passed[at])
    return passed > 0 and float(binomial.p_values(tally.lost[at], passed, wrong)) <= level
