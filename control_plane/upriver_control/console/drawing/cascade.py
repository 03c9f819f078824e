"""The way of one question up the tiers: who was sure enough, who asked whom, and who answered."""

from collections.abc import Sequence

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing import score
from upriver_control.console.drawing.svg import Child, Markup, tag
from upriver_control.console.words import tier_class


def draw(hops: Sequence[pb.Hop], answered_by: str, ladder: Sequence[str]) -> Markup:
    """The agents from the touch point up, the one that answered standing out; side by side, or on a phone one below
    the other."""
    return tag(
        "ol",
        {"class": "cascade", "aria-label": "The question's way"},
        *(_step(hop, hop.agent == answered_by, ladder) for hop in hops),
    )


def _step(hop: pb.Hop, answered: bool, ladder: Sequence[str]) -> Markup:
    value, threshold = score.told_by(hop)
    return tag(
        "li",
        {"class": f"step {tier_class(hop.tier, ladder)}{' answered' if answered else ''}"},
        tag("span", {"class": "step-tier"}, hop.tier or "another service"),
        tag("a", {"class": "step-agent", "href": f"#hop-{hop.span}", "data-item": True}, hop.agent or "not told"),
        _sureness(value, threshold),
        tag("span", {"class": "step-verdict"}, _verdict(hop, answered, value, threshold)),
        tag("span", {"class": "step-time quiet"}, units.ms(hop.length)),
    )


def _sureness(value: float | None, threshold: float | None) -> Markup:
    if value is None:
        return tag("span", {"class": "quiet"}, "no answer of its own")
    return score.with_numbers(value, threshold, score.around(threshold), 84)


def _verdict(hop: pb.Hop, answered: bool, value: float | None, threshold: float | None) -> Child:
    if answered:
        return tag("strong", None, "answered")
    if hop.error:
        return tag("span", {"class": "bad"}, "failed")
    asked = list(dict.fromkeys(one.agent for one in hop.tries if one.outcome != "passed_over"))
    sure = value is not None and threshold is not None and value >= threshold
    because = "sure, but asked on" if sure else "not sure: asked on"
    return because if asked else "gave its answer back"
