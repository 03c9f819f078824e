"""Rollouts in words: their states, the sizes of their rings, why agents failed."""

from collections.abc import Sequence
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
