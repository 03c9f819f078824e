"""How long questions took, as columns, and who answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upriver_control.console import units
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.console.ladder import in_order
from upriver_control.console.words import tier_class

FAILED: Final = "failed"
_LABELS: Final = 6
"""Columns that say where they begin, at most."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Questions that took `low_s` or longer and less than `high_s`: how many, by the tier that answered."""

    low_s: float
    high_s: float
    by_tier: Mapping[str, float]

    @property
    def total(self) -> float:
        """How many."""
        return sum(self.by_tier.values())


def draw(bins: Sequence[Bin], p50_s: float | None, p95_s: float | None, ladder: Sequence[str]) -> Markup:
    """Columns by time, each stacked by tier, lowest below. The middle and the 95th of 100 are in the label's words."""
    most = max((one.total for one in bins), default=0.0)
    if not most:
        return Markup()
    label = "How long questions took: " + (
        f"half took no longer than {units.ms(p50_s)}, 95 of 100 no longer than {units.ms(p95_s)}"
        if p50_s is not None and p95_s is not None
        else "no figures"
    )
    step = -(-len(bins) // _LABELS)
    marks = {"p50": p50_s, "p95": p95_s}
    columns = [_column(one, most, ladder, marks, index % step == 0) for index, one in enumerate(bins)]
    return tag("div", {"class": "latency", "role": "img", "aria-label": label}, *columns)


def legend(tiers: Sequence[str], ladder: Sequence[str]) -> Markup:
    """What the colours are."""
    entries = [
        tag("li", None, tag("span", {"class": f"dot {_colour(tier, ladder)}"}), tier or FAILED)
        for tier in in_order(tiers, ladder)
    ]
    return tag("ul", {"class": "legend"}, *entries)


def _column(one: Bin, most: float, ladder: Sequence[str], marks: Mapping[str, float | None], says: bool) -> Markup:
    pieces = [
        tag(
            "span", {"class": f"fill {_colour(tier, ladder)}", "style": f"height:{100 * one.by_tier[tier] / most:.2f}%"}
        )
        for tier in reversed(in_order(one.by_tier, ladder))
    ]
    here = [name for name, value in marks.items() if value is not None and one.low_s <= value < one.high_s]
    told = f"{units.ms(one.low_s)} to {units.ms(one.high_s)}: {units.count(one.total)}"
    return tag(
        "span",
        {"class": "latency-column", "title": told},
        tag("span", {"class": "latency-mark"}, " ".join(here)),
        tag("span", {"class": "latency-stack"}, *pieces),
        tag("span", {"class": "latency-from"}, units.ms(one.low_s) if says else "\u00a0"),
    )


@dataclass(frozen=True, slots=True)
class Share:
    """How often something was so; `colour` is a class, `href` leads to what is counted."""

    name: str
    count: float
    colour: str
    href: str


def shares(caption: str, counts: Sequence[Share]) -> Markup:
    """Bars of shares of the whole."""
    total = sum(one.count for one in counts)
    if not total:
        return tag("p", {"class": "quiet"}, "Nothing to count yet.")
    return tag("ul", {"class": "shares", "aria-label": caption}, *(_share(one, total) for one in counts))


def _share(one: Share, total: float) -> Markup:
    style = f"width:{100 * one.count / total:.2f}%"
    return tag(
        "li",
        None,
        tag("a", {"href": one.href, "class": "share-name"}, one.name),
        tag("span", {"class": "share-track"}, tag("span", {"class": f"fill {one.colour}", "style": style})),
        tag("span", {"class": "number"}, units.share(one.count / total)),
        tag("span", {"class": "number quiet"}, units.count(one.count)),
    )


def _colour(tier: str, ladder: Sequence[str]) -> str:
    return tier_class(tier, ladder) if tier else "failed"
