"""How an agent pools what it has learnt, for programs."""

from typing import Any

from upriver.v1 import sync_pb2 as pb


def pooling_document(told: pb.PoolingReport) -> dict[str, Any]:
    """As `upriver fleet show --json` has it."""
    return {
        "parent": told.parent,
        "standing": told.standing,
        "children": told.children,
        "agents": told.agents,
        "trouble": told.trouble,
        "epsilon": told.epsilon,
        "delta": told.delta,
    }
