"""Which agents are asked: for open tickets, and a question again. Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from upriver_control.observed import AgentFacts

MAX_ASKED: Final = 256
"""Agents that are asked at once."""
MAX_SILENT: Final = 32
"""Of these so many that report no open tickets: their last report may be as old as a new ticket."""
REPORTED: Final = "tickets_open"
"""Among an agent's decisions: how many it reported."""


class Choice(NamedTuple):
    """Whom to ask, and who has tickets and is not asked, with why."""

    asked: tuple[str, ...]
    left_out: dict[str, str]


def whom_to_ask(agents: Iterable[AgentFacts], model: str = "") -> Choice:
    """Agents that report open tickets first, those with most of them before others; with a model those that serve it.

    What is not connected is left out, and told of where it had tickets.
    """
    reported: list[tuple[int, str]] = []
    silent: list[str] = []
    left_out: dict[str, str] = {}
    for facts in agents:
        if model and facts.slots and model not in facts.slots and facts.decisions.get(REPORTED, 1) == 0:
            continue
        count = facts.decisions.get(REPORTED)
        if not facts.connected:
            if count:
                left_out[facts.agent] = f"it is not connected; when it was, {count} tickets waited there"
        elif count == 0:
            silent.append(facts.agent)
        else:  # without a count it is an older program, or it has not told yet
            reported.append((-(count or 0), facts.agent))
    reported.sort()
    asked = [agent for _, agent in reported[:MAX_ASKED]]
    left_out |= {
        agent: f"{MAX_ASKED} agents are asked at once, and others have more tickets: name a model, or answer those"
        for _, agent in reported[MAX_ASKED:]
    }
    asked += sorted(silent)[: min(MAX_SILENT, MAX_ASKED - len(asked))]
    return Choice(tuple(asked), left_out)


def reported_by(agents: Iterable[AgentFacts]) -> int:
    """Open tickets that agents which are connected last reported, of all models together."""
    return sum(facts.decisions.get(REPORTED, 0) for facts in agents if facts.connected)


def who_answers(agents: Iterable[AgentFacts], tier: str, model: str) -> list[str]:
    """Agents of a tier that may answer for a model, those first that say they serve it, then by load."""
    found = [
        (not _serves(facts, model), facts.load, facts.agent)
        for facts in agents
        if facts.tier == tier and facts.connected and facts.address and not facts.draining
    ]
    return [agent for _, _, agent in sorted(found)]


def _serves(facts: AgentFacts, model: str) -> bool:
    slot = facts.slots.get(model)
    return slot is not None and slot.active is not None
