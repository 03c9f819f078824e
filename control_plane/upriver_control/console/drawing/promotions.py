"""What was learnt and answers, or was tried: heads of regions and of single agents, each with its certificate."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from upriver.v1 import fleet_pb2, region_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import learning
from upriver_control.telling.fleet import agent_id

MOST: Final = 50
"""Rows of each table."""
FEW: Final = 3
"""Heads that did not pass are shown at once where they are no more and nothing else is there."""
_TONES: Final = {"passed": "good", "open": "", "failed": "warn", "withdrawn": "quiet"}
_STATES: Final = {"passed": "passed", "open": "being tried", "failed": "did not pass", "withdrawn": "withdrawn"}


def of_regions(heads: Sequence[region_pb2.RegionHead], now: datetime) -> Markup:
    """Heads that are, or were, tried in regions, newest first."""
    columns = (
        Column("Region"),
        Column("Model", narrow=False),
        Column("State"),
        Column("Learnt from", narrow=False),
        Column("Certificate"),
        Column("Tried since", narrow=False),
    )
    hopeful = [head for head in heads if head.state in ("passed", "open")]
    others = [head for head in heads if head.state not in ("passed", "open")]
    drawn = []
    if hopeful:
        rows = [_head(head, now) for head in hopeful[:MOST]]
        drawn.append(table(f"Heads of regions that passed or are tried{_more(len(hopeful))}", columns, rows))
    if others:
        rows = [_head(head, now) for head in others[:MOST]]
        told = "1 head of a region did not pass" if len(others) == 1 else f"{len(others)} heads of regions did not pass"
        below = table(f"Heads of regions that did not pass{_more(len(others))}", columns, rows)
        closed = {"open": not hopeful and len(others) <= FEW}
        drawn.append(tag("details", closed, tag("summary", None, told), below))
    return join(*drawn)


def of_agents(agents: Iterable[fleet_pb2.Agent], model: str, now: datetime) -> Markup:
    """What single agents refined from their own lessons and answer with, newest first; nothing without any."""
    found = [
        (agent, slot)
        for agent in agents
        for slot in agent.slots
        if (slot.reported.HasField("refined") or slot.reported.unrefined) and model in ("", _name(slot))
    ]
    if not found:
        return Markup()
    found.sort(key=lambda one: (-one[1].reported.refined.since_time.seconds, one[0].name, one[1].model))
    columns = (
        Column("Agent"),
        Column("Model", narrow=False),
        Column("State"),
        Column("Learnt from", narrow=False),
        Column("Certificate"),
        Column("Answers since", narrow=False),
    )
    return table(
        f"Heads of single agents{_more(len(found))}", columns, [_slot(agent, slot, now) for agent, slot in found[:MOST]]
    )


def nothing() -> Markup:
    """Where there are none of either."""
    return words.nothing(
        "Nothing that was learnt answers yet, and nothing is tried.",
        "[learning]\nenabled = true\n\n[audits]\nenabled = true",
        "An agent with this learns from what is answered above; a head answers once held-out questions prove it.",
    )


def _head(head: region_pb2.RegionHead, now: datetime) -> Row:
    state = words.chip(_STATES.get(head.state, head.state), _TONES.get(head.state, ""))
    certificate = join(
        tag("span", None, learning.head_certificate(head) or "its test is still to come"),
        _small(head.reason or learning.head_gain(head)),
    )
    learnt = f"{units.count(head.lessons)} lessons of {learning.head_scope(head)}, {units.count(head.agents)} agents"
    model = head.model.removeprefix("models/")
    cells = (head.region or "no region", _model(model), state, learnt, certificate, units.ago(head.create_time, now))
    return Row(cells, key=f"{head.region} {head.head_digest}", tone=_TONES.get(head.state, "").replace("quiet", ""))


def _slot(agent: fleet_pb2.Agent, slot: fleet_pb2.AgentSlot, now: datetime) -> Row:
    name, model = agent_id(agent), _name(slot)
    if not slot.reported.HasField("refined"):
        cells = (name, _model(model), words.chip("taken back", "warn"), units.NONE, slot.reported.unrefined, units.NONE)
        return Row(cells, key=f"{name} {model}", href=_fleet(name), tone="warn")
    refined = slot.reported.refined
    cells = (
        name,
        _model(model),
        words.chip("answers", "good"),
        f"{units.count(refined.lessons)} lessons of its own, attempt {refined.attempt}",
        learning.refined_certificate(refined),
        units.ago(refined.since_time, now),
    )
    return Row(cells, key=f"{name} {model}", href=_fleet(name), tone="good")


def _more(found: int) -> str:
    return f", the newest {MOST} of {found}" if found > MOST else ""


def _name(slot: fleet_pb2.AgentSlot) -> str:
    return slot.model.removeprefix("models/")


def _fleet(name: str) -> str:
    return f"/fleet/{quote(name, safe='')}"


def _model(name: str) -> Markup:
    return tag("a", {"href": f"/models/{quote(name, safe='')}"}, name)


def _small(text: str) -> Markup | None:
    return tag("div", {"class": "quiet"}, text) if text else None
