"""What is learnt, in words: heads of regions, pairs that agents refined, trainings. For terminal and pages."""

from upriver.v1 import region_pb2, sync_pb2, train_pb2
from upriver_control.telling.fleet import refined_policy
from upriver_control.telling.policies import percent

ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""States of trainings that nothing leaves."""


def training_state(training: train_pb2.Training) -> str:
    """`running`, `succeeded` and so on."""
    return train_pb2.TrainingState.Name(training.state).removeprefix("TRAINING_STATE_").lower()


def training_doing(training: train_pb2.Training) -> str:
    """What a training does, or why it ended so, or why it was started; empty when it does not say."""
    return training.reason or training.doing or training.trigger


def head_scope(head: region_pb2.RegionHead) -> str:
    """Whose lessons a region's head was learnt from."""
    return "all regions" if head.scope == "global" else "its region"


def head_certificate(head: region_pb2.RegionHead) -> str:
    """What the test of a region's head says; empty before it."""
    if not head.attempt:
        return ""
    seen = f"{head.losses:,} of {head.questions:,} held-out questions lost, counted by {head.counted_by} agents"
    if head.state != "passed":
        return f"{seen}; wanted: at most {percent(head.epsilon)}, in test {head.attempt} at level {head.delta:.3g}"
    promised = f"at most {percent(head.epsilon)} of all questions lost, but for a chance of {percent(head.delta)}"
    return f"{promised}: {seen}, {percent(head.coverage)} pass"


def head_gain(head: region_pb2.RegionHead) -> str:
    """What a region's head answers that was not answered before it; empty before its test."""
    if not head.attempt:
        return ""
    return f"answers {head.gained:,} held-out questions more and {head.given_up:,} fewer than what ran before"


def refined_certificate(refined: sync_pb2.Refined) -> str:
    """What is certified of a pair that an agent refined from its own lessons."""
    policy = refined_policy(refined)
    if policy is None:
        return "its policy can't be read"
    certificate = policy.certificate
    if certificate is None:
        return "not certified"
    seen = f"{certificate.losses:g} of {certificate.questions:,} held-out questions lost"
    chance = percent(certificate.delta)
    return f"at most {percent(certificate.epsilon)} of all questions lost, but for a chance of {chance}: {seen}"
