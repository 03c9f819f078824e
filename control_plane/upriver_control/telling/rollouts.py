"""Rollouts in words: their states and rings, why agents failed, what gates look at, what asking something would do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver.v1 import rollout_pb2 as pb

ENDED: Final = ("completed", "rolled-back", "cancelled", "superseded")
"""The names of states in which nothing happens any more by itself."""


def state_name(rollout: pb.Rollout) -> str:
    """`progressing`, `rolled-back` and so on."""
    return pb.RolloutState.Name(rollout.state).removeprefix("ROLLOUT_STATE_").lower().replace("_", "-")


def ring_size(rollout: pb.Rollout, number: int) -> str:
    """How large a ring was asked to be, `number` from 0: `10`, `25%` or `all`."""
    if number + 1 >= len(rollout.strategy.rings):
        return "all"
    ring = rollout.strategy.rings[number]
    return str(ring.count) if ring.WhichOneof("size") == "count" else f"{ring.percent:g}%"


def failures(rollout: pb.Rollout) -> Sequence[tuple[str, int]]:
    """Why agents failed and how many for each reason, over all rings, the commonest first."""
    counted: dict[str, int] = {}
    for status in rollout.rings:
        for reason, count in status.failures.items():
            counted[reason] = counted.get(reason, 0) + count
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def short_version(version: str) -> str:
    """`models/digits/versions/7` as `digits/7`."""
    return version.removeprefix("models/").replace("/versions/", "/")


@dataclass(frozen=True, slots=True)
class Gate:
    """One bound on what moved agents report: what it is of, the bound, and what a ring shows ("" where nothing yet)."""

    what: str
    bound: str
    seen: str


def gates(rollout: pb.Rollout, status: pb.RingStatus) -> tuple[Gate, ...]:
    """What a ring is judged by, as asked for, beside what it shows. Whether that is a breach is not said here."""
    bounds, settled = rollout.strategy.gates, status.active + status.failed
    found = [
        Gate("agents that failed", f"at most {_share(rollout.strategy.failure_limit)}", f"{status.failed} of {settled}")
    ]
    if bounds.HasField("min_agreement"):
        told = _figure(status.agreement, _share(status.agreement))
        found.append(Gate("shadowed rows that agree", f"at least {_share(bounds.min_agreement)}", told))
    if bounds.HasField("max_latency_ratio"):
        told = _figure(status.latency_ratio, f"{status.latency_ratio:.2f} times")
        found.append(Gate("p95 of the model", f"at most {bounds.max_latency_ratio:g} times the others'", told))
    if bounds.HasField("max_escalation_increase"):
        bound = f"at most {_share(bounds.max_escalation_increase)} more than the others"
        found.append(Gate("rows that go up", bound, _figure(status.escalation_rate, _share(status.escalation_rate))))
    return tuple(found)


def action_name(action: pb.RolloutAction) -> str:
    """`Pause`, `Roll back` and so on."""
    return pb.RolloutAction.Name(action).removeprefix("ROLLOUT_ACTION_").replace("_", " ").capitalize()


def consequence(rollout: pb.Rollout, action: pb.RolloutAction) -> str:
    """What will happen when this is asked of a rollout as it stands, with its agents counted."""
    agents, told = sum(one.agents for one in rollout.rings), sum(one.released for one in rollout.rings)
    active, version = sum(one.active for one in rollout.rings), short_version(rollout.pair.version)
    where = f"It is at ring {rollout.ring + 1} of {max(1, len(rollout.strategy.rings))}: "
    moved = "1 was" if told == 1 else f"{told:,} were"
    stands = f"{where}of {_agents(agents)} {moved} told to move, and {active:,} run {version}. "
    match action:
        case pb.ROLLOUT_ACTION_PAUSE:
            return stands + "No further agent is told until it is resumed. A breach of its gates still rolls it back."
        case pb.ROLLOUT_ACTION_RESUME:
            return stands + f"It goes on; left to be told: {_agents(agents - told)}."
        case pb.ROLLOUT_ACTION_CANCEL:
            kept = _agents(agents - told, "keeps what it runs", "keep what they run")
            return stands + f"It ends here: {_agents(told, 'stays', 'stay')} on {version}, {kept}."
        case pb.ROLLOUT_ACTION_ROLL_BACK:
            return stands + f"It ends: {_agents(told, 'goes', 'go')} back to what ran there before."
    return stands


def _agents(count: int, one: str = "", more: str = "") -> str:
    return (f"1 agent {one}" if count == 1 else f"{count:,} agents {more}").strip()


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _figure(value: float, text: str) -> str:
    return "" if math.isnan(value) else text
