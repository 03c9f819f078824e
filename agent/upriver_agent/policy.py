"""A version's policy as it is used: which score is compared with which threshold, and the digest of the pair."""

import hashlib
import math
from dataclasses import dataclass

from upriver.errors import InvalidInput
from upriver.parameters import MIN_CONFIDENCE
from upriver.policies import PolicyDocument, write_policy


@dataclass(frozen=True, slots=True)
class Policy:
    """A row is answered where it is iff its confidence is at least `threshold`; +inf always escalates.

    `digest` names the pair: this policy together with the version that it was made for. `document` is all of it.
    """

    threshold: float
    digest: str
    document: PolicyDocument


def make_policy(document: PolicyDocument) -> Policy:
    """Makes the policy of a document; raises ManifestError with everything that is wrong with it."""
    digest = "sha256:" + hashlib.sha256(write_policy(document).encode()).hexdigest()
    return Policy(document.threshold, digest, document)


def effective_threshold(policy: Policy, min_confidence: float | None) -> float:
    """The threshold for one request: the caller may raise the policy's and never lower it.

    Raises InvalidInput when `min_confidence` is NaN, which compares with nothing.
    """
    if min_confidence is None:
        return policy.threshold
    if math.isnan(min_confidence):
        raise InvalidInput(f"parameter {MIN_CONFIDENCE!r} is nan: expected a number")
    return max(policy.threshold, min_confidence)
