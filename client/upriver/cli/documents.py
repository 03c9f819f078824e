"""Answers, tickets, errors and agents as JSON documents. What JSON has no number for (NaN, infinities) is null."""

import math
from datetime import UTC, datetime
from typing import Any

from upriver.answer import Answer
from upriver.discovery.port import AgentRecord
from upriver.errors import UpriverError
from upriver.tickets import Ticket

_TOP = 5


def answer_document(answer: Answer) -> dict[str, Any]:
    """An answer; the outputs themselves only when the model does not classify."""
    document: dict[str, Any] = {
        "label": answer.label,
        "index": answer.index,
        "confidence": plain(answer.confidence),
        "resolved": answer.resolved,
        "tier": answer.tier,
        "agent": answer.agent,
        "path": list(answer.path),
        "reason": answer.reason,
        "degraded": answer.degraded,
        "trace_id": answer.trace_id,
        "ticket": answer.ticket,
        "model": answer.model,
        "version": answer.version,
        "policy": answer.policy,
        "latency_ms": round(answer.latency_s * 1000, 3),
        "top": [{"label": label, "probability": plain(chance)} for label, chance in answer.top(_TOP)],
    }
    if answer.probabilities is None:
        document["outputs"] = {name: plain(array.tolist()) for name, array in answer.outputs.items()}
    return document


def ticket_document(ticket: Ticket) -> dict[str, Any]:
    """A ticket as JSON has it; times are RFC 3339, null for one that has not come."""
    document: dict[str, Any] = {
        "id": ticket.id,
        "model": ticket.model,
        "state": ticket.state.value,
        "waiting": ticket.waiting.value or None,
        "created": rfc3339(ticket.created_at),
        "expires": rfc3339(ticket.expires_at),
        "answered": rfc3339(ticket.answered_at),
        "answered_by": ticket.answered_by or None,
        "attempts": ticket.attempts,
        "guess": answer_document(ticket.guess),
        "answer": None if ticket.answer is None else answer_document(ticket.answer),
    }
    if ticket.inputs is not None:
        document["inputs"] = {
            name: {"datatype": str(array.dtype) if array.dtype.kind != "O" else "BYTES", "shape": list(array.shape)}
            for name, array in ticket.inputs.items()
        }
    return document


def error_document(error: UpriverError) -> dict[str, str]:
    """An error: its stable reason and its text."""
    return {"reason": error.reason, "message": str(error)}


def agent_document(record: AgentRecord) -> dict[str, Any]:
    """An agent as discovery knows it."""
    return {
        "agent": record.agent,
        "tier": record.tier,
        "region": record.region,
        "address": record.address,
        "healthy": record.healthy,
        "tls": record.tls,
        "load": plain(record.load),
        "models": {
            name: {"version": served.version, "digest": served.digest} for name, served in record.models.items()
        },
    }


def rfc3339(at: float) -> str | None:
    """A Unix time in words, in UTC; None for 0."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None


def plain(value: Any) -> Any:
    """A value of lists, numbers and texts as JSON can have it."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
