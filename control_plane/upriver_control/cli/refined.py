"""What agents made of their pairs by what they learnt, in words and for programs."""

from datetime import UTC, datetime
from typing import Any

from upriver.errors import ManifestError
from upriver.policies import PolicyDocument, read_policy
from upriver.v1 import sync_pb2


def told_refined(report: sync_pb2.SlotReport) -> str:
    """A slot's refined pair in a few words, or why there is none any more; empty where there was none."""
    if not report.HasField("refined"):
        return f"what it had refined answers no more: {report.unrefined}" if report.unrefined else ""
    refined = report.refined
    made = f"refined there from {refined.lessons:,} lessons, attempt {refined.attempt}, since {_since(refined)}"
    policy = _policy(refined)
    if policy is None:
        return f"{made}; its policy can't be read"
    certificate = policy.certificate
    if certificate is None:
        return f"{made}; head {policy.head[7:19]}, not certified"
    return (
        f"{made}; head {policy.head[7:19]}, threshold {policy.threshold:.4g}, at most {certificate.epsilon:.2%} lost "
        f"with {1.0 - certificate.delta:.4%} confidence ({certificate.losses:g} of {certificate.questions:,})"
    )


def refined_document(refined: sync_pb2.Refined) -> dict[str, Any]:
    """A refined pair for programs."""
    policy = _policy(refined)
    certificate = None if policy is None else policy.certificate
    return {
        "policy_document": refined.policy_document,
        "head": None if policy is None else policy.head,
        "epsilon": None if certificate is None else certificate.epsilon,
        "delta": None if certificate is None else certificate.delta,
        "lessons": refined.lessons,
        "attempt": refined.attempt,
        "since": _since(refined),
    }


def _policy(refined: sync_pb2.Refined) -> PolicyDocument | None:
    try:
        return read_policy(refined.policy_document)
    except ManifestError:
        return None


def _since(refined: sync_pb2.Refined) -> str:
    return datetime.fromtimestamp(refined.since_time.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
