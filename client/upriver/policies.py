"""A policy as a document: what is signed when a version is to run with another policy than its manifest's.

Canonical JSON (keys sorted, no spaces, ASCII), so that the same policy always has the same digest. Infinite thresholds
are the texts "inf" and "-inf", which JSON has no numbers for.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Final

from upriver.errors import ManifestError
from upriver.listing import is_digest
from upriver.scores import ScoreKind

MAX_BYTES: Final = 4096
_WHAT = "policy document"


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """The policy of the version called `version_digest`; the other fields are as in a manifest's [policy]."""

    version_digest: str
    score: ScoreKind
    threshold: float
    temperature: float
    box_threshold: float


def write_policy(policy: PolicyDocument) -> str:
    """The document of a policy; raises ManifestError when it is not valid."""
    problems = list(_problems(policy))
    if problems:
        raise ManifestError(_WHAT, problems)
    fields = asdict(policy) | {"score": policy.score.value}
    if math.isinf(policy.threshold):
        fields["threshold"] = "inf" if policy.threshold > 0 else "-inf"
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_policy(document: str) -> PolicyDocument:
    """Reads a document; raises ManifestError unless it is exactly as one is written."""
    try:
        fields = json.loads(document[:MAX_BYTES])
    except (ValueError, RecursionError) as error:
        raise ManifestError(_WHAT, [f"not JSON: {error}"]) from error
    if not isinstance(fields, dict) or set(fields) != set(PolicyDocument.__slots__):
        raise ManifestError(_WHAT, [f"expected an object with exactly {', '.join(sorted(PolicyDocument.__slots__))}"])
    if fields["threshold"] in ("inf", "-inf"):
        fields["threshold"] = float(fields["threshold"])
    problems = [
        f"{key} = {fields[key]!r}: expected a number"
        for key in ("threshold", "temperature", "box_threshold")
        if isinstance(fields[key], bool) or not isinstance(fields[key], int | float)
    ]
    if fields["score"] not in list(ScoreKind):
        problems.append(f"score = {fields['score']!r}: expected one of: {', '.join(ScoreKind)}")
    if not isinstance(fields["version_digest"], str):
        problems.append(f"version_digest = {fields['version_digest']!r}: expected a text")
    if problems:
        raise ManifestError(_WHAT, problems)
    policy = PolicyDocument(**{**fields, "score": ScoreKind(fields["score"])})
    if write_policy(policy) != document:
        raise ManifestError(_WHAT, ["not written canonically"])
    return policy


def _problems(policy: PolicyDocument) -> "list[str]":
    problems = []
    if not is_digest(policy.version_digest):
        problems.append(f"version_digest = {policy.version_digest!r}: expected sha256: and 64 digits")
    if not 0.0 < policy.temperature < math.inf:
        problems.append(f"temperature = {policy.temperature}: expected a finite number above 0")
    if math.isnan(policy.threshold):
        problems.append("threshold = nan: expected a number; inf always escalates")
    if not math.isfinite(policy.box_threshold):
        problems.append(f"box_threshold = {policy.box_threshold}: expected a finite number")
    return problems
