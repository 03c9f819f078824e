"""A version's policy: which score is compared with which threshold, and the digest of the pair that they make."""

import hashlib
import json
import math
from dataclasses import dataclass

from upriver.errors import InvalidInput, ManifestError
from upriver.parameters import MIN_CONFIDENCE
from upriver.scores import ScoreKind


@dataclass(frozen=True, slots=True)
class Policy:
    """A row is answered where it is iff its confidence is at least `threshold`; +inf always escalates.

    `box_threshold` is the score from which a detector's box counts; other kinds of score ignore it. `digest` names the
    pair: this policy together with the version that it was made for.
    """

    score: ScoreKind
    temperature: float
    threshold: float
    box_threshold: float
    digest: str


def make_policy(
    version_digest: str,
    score: ScoreKind,
    threshold: float,
    temperature: float = 1.0,
    box_threshold: float = 0.5,
) -> Policy:
    """Makes the policy of the version called `version_digest`; raises ManifestError with everything that is wrong."""
    problems = []
    if not 0.0 < temperature < math.inf:
        problems.append(f"policy.temperature = {temperature}: expected a finite number above 0")
    if math.isnan(threshold):
        problems.append("policy.threshold = nan: expected a number; inf always escalates")
    if not math.isfinite(box_threshold):
        problems.append(f"policy.box_threshold = {box_threshold}: expected a finite number")
    if problems:
        raise ManifestError("the policy is not valid", problems)
    digest = _digest(version_digest, score, threshold, temperature, box_threshold)
    return Policy(score, temperature, threshold, box_threshold, digest)


def effective_threshold(policy: Policy, min_confidence: float | None) -> float:
    """The threshold for one request: the caller may raise the policy's and never lower it.

    Raises InvalidInput when `min_confidence` is NaN, which compares with nothing.
    """
    if min_confidence is None:
        return policy.threshold
    if math.isnan(min_confidence):
        raise InvalidInput(f"parameter {MIN_CONFIDENCE!r} is nan: expected a number")
    return max(policy.threshold, min_confidence)


def _digest(version: str, score: ScoreKind, threshold: float, temperature: float, box_threshold: float) -> str:
    """SHA-256 over JSON with sorted keys; Python's shortest round-trip form makes equal floats equal text."""
    canonical = {
        "box_threshold": float(box_threshold),
        "format": 1,
        "score": score.value,
        "temperature": float(temperature),
        "threshold": float(threshold),
        "version": version,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
