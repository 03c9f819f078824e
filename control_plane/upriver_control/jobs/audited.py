"""Thresholds certified anew from audits of a pair: its score stays, only the threshold is chosen again. Pure.

The half of the audits that tunes orders the thresholds, from the surest down; the other half tests them in that order
and the last one before the first that fails is taken. So nothing is chosen on the questions that certify.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upriver.policies import Form, PolicyDocument, certify, read_policy
from upriver.scores import Floats
from upriver_control.calibration.certificate import Budget, falling_candidates, lowest_threshold
from upriver_control.calibration.proof import allowed, questions_needed


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold, +inf where none is certified. `losses` of `questions` certifying audits, `coverage` passes.

    `missing` is how many more certifying audits are needed at least before anything can be certified; 0 where there
    are enough, also when they disagree too often.
    """

    threshold: float
    questions: int
    losses: int
    coverage: float
    missing: int


@dataclass(frozen=True, slots=True)
class Promise:
    """At most `epsilon` is lost with probability 1 - `delta`, against the version `top`, shown by the audits `data`."""

    epsilon: float
    delta: float
    top: str
    data: str


def choose(
    tune: Floats, confidence: Floats, agrees: NDArray[np.bool_], epsilon: float, delta: float, *, fit: bool
) -> Chosen:
    """The lowest certified threshold, by learn-then-test over a fixed sequence; see `calibration.certificate`.

    `tune` [t] are confidences of the tuning audits, `confidence` and `agrees` [n] are the certifying ones; -inf is
    never confident. `fit` says whether the score tells agreement from disagreement at all, by the tuning audits: a few
    answers by a score that does not would still be within the bound, and be wrong.
    """
    count = len(confidence)
    missing = max(0, questions_needed(epsilon, delta) - count)
    budget = Budget(allowed(count, epsilon, delta), epsilon, delta)
    threshold, losses = lowest_threshold(confidence, ~agrees, falling_candidates(tune), budget)
    if threshold == math.inf or not fit:
        return Chosen(math.inf, count, 0, 0.0, missing)
    return Chosen(threshold, count, losses, float((confidence >= threshold).mean()), 0)


def certified(policy: PolicyDocument, chosen: Chosen, promise: Promise) -> PolicyDocument:
    """The policy with the chosen threshold and its certificate; without one where it always escalates."""
    bare = replace(policy, threshold=chosen.threshold, certificate=None)
    if chosen.threshold == math.inf:
        return bare
    return certify(
        bare,
        epsilon=promise.epsilon,
        delta=promise.delta,
        questions=chosen.questions,
        losses=chosen.losses,
        coverage=chosen.coverage,
        top=promise.top,
        data=promise.data,
    )


def promised(
    policy: PolicyDocument, epsilon: float, delta: float, tiers: int, earlier: Sequence[float] = (0.0, 0.0)
) -> tuple[float, float]:
    """What a pair's new certificate is to say: the share that its own one has, or an even part of the whole.

    `epsilon` and `delta` are of the whole cascade with `tiers` below the top; 0 is what the pair's certificate says, or
    without one what an `earlier` one of the version said.
    """
    own = policy.certificate
    if own is not None and own.form is Form.JOINT:
        said = (own.epsilon / tiers, own.delta / tiers)
    else:
        said = (earlier[0], earlier[1]) if own is None else (own.epsilon, own.delta)
    return epsilon / tiers if epsilon else said[0], delta / tiers if delta else said[1]


def newest_promise(documents: Sequence[str]) -> tuple[float, float]:
    """What the last certified one of some policies, oldest first, promised for its pair alone; zeros without any."""
    for document in reversed(documents):
        certificate = read_policy(document).certificate
        if certificate is not None and certificate.form is Form.PER_TIER:
            return certificate.epsilon, certificate.delta
    return 0.0, 0.0
