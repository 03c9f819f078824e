"""How audits of a model stand, agent by agent."""

from collections.abc import Iterable, Sequence
from typing import Final

from upriver.v1 import audit_pb2, fleet_pb2
from upriver.v1 import policy_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import policies as telling
from upriver_control.telling.audits import interval, told
from upriver_control.telling.fleet import agent_id
from upriver_control.telling.names import short

_SHOWN: Final = 200


def monitors(model: str, agents: Iterable[fleet_pb2.Agent]) -> Markup:
    """How audits of a model stand on each agent, alarms first."""
    slots = [(agent, slot) for agent in agents for slot in agent.slots if slot.model == model]
    slots.sort(key=lambda pair: (not pair[1].reported.monitor.HasField("alarm_time"), pair[0].name))
    if not slots:
        return words.nothing(f"No agent has {model} yet.", f"upriver rollout start {model}/VERSION", "")
    columns = (
        Column("Agent"),
        Column("Tier", narrow=False),
        Column("Certificate"),
        Column("Audits", numbers=True),
        Column("Differ", numbers=True),
        Column("Audited now", numbers=True, narrow=False),
        Column("Said", narrow=False),
    )
    more = f"; {_SHOWN} of {len(slots):,}, alarms first" if len(slots) > _SHOWN else ""
    caption = f"Monitors by agent, since the pair was first active there{more}"
    return table(caption, columns, [_monitor(agent, slot) for agent, slot in slots[:_SHOWN]])


def audits(model: str, found: Sequence[audit_pb2.AuditSummary], known: Iterable[pb.Policy]) -> Markup:
    """Audits by agent and policy, with where the share that differs lies."""
    if not found:
        return words.nothing(
            f"No audits of {model} yet.", "", "Agents whose policy has a certificate audit themselves."
        )
    names = {one.digest: short(one.name) for one in known}
    columns = (
        Column("Agent"),
        Column("Tier", narrow=False),
        Column("Policy", narrow=False),
        Column("Audits", numbers=True),
        Column("Passed", numbers=True, narrow=False),
        Column("Differ", numbers=True),
        Column("Share", numbers=True),
        Column("Newest", narrow=False),
    )
    more = f"; the first {_SHOWN} of {len(found):,}" if len(found) > _SHOWN else ""
    caption = f"Audits that are kept, by agent and policy; the share is where it lies with 95 % confidence{more}"
    return table(caption, columns, [_audit(one, names) for one in found[:_SHOWN]])


def _monitor(agent: fleet_pb2.Agent, slot: fleet_pb2.AgentSlot) -> Row:
    monitor = slot.reported.monitor
    alarmed = monitor.HasField("alarm_time")
    quiet = words.chip("no alarm", "good") if monitor.watched else words.chip("not watched", "quiet")
    state = words.chip("ALARM", "bad") if alarmed else quiet
    cells = (
        agent_id(agent),
        agent.tier,
        words.chip("stale", "warn") if slot.stale else state,
        f"{monitor.audits:,}",
        f"{monitor.disagreements:,}",
        telling.percent(monitor.rate),
        told(monitor) or units.NONE,
    )
    return Row(cells, agent.name, f"/fleet/{agent_id(agent)}", "bad" if alarmed else "")


def _audit(one: audit_pb2.AuditSummary, names: dict[str, str]) -> Row:
    low, high = interval(one.disagreements, one.passed)
    cells = (
        one.agent,
        one.tier,
        names.get(one.policy_digest, words.digest(one.policy_digest)),
        f"{one.audits:,}",
        f"{one.passed:,}",
        f"{one.disagreements:,}",
        f"{100 * low:.2f} to {100 * high:.2f} %",
        units.day(one.last_time),
    )
    return Row(cells, f"{one.agent} {one.policy_digest}")
