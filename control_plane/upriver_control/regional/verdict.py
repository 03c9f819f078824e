"""Whether a head may answer in a region, by what its agents counted: what an agent's own gate proves, on their sums.

What is proven and how is in `upriver.promises`. Several temperatures are as many tests, and each has its even part of
δ_j.
"""

from collections.abc import Sequence
from dataclasses import replace

from upriver.policies import PolicyDocument, certify
from upriver.promises import FEWER, Promise, delta_of, least_questions, p_fewer, p_loss, prove
from upriver.trials import Tally, Trial
from upriver_control.regional.model import Need, Verdict


def needed(promise: Promise, attempt: int, tests: int) -> int:
    """How many questions are needed at least before a look at them can prove anything."""
    return least_questions(promise.epsilon, delta_of(promise.delta, attempt) / tests)


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
    return certify(
        bare,
        epsilon=promise.epsilon,
        delta=verdict.delta,
        questions=verdict.questions,
        losses=verdict.losses,
        coverage=verdict.coverage,
        top=trial.top,
        data=data,
    )


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
    proof = prove(tally.lost, tally.passed, n, promise.epsilon, level)
    if proof.at is None:
        why = "where it is sure it is sure of too little, or wrong too often"
        if not proof.any_proven:
            missing = least_questions(promise.epsilon, level) - n
            why = f"it loses more than can be proven to be within {promise.epsilon:g}, even where it is surest"
            if missing > 0:
                why = f"{n} questions were held out: {missing} more are needed to prove {promise.epsilon:g}"
        return replace(bare, why=why)
    at = proof.at
    losses, gained, given_up = int(tally.lost[at]), int(tally.gained[at]), int(tally.given_up[at])
    return Verdict(
        attempt=bare.attempt,
        delta=level,
        questions=n,
        temperature=temperature,
        threshold=trial.thresholds[at],
        losses=losses,
        coverage=int(tally.passed[at]) / n,
        p_loss=p_loss(losses, n, promise.epsilon),
        gained=gained,
        given_up=given_up,
        p_fewer=p_fewer(gained, given_up),
    )
