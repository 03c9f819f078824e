"""When models are certified anew without being asked: an agent's alarm, but not too often. Pure."""

import math
from collections.abc import Iterable, Mapping

from upriver_control.jobs.model import Job, TierResult
from upriver_control.jobs.work import JobState
from upriver_control.observed import AgentFacts


def alarmed(agents: Iterable[AgentFacts]) -> Mapping[str, frozenset[str]]:
    """The models whose alarm rings on some agent that is connected, and the tiers of those agents.

    Not where it is that of a pair which the agent has refined: it goes back to the one that it was made of by itself.
    """
    found: dict[str, set[str]] = {}
    for facts in agents:
        for model, slot in facts.slots.items():
            if facts.connected and slot.refined is None and slot.monitor.alarm_since > 0.0:
                found.setdefault(model, set()).add(facts.tier)
    return {model: frozenset(tiers) for model, tiers in found.items()}


def is_due(newest: Job | None, now: float, every_s: float) -> bool:
    """Whether a model may be certified anew, by the newest time that this was done without being asked.

    Where audits were too few then, more have come a while later.
    """
    if newest is None:
        return True
    wanting = newest.result is not None and newest.result.missing > 0
    return now - newest.created >= (waiting_s(every_s) if wanting else every_s)


def waiting_s(every_s: float) -> float:
    """How long audits are gathered after an alarm before the first try, and between tries that had too few."""
    return every_s / 24.0


def to_roll_out(job: Job) -> tuple[TierResult, ...]:
    """The tiers whose new policies are to be rolled out.

    Not those that always escalate for lack of audits: that is no evidence against what the other agents run.
    """
    if job.state is not JobState.SUCCEEDED or job.result is None:
        return ()
    return tuple(tier for tier in job.result.tiers if tier.policy and (tier.threshold < math.inf or not tier.missing))
