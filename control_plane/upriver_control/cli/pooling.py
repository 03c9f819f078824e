"""How an agent pools what it has learnt, as `upriver fleet show` tells it."""

from typing import Any

from upriver.v1 import sync_pb2 as pb


def pooling_document(told: pb.PoolingReport) -> dict[str, Any]:
    """For programs."""
    return {
        "parent": told.parent,
        "standing": told.standing,
        "children": told.children,
        "agents": told.agents,
        "trouble": told.trouble,
        "epsilon": told.epsilon,
        "delta": told.delta,
    }


def pooling_told(told: pb.PoolingReport) -> str:
    """For people, in a line."""
    if not told.parent:
        return f"with nobody so far{f': {told.trouble}' if told.trouble else ''}"
    told_to = f"with {told.parent}, for {told.agents} agents" if told.agents > 1 else f"with {told.parent}"
    hidden = f", lessons hidden by noise: epsilon {told.epsilon:.3g} at delta {told.delta:g}" if told.epsilon else ""
    trouble = f"; {told.trouble}" if told.trouble else ""
    return f"{told_to} ({told.standing or 'nothing was sent yet'}){hidden}{trouble}"
