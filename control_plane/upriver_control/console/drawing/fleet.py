"""The fleet in tables: what each agent should run against what it runs, why they differ and since when."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from upriver.v1 import fleet_pb2 as pb
from upriver.v1 import sync_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import audits as audits_telling
from upriver_control.telling import fleet as telling

_DIFFERING: Final = (
    "agent",
    "should run",
    Column("runs", narrow=False),
    "why not",
    "for",
    Column("needs", narrow=False),
    Column("seen", narrow=False),
)
_ALL: Final = (
    "agent",
    "tier",
    Column("region", narrow=False),
    "seen",
    Column("load", numbers=True, narrow=False),
    Column("runs", narrow=False),
    "as desired",
    Column("program", narrow=False),
)


def differing(agents: Sequence[pb.Agent], total: int) -> Markup:
    """Slots that are not as desired, one a row; `total` is how many agents have some."""
    if not total:
        return tag("p", {"class": "good"}, "Every agent runs what it should.")
    rows = [
        Row(
            (
                telling.agent_id(agent),
                f"{slot.model} {telling.wanted(slot)}",
                telling.answering(slot),
                slot.difference,
                _whole(telling.lasting([slot]) or "0 s"),
                slot.needs or units.NONE,
                _seen(agent),
            ),
            key=f"{telling.agent_id(agent)} {slot.model} differs",
            href=link(telling.agent_id(agent)),
            tone="warn" if agent.connected else "bad",
        )
        for agent in agents
        for slot in telling.different(agent)
    ]
    shown = table(f"Not as desired: {_of(len(agents), total)}", _DIFFERING, rows)
    return join(shown, _more(total - len(agents)))


def listing(agents: Sequence[pb.Agent], total: int, following: str = "", first: str = "") -> Markup:
    """Agents by id; `following` and `first` are the addresses of the next and the first page, where they are others."""
    rows = [_row(agent) for agent in agents]
    back = tag("a", {"href": first, "class": "button"}, "First agents") if first else None
    onwards = tag("a", {"href": following, "class": "button", "rel": "next"}, "Next agents") if following else None
    pages = tag("p", None, back, " ", onwards) if back or onwards else None
    return join(table(f"Agents by id: {_of(len(agents), total)}", _ALL, rows), pages)


def about(agent: pb.Agent, now: datetime) -> Markup:
    """What one agent is, slots aside."""
    told: list[tuple[str, Child]] = [(name.capitalize(), value) for name, value in telling.about(agent)]
    if agent.connected:
        told.insert(0, ("Load", f"{units.share(agent.load)} of its places for requests taken"))
        told.insert(0, ("Last status", units.ago(agent.last_seen_time, now)))
    return words.facts(*told)


def state(agent: pb.Agent) -> Markup:
    """How one agent is, in chips: connected, as desired, alarms."""
    chips = [_seen(agent)]
    chips.append(words.chip("as desired", "good") if agent.in_sync else words.chip("not as desired", "warn"))
    chips += [words.chip(f"ALARM {slot.model}", "bad") for slot in agent.slots if rings(slot.reported)]
    return tag("p", None, *(join(chip, " ") for chip in chips))


def slots(agent: pb.Agent) -> Markup:
    """Each slot: what it should run against what it says, and what its active pair has done."""
    if not agent.slots:
        return words.nothing(
            "It runs nothing, and nobody wants it to run anything.",
            f"upriver rollout start MODEL/VERSION --selector agent={telling.agent_id(agent)}",
            "A rollout that selects it brings it a version.",
        )
    return tag("div", {"class": "columns"}, *(_slot(number, slot) for number, slot in enumerate(agent.slots)))


def remarks(agent: pb.Agent) -> Markup:
    """Alarms, why a pair failed, stale certificates, and what was refined there."""
    said = []
    for slot in agent.slots:
        report = slot.reported
        if rings(report):
            said.append(("bad", f"{slot.model}: {audits_telling.told(report.monitor)}; everything goes up"))
        if report.reason:
            failed = telling.failure(report)
            said.append(("warn", f"{slot.model}: {f'{failed}: ' if failed else ''}{report.reason}"))
        if slot.stale:
            said.append(("warn", f"{slot.model}: its certificate is stale: {slot.stale}"))
        if refined := telling.refined(report):
            said.append(("", f"{slot.model}: {refined}"))
    return tag("ul", {"class": "remarks"}, *(tag("li", {"class": tone}, text) for tone, text in said))


def rings(report: sync_pb2.SlotReport) -> bool:
    """Whether the alarm of a slot's pair rings."""
    return report.monitor.HasField("alarm_time")


def ways(agent: str) -> Markup:
    """From an agent's page to what belongs to it."""
    return tag(
        "p",
        None,
        tag("a", {"href": "/fleet"}, "All agents"),
        " · ",
        tag("a", {"href": f"/questions?agent={quote(agent, safe='')}"}, "Questions that went through it"),
    )


def link(agent: str) -> str:
    """An agent's page."""
    return f"/fleet/{quote(agent, safe='')}"


def _row(agent: pb.Agent) -> Row:
    different = telling.different(agent)
    alarm = any(rings(slot.reported) for slot in agent.slots)
    cells: tuple[Child, ...] = (
        telling.agent_id(agent),
        _whole(agent.tier or units.NONE),
        agent.region or units.NONE,
        _seen(agent),
        units.share(agent.load) if agent.connected else units.NONE,
        ", ".join(telling.runs(slot) for slot in agent.slots) or "nothing",
        _whole(f"no, for {telling.lasting(different) or '0 s'}" if different else "yes"),
        agent.program_version,
    )
    tone = "bad" if alarm or not agent.connected else "warn" if different else ""
    return Row(cells, key=telling.agent_id(agent), href=link(telling.agent_id(agent)), tone=tone)


def _slot(number: int, slot: pb.AgentSlot) -> Markup:
    """`number` tells its heading from the others'."""
    report = slot.reported
    model = f"/models/{quote(slot.model, safe='')}"
    rollout = slot.rollout.removeprefix("rollouts/")
    is_wanted = bool(rollout) or slot.HasField("desired")
    return tag(
        "section",
        {"class": "card", "aria-labelledby": f"slot-{number}"},
        tag("h2", {"id": f"slot-{number}"}, tag("a", {"href": model}, slot.model)),
        tag("p", {"class": "warn"}, slot.difference) if slot.difference else None,
        words.facts(
            ("Should run", telling.wanted(slot) if is_wanted else "nobody wants anything"),
            ("Runs", telling.answering(slot)),
            ("State", telling.state(report)),
            ("As desired", f"no, for {telling.lasting([slot]) or '0 s'}" if slot.difference else "yes"),
            ("Needs", slot.needs),
            ("Wanted by", tag("a", {"href": model}, rollout) if rollout else None),
        ),
        *(_counted(report) if report.HasField("active") else (tag("p", {"class": "quiet"}, "Nothing answers there."),)),
    )


def _counted(report: sync_pb2.SlotReport) -> tuple[Markup, Markup]:
    counted = report.counters
    share = units.share(counted.escalated_rows / counted.rows) if counted.rows else units.NONE
    p95_s = telling.slowest_s(counted, 0.95)
    active = f" {units.age(units.seconds(report.active_for))} ago" if report.HasField("active_for") else ""
    return (
        tag("h3", None, f"Counted since {telling.answering(pb.AgentSlot(reported=report))} became active{active}"),
        words.facts(
            ("Rows answered", units.count(counted.rows)),
            ("Of them up", f"{units.count(counted.escalated_rows)} ({share})"),
            ("Failures", units.count(counted.failures)),
            ("95 of 100 runs took at most", units.NONE if p95_s is None else units.ms(p95_s)),
            ("Audits", audits_telling.told(report.monitor) or "none"),
        ),
    )


def _seen(agent: pb.Agent) -> Markup:
    return words.chip(telling.contact(agent), "good" if agent.connected else "bad")


def _whole(told: str) -> Markup:
    """In one line."""
    return tag("span", {"class": "whole"}, told)


def _of(shown: int, total: int) -> str:
    return f"{shown:,} of {total:,} agents" if shown < total else f"{total:,} {'agent' if total == 1 else 'agents'}"


def _more(left: int) -> Markup | None:
    told = f"{left:,} more agents are not as desired; a selector shows them."
    return tag("p", {"class": "quiet"}, told) if left > 0 else None
