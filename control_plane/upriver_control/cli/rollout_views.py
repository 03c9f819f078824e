"""Rollouts on the terminal and as JSON."""

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from upriver.v1 import rollout_pb2 as pb
from upriver_control.telling.rollouts import ENDED, failures, ring_size, short_version, state_name
from upriver_control.telling.times import moment

_COLOURS = {
    "completed": "green",
    "progressing": "cyan",
    "soaking": "cyan",
    "rolling-back": "red",
    "rolled-back": "red",
    "paused": "yellow",
    "superseded": "yellow",
    "cancelled": "yellow",
}
_BAR = 10  # with it a line fits a terminal of 80 columns


def document(rollout: pb.Rollout) -> dict[str, Any]:
    """A rollout for programs. Figures that are not known are null."""
    return {
        "name": rollout.name,
        "version": rollout.pair.version,
        "version_digest": rollout.pair.version_digest,
        "policy": rollout.pair.policy_document,
        "selector": rollout.selector,
        "state": state_name(rollout),
        "reason": rollout.reason,
        "generation": rollout.generation,
        "ring": rollout.ring,
        "rings": [
            {
                "size": ring_size(rollout, number),
                "agents": status.agents,
                "released": status.released,
                "active": status.active,
                "failed": status.failed,
                "offline": status.offline,
                "failures": dict(status.failures),
                "agreement": _known(status.agreement),
                "latency_ratio": _known(status.latency_ratio),
                "escalation_rate": _known(status.escalation_rate),
            }
            for number, status in enumerate(rollout.rings)
        ],
        "created": moment(rollout.create_time),
        "updated": moment(rollout.update_time),
        "ended": moment(rollout.end_time) if rollout.HasField("end_time") else None,
    }


def view(rollout: pb.Rollout) -> RenderableType:
    """A rollout with its rings, as it is shown and watched."""
    state = state_name(rollout)
    title = Text.assemble(
        (rollout.name.removeprefix("rollouts/"), "bold"),
        f"  {short_version(rollout.pair.version)}",
        f"  to {rollout.selector or 'all agents'}  ",
        (state, _COLOURS.get(state, "")),
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("ring", "", "agents", "told", "active", "failed", "offline", "agree", "p95", "go up"):
        table.add_column(name, justify="left" if name in ("ring", "") else "right", no_wrap=True)
    for number, status in enumerate(rollout.rings):
        current = number == rollout.ring and state not in ENDED
        table.add_row(
            f"{'>' if current else ' '} {number + 1} ({ring_size(rollout, number)})",
            _bar(status),
            str(status.agents),
            str(status.released),
            str(status.active),
            f"[red]{status.failed}[/]" if status.failed else "0",
            str(status.offline),
            _figure(status.agreement, "{:.1%}"),
            _figure(status.latency_ratio, "{:.2f}x"),
            _figure(status.escalation_rate, "{:.1%}"),
        )
    lines: list[RenderableType] = [title, table]
    if rollout.reason:
        lines.append(Text(rollout.reason, style="red" if state.startswith("roll") else "dim"))
    for reason, count in failures(rollout)[:5]:
        lines.append(Text(f"  {count} x {reason}", style="red"))
    return Group(*lines)


def listing(rollouts: list[pb.Rollout]) -> Table:
    """Many rollouts, one a line."""
    table = Table(box=None, pad_edge=False)
    table.add_column("rollout", no_wrap=True)  # other commands want it, so on a narrow terminal the others give way
    for name in ("version", "selector", "state", "ring", "active", "failed", "since"):
        table.add_column(name)
    for rollout in rollouts:
        state = state_name(rollout)
        agents = sum(status.agents for status in rollout.rings)
        table.add_row(
            escape(rollout.name.removeprefix("rollouts/")),
            escape(short_version(rollout.pair.version)),
            escape(rollout.selector or "all"),
            f"[{_COLOURS.get(state, 'none')}]{state}[/]",
            f"{rollout.ring + 1}/{len(rollout.strategy.rings)}",
            f"{sum(status.active for status in rollout.rings)}/{agents}",
            str(sum(status.failed for status in rollout.rings)),
            moment(rollout.create_time),
        )
    return table


def line(rollout: pb.Rollout) -> str:
    """One line, for logs and pipes."""
    active, agents = sum(one.active for one in rollout.rings), sum(one.agents for one in rollout.rings)
    failed = sum(one.failed for one in rollout.rings)
    more = f": {rollout.reason}" if rollout.reason else ""
    ring = f"ring {rollout.ring + 1} of {len(rollout.strategy.rings)}"
    return f"{rollout.name} {state_name(rollout)}, {ring}, {active} of {agents} active, {failed} failed{more}"


def _bar(status: pb.RingStatus) -> str:
    total = max(1, status.agents)
    active, failed = (round(_BAR * min(count, total) / total) for count in (status.active, status.failed))
    failed = min(_BAR - active, max(failed, 1 if status.failed else 0)) if active < _BAR else 0
    return f"[green]{'█' * active}[/][red]{'█' * failed}[/][dim]{'░' * (_BAR - active - failed)}[/]"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)
