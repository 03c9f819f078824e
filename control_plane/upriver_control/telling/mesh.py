"""The mesh in words: what is wrong at an agent, as the terminal and the console both say it."""

from typing import Final

from upriver.v1 import mesh_pb2 as pb

BUSY: Final = 0.9
"""An agent with this share of its inflight requests taken is called busy: it soon has to refuse some."""


def troubles(agent: pb.MeshAgent) -> tuple[str, ...]:
    """What is degraded or alarmed there, the worst first; empty when nothing is."""
    found = [f"ALARM {model}" for model in agent.alarms]
    if not agent.connected:
        return (*found, "not connected")
    if not agent.in_sync:
        found.append("not as desired")
    if agent.load >= BUSY:
        found.append(f"busy: {agent.load:.0%} taken")
    return tuple(found)


def is_grave(agent: pb.MeshAgent) -> bool:
    """Whether an alarm rings or it is gone, and not only something to look at."""
    return bool(agent.alarms) or not agent.connected


def runs(agent: pb.MeshAgent) -> str:
    """What answers there: `digits v3, doors v1`; `nothing` where nothing does."""
    return ", ".join(_version(name) for name in agent.versions) or "nothing"


def _version(name: str) -> str:
    model, _, version = name.removeprefix("models/").partition("/versions/")
    return f"{model} {version}".rstrip()
