"""A rollout as its own card: what it does, ring by ring, what its gates look at, and what can be asked of it."""

from typing import Final

from upriver.v1 import rollout_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing import rings
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import rollouts as telling

WIDE: Final = 1160.0
NARROW: Final = 320.0
_TONES: Final = {
    "completed": "good",
    "paused": "warn",
    "rolling-back": "bad",
    "rolled-back": "bad",
    "cancelled": "quiet",
    "superseded": "quiet",
}
_REASONS: Final = 5


def card(rollout: pb.Rollout) -> Markup:
    """Draws a rollout. Its buttons say by `data-ask` and `data-name` what was asked of which rollout."""
    state, name = telling.state_name(rollout), rollout.name.removeprefix("rollouts/")
    attributes = {"class": "card rollout", "data-rollout": rollout.name, "data-state": state, "aria-label": name}
    return tag(
        "section",
        attributes,
        tag("h3", None, heading(rollout), " ", words.chip(state, _TONES.get(state, ""))),
        tag("p", {"class": "quiet"}, _when(rollout)),
        tag("p", {"class": _TONES.get(state) if state.startswith("roll") else None}, rollout.reason),
        _pictures(rollout),
        _failures(rollout),
        _gates(rollout),
        _buttons(rollout),
    )


def ended(rollouts: list[pb.Rollout]) -> Markup:
    """Rollouts that have ended, one a line, each with what can still be asked of it."""
    columns = (
        Column("Rollout"),
        Column("Ended as"),
        Column("Run it", numbers=True, narrow=False),
        Column("Failed", numbers=True, narrow=False),
        Column("Ended", narrow=False),
        Column("Why", narrow=False),
        Column("Ask"),
    )
    return table("Rollouts that have ended, newest first", columns, [_line(one) for one in rollouts])


def heading(rollout: pb.Rollout) -> str:
    """What is rolled out to whom: `digits/7 to tier=device`."""
    return f"{telling.short_version(rollout.pair.version)} to {rollout.selector or 'all agents'}"


def _when(rollout: pb.Rollout) -> str:
    name, began = rollout.name.removeprefix("rollouts/"), units.day(rollout.create_time)
    soak = units.seconds(rollout.strategy.soak_time)
    soaks = f"each ring soaks for {units.ms(soak)}" if soak else "rings do not soak"
    return f"{name} · began {began} · last changed {units.clock(rollout.update_time)} UTC · {soaks}"


def _pictures(rollout: pb.Rollout) -> Markup:
    state = telling.state_name(rollout)
    found = [
        rings.Ring(
            telling.ring_size(rollout, number),
            status.agents,
            status.released,
            status.active,
            status.failed,
            status.offline,
            number == rollout.ring and state not in telling.ENDED,
        )
        for number, status in enumerate(rollout.rings)
    ]
    return join(
        tag("div", {"class": "wide"}, rings.draw(found, WIDE)),
        tag("div", {"class": "narrow"}, rings.draw(found, NARROW)),
    )


def _failures(rollout: pb.Rollout) -> Markup | None:
    found = telling.failures(rollout)
    if not found:
        return None
    entries = [
        tag("li", {"class": "bad"}, f"{count:,} agents: {reason}" if count > 1 else f"1 agent: {reason}")
        for reason, count in found[:_REASONS]
    ]
    more = len(found) - _REASONS
    return tag("ul", {"class": "plain-list"}, *entries, tag("li", None, f"{more} other reasons") if more > 0 else None)


def _gates(rollout: pb.Rollout) -> Markup | None:
    if not rollout.rings:
        return None
    columns = [Column("Gate"), Column("Bound"), *(Column(f"Ring {1 + ring}") for ring in range(len(rollout.rings)))]
    told = [telling.gates(rollout, status) for status in rollout.rings]
    rows = [
        [first.what, first.bound, *(gates[at].seen or units.NONE for gates in told)] for at, first in enumerate(told[0])
    ]
    return table("What is judged, ring by ring, since their agents moved", columns, rows)


def _buttons(rollout: pb.Rollout) -> Markup | None:
    if not rollout.actions:
        return None
    return tag("p", {"class": "actions"}, *_row_of(rollout))


def _row_of(rollout: pb.Rollout) -> list[Markup]:
    """The buttons. Each is called by its place, so that the focus stays there when what can be asked changes."""
    drawn = []
    for place, action in enumerate(rollout.actions):
        name = pb.RolloutAction.Name(action).removeprefix("ROLLOUT_ACTION_")
        about = {"type": "button", "id": f"ask-{place}-{rollout.name}", "data-ask": name, "data-name": rollout.name}
        drawn.append(tag("button", about, telling.action_name(action)))
    return drawn


def _line(rollout: pb.Rollout) -> Row:
    state, agents = telling.state_name(rollout), sum(one.agents for one in rollout.rings)
    active, failed = sum(one.active for one in rollout.rings), sum(one.failed for one in rollout.rings)
    about = {"data-rollout": rollout.name, "data-state": state}
    cells = (
        tag("span", about, heading(rollout)),
        words.chip(state, _TONES.get(state, "")),
        f"{active:,} of {agents:,}",
        f"{failed:,}",
        units.day(rollout.end_time),
        rollout.reason,
        join(*_row_of(rollout)),
    )
    return Row(cells, key=rollout.name)
