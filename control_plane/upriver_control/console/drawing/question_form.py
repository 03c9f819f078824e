"""The filters of questions: a plain form, whose fields stand in the page's address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.parameters import Reason
from upriver_control.console.asked import FLAGS, LASTS, PATH, Asked
from upriver_control.console.drawing.svg import Markup, Value, join, tag

_LABELS: Final[Mapping[str, str]] = {
    "q": "search",
    "model": "model",
    "version": "version",
    "agent": "agent",
    "tier": "through tier",
    "region": "region",
    "reason": "reason",
    "answered": "answered by tier",
    "last": "last",
    "slow": "at least ms",
    "from": "from",
    "to": "until",
    "flag": "",
    "hops": "every hop",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the fields suggest."""

    models: Sequence[str] = ()
    versions: Sequence[str] = ()
    agents: Sequence[str] = ()
    tiers: Sequence[str] = ()
    regions: Sequence[str] = ()


def draw(asked: Asked, known: Known) -> Markup:
    """The form; those fields that are used most stand open."""
    flag = asked.flags[0] if asked.flags else ""
    more = any((asked.version, asked.agent, asked.tier, asked.region, asked.since, asked.until, asked.slow, asked.hops))
    return tag(
        "form",
        {"method": "get", "action": PATH, "class": "filters", "role": "search", "aria-label": "Questions"},
        tag(
            "div",
            {"class": "filter-row"},
            _search(asked.q),
            _choice("model", "Model", asked.model, [(name, name) for name in known.models], "all models"),
            _choice("answered", "Answered by", asked.answered, [(name, name) for name in known.tiers], "any tier"),
            _choice("reason", "Why", asked.reason, [(name.value, name.value) for name in Reason], "any reason"),
            _choice("flag", "Remarkable", flag, [(name, name) for name in FLAGS], "anything"),
            *(tag("input", {"type": "hidden", "name": "flag", "value": one}) for one in asked.flags[1:]),
            _choice("last", "Last", asked.last, [(key, last.words) for key, last in LASTS.items()], "all that is kept"),
            tag("button", {"type": "submit"}, "Show"),
        ),
        tag(
            "details",
            {"open": more},
            tag("summary", None, "More filters"),
            tag(
                "div",
                {"class": "filter-row"},
                _choice("tier", "Through tier", asked.tier, [(name, name) for name in known.tiers], "any"),
                _text("agent", "Agent", asked.agent, known.agents),
                _text("region", "Region", asked.region, known.regions),
                _text("version", "Version's digest", asked.version, known.versions),
                _text("slow", "At least, ms", asked.slow, (), kind="number"),
                _text("from", "From, UTC", asked.since, (), kind="datetime-local"),
                _text("to", "Until, UTC", asked.until, (), kind="datetime-local"),
                _hops(asked.hops),
            ),
        ),
    )  # fmt: skip


def chosen(asked: Asked) -> Markup:
    """The filters that are set, each with a link that takes it away; and what of the address could not be used."""
    links = [tag("li", None, _taken_away(asked, name, value)) for name, value in asked.pairs() if name in _LABELS]
    if links:
        links.append(tag("li", None, tag("a", {"href": PATH}, "Clear")))
    problems = [tag("p", {"class": "bad", "role": "alert"}, problem) for problem in asked.problems]
    return join(tag("ul", {"class": "chosen", "aria-label": "Filters"}, *links) if links else None, *problems)


def _taken_away(asked: Asked, name: str, value: str) -> Markup:
    shown = _LABELS[name] if name == "hops" else f"{_LABELS[name]} {value}".strip()
    sign = tag("span", {"aria-hidden": "true"}, " \u00d7")
    told = tag("span", {"class": "unseen"}, ": take this filter away")
    return tag("a", {"href": _without(asked, name, value), "class": "chip"}, shown, sign, told)


def _without(asked: Asked, name: str, value: str) -> str:
    if name == "flag":
        return asked.address(flags=tuple(flag for flag in asked.flags if flag != value))
    field = {"from": "since", "to": "until"}.get(name, name)
    return asked.address(**{field: False if name == "hops" else ""})


def _search(value: str) -> Markup:
    return tag(
        "div",
        {"class": "field field-search"},
        tag("label", {"for": "q"}, "Search"),
        tag("input", {
            "id": "q", "name": "q", "type": "search", "value": value, "data-search": True,
            "placeholder": "trace, question or agent", "autocomplete": "off", "spellcheck": "false",
        }),
    )  # fmt: skip


def _choice(name: str, label: str, value: str, options: Sequence[tuple[str, str]], none: str) -> Markup:
    known = list(options)
    if value and value not in dict(known):
        known.append((value, value))
    entries = [
        tag("option", {"value": key, "selected": key == value}, shown) for key, shown in [("", none), *known]
    ]  # fmt: skip
    return tag(
        "div",
        {"class": "field"},
        tag("label", {"for": f"f-{name}"}, label),
        tag("select", {"id": f"f-{name}", "name": name, "data-now": True}, *entries),
    )


def _text(name: str, label: str, value: str, suggested: Sequence[str], kind: str = "text") -> Markup:
    entry: dict[str, Value] = {"id": f"f-{name}", "name": name, "type": kind, "value": value, "autocomplete": "off"}
    limits: dict[str, Value] = {"min": "0", "step": "any"} if kind == "number" else {}
    suggestions = tag("datalist", {"id": f"l-{name}"}, *(tag("option", {"value": one}) for one in suggested))
    return tag(
        "div",
        {"class": "field"},
        tag("label", {"for": f"f-{name}"}, label),
        tag("input", {**entry, **limits, "list": f"l-{name}" if suggested else None}),
        suggestions if suggested else None,
    )


def _hops(value: bool) -> Markup:
    box: dict[str, Value] = {"id": "f-hops", "name": "hops", "type": "checkbox", "value": "1", "checked": value}
    return tag("div", {"class": "field field-check"}, tag("input", box), tag("label", {"for": "f-hops"}, "Every hop"))
