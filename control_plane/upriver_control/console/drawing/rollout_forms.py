"""The forms in which something is asked of a rollout, and what they say will happen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.v1 import rollout_pb2 as pb
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.telling import rollouts as telling
from upriver_control.telling.strategies import (
    FAILURE_LIMIT,
    MIN_SAMPLE,
    RINGS,
    SOAK,
    read_ratio,
    read_rings,
    read_share,
    read_span,
)

DEFAULTS: Final = {
    "selector": "",
    "rings": RINGS,
    "soak": SOAK,
    "failure_limit": FAILURE_LIMIT,
    "policy": "",
    "min_agreement": "",
    "shadow": "0s",
    "max_latency_ratio": "",
    "max_escalation_increase": "",
}
"""What a form to start a rollout says at first, as the command line does."""
_NAMED: Final = 8
_FIELDS: Final = (
    ("selector", "Agents", "all; or terms such as tier=device,region=eu"),
    ("rings", "Rings: agents in all, ring by ring", ""),
    ("soak", "How long a ring is watched before the next", ""),
    ("failure_limit", "Share of a ring's agents that may fail", ""),
    ("policy", "Policy", "that of the version's manifest; or a policy's name"),
)
_GATES: Final = (
    ("shadow", "Run beside the active pair at most so long first", ""),
    ("min_agreement", "Least share of the rows run so that agree", "any; or such as 95%"),
    ("max_latency_ratio", "Highest p95 of the model, times the others'", "any; or such as 1.5"),
    ("max_escalation_increase", "Further share of rows that may go up", "any; or such as 2%"),
)


@dataclass(frozen=True, slots=True)
class Asking:
    """A dialog: what is asked, and the buttons that answer it. What comes of it stands between them."""

    form: Markup
    buttons: Markup


def question(rollout: pb.Rollout, action: "pb.RolloutAction", agents: Sequence[str]) -> Asking:
    """Asks whether to do something to a rollout: says what will happen; `agents` are those that it decides for now."""
    verb, name = telling.action_name(action), rollout.name.removeprefix("rollouts/")
    reason = None
    if action == pb.ROLLOUT_ACTION_ROLL_BACK:
        reason = _field("reason", "Why, for those who read it later", "", "")
    return _form(
        f"{verb} rollout",
        tag("p", None, f"{name}: {telling.short_version(rollout.pair.version)} to {rollout.selector or 'all agents'}."),
        tag("p", None, telling.consequence(rollout, action)),
        tag("p", {"class": "quiet"}, named(agents)),
        reason,
        danger=action in (pb.ROLLOUT_ACTION_CANCEL, pb.ROLLOUT_ACTION_ROLL_BACK),
    )


def start(version: str) -> Asking:
    """Asks how a version is to be rolled out."""
    fields = [_field(name, label, DEFAULTS[name], hint) for name, label, hint in _FIELDS]
    about = "A newer rollout of the same model takes over from an older one that may meet the same agents."
    told = tag("p", None, f"{telling.short_version(version)}. {about}")
    gates = [_field(name, label, DEFAULTS[name], hint) for name, label, hint in _GATES]
    more = tag("details", None, tag("summary", None, "Gates on what moved agents report"), *gates)
    return _form("Start rollout", told, *fields, more, danger=False, fields=True)


def refused() -> Asking:
    """A dialog that has nothing to ask."""
    return Asking(_title("That can't be asked"), tag("p", {"class": "actions"}, _leave("Close", True)))


def wanted(version: str, fields: Mapping[str, str], request_id: str) -> pb.CreateRolloutRequest:
    """What a filled form asks for; raises ConfigError that names the field which makes no sense."""
    filled = {name: fields.get(name, default).strip() for name, default in DEFAULTS.items()}
    model, policy = version.split("/")[1], filled["policy"]
    strategy = pb.Strategy(
        rings=read_rings(filled["rings"], "rings"),
        soak_time=read_span(filled["soak"], "soak"),
        failure_limit=read_share(filled["failure_limit"], "share that may fail"),
        min_sample=MIN_SAMPLE,
        gates=_gates(filled),
    )
    strategy.activation.shadow_time.CopyFrom(read_span(filled["shadow"], "run beside the active pair"))
    strategy.activation.min_agreement = strategy.gates.min_agreement
    return pb.CreateRolloutRequest(
        version=version,
        selector=filled["selector"],
        strategy=strategy,
        policy=policy if "/" in policy or not policy else f"models/{model}/policies/{policy}",
        request_id=request_id,
    )


def foreseen(agents: int, strategy: pb.Strategy) -> Markup:
    """What starting it will do: how many agents match, and the rings they will be moved in."""
    sizes = [telling.ring_size(pb.Rollout(strategy=strategy), number) for number in range(len(strategy.rings))]
    match = "1 agent matches now" if agents == 1 else f"{agents:,} agents match now"
    rings = f"{len(sizes)} ring{'' if len(sizes) == 1 else 's'} ({', then '.join(sizes)})"
    late = "Agents that match later are moved too."
    return tag("p", {"class": "warn" if not agents else None}, f"{match}. They are moved in {rings}. {late}")


def named(agents: Sequence[str]) -> str:
    """Agents by name, the first few."""
    if not agents:
        return "It decides what runs on no agent yet."
    short = [agent.removeprefix("agents/") for agent in agents]
    more = f" and {len(short) - _NAMED:,} more" if len(short) > _NAMED else ""
    return f"It decides what runs on: {', '.join(short[:_NAMED])}{more}."


def _gates(filled: Mapping[str, str]) -> pb.Gates:
    """Bounds on what moved agents report; fields that are empty bound nothing."""
    agreement, ratio, more = (
        filled[name] for name in ("min_agreement", "max_latency_ratio", "max_escalation_increase")
    )
    return pb.Gates(
        min_agreement=read_share(agreement, "share that agrees") if agreement else None,
        max_latency_ratio=read_ratio(ratio, "highest p95") if ratio else None,
        max_escalation_increase=read_share(more, "further share that may go up") if more else None,
    )


def _form(title: str, *content: Markup | None, danger: bool, fields: bool = False) -> Asking:
    look = {"type": "submit", "form": "asking", "class": "main-action danger" if danger else "main-action"}
    buttons = tag("p", {"class": "actions"}, _leave("Leave it", not fields), tag("button", look, title))
    return Asking(tag("form", {"method": "dialog", "id": "asking"}, _title(title), *content), buttons)


def _title(title: str) -> Markup:
    return tag("h2", {"id": "dialog-title"}, title)


def _leave(word: str, first: bool) -> Markup:
    return tag("button", {"type": "button", "data-leave": True, "data-autofocus": first}, word)


def _field(name: str, label: str, value: str, hint: str) -> Markup:
    key = f"asking-{name}"
    given = {
        "type": "text",
        "id": key,
        "name": name,
        "value": value,
        "placeholder": hint or None,
        "autocomplete": "off",
        "data-autofocus": name == _FIELDS[0][0],
    }
    return tag("p", {"class": "field"}, tag("label", {"for": key}, label), tag("input", given))
