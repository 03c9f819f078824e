"""What agents made of their pairs by what they learnt, for programs."""

from typing import Any

from upriver.v1 import sync_pb2
from upriver_control.telling.fleet import refined_policy
from upriver_control.telling.times import moment


def refined_document(refined: sync_pb2.Refined) -> dict[str, Any]:
    """A refined pair for programs."""
    policy = refined_policy(refined)
    certificate = None if policy is None else policy.certificate
    return {
        "policy_document": refined.policy_document,
        "head": None if policy is None else policy.head,
        "epsilon": None if certificate is None else certificate.epsilon,
        "delta": None if certificate is None else certificate.delta,
        "lessons": refined.lessons,
        "attempt": refined.attempt,
        "since": moment(refined.since_time),
    }
