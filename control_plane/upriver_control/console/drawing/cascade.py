"""The way of one question up the tiers: who was sure enough, who asked whom, and who answered."""

from collections.abc import Sequence

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing import score
from upriver_control.console.drawing.svg import Child, Markup, tag
from upriver_control.console.words import tier_class


def draw(hops: Sequence[pb.Hop], answered_by: str, ladder: Sequence[str]) -> Markup:
    """The agents from the touch point up to the one that answered, which stands out, then those that were asked beside
    them and whose answers nobody took; side by side, or on a phone one below the other."""
    way, others = split(hops)
    cancelled = {one.agent for hop in hops for one in hop.tries if one.outcome == "cancelled"}
    steps = []
    for hop in way:
        answered = hop.agent == answered_by
        place = (" answered" if answered else "") + (" onward" if hop is not way[-1] else "")
        steps.append(_step(hop, place, ladder, _verdict(hop, answered)))
    beside = [_step(hop, " beside", ladder, _for_nothing(hop, hop.agent in cancelled)) for hop in others]
    return tag("ol", {"class": "cascade", "aria-label": "The question's way"}, *steps, *beside)


def split(hops: Sequence[pb.Hop]) -> tuple[Sequence[pb.Hop], Sequence[pb.Hop]]:
    """Those whose answers were taken on the way up, and those who were asked beside them: hedges, and what failed
    where another answered. `hops` are in order, who asks before who is asked; where nobody answered all is the way."""
    asked = {one.agent for hop in hops for one in hop.tries if one.outcome != "passed_over"}
    reached = {hop.agent for number, hop in enumerate(hops) if number == 0 or hop.agent not in asked}
    for hop in hops:
        if hop.agent in reached:
            reached |= _taken(hop)
    return [hop for hop in hops if hop.agent in reached], [hop for hop in hops if hop.agent not in reached]


def _taken(hop: pb.Hop) -> set[str]:
    answered = {one.agent for one in hop.tries if one.outcome == "answered"}
    return answered or {one.agent for one in hop.tries if one.outcome not in ("cancelled", "passed_over")}


def _step(hop: pb.Hop, place: str, ladder: Sequence[str], verdict: Child) -> Markup:
    value, threshold = score.told_by(hop)
    return tag(
        "li",
        {"class": f"step {tier_class(hop.tier, ladder)}{place}"},
        tag("span", {"class": "step-tier"}, hop.tier or "another service"),
        tag("a", {"class": "step-agent", "href": f"#hop-{hop.span}", "data-item": True}, hop.agent or "not told"),
        _sureness(value, threshold),
        tag("span", {"class": "step-verdict"}, verdict),
        tag("span", {"class": "step-time quiet"}, units.ms(hop.length)),
    )


def _for_nothing(hop: pb.Hop, cancelled: bool) -> Child:
    if cancelled:
        return tag("span", {"class": "quiet"}, "also asked; cancelled, another answered")
    return tag("span", {"class": "bad"}, "also asked; failed") if hop.error else "also asked"


def _sureness(value: float | None, threshold: float | None) -> Markup:
    if value is None:
        return tag("span", {"class": "quiet"}, "no answer of its own")
    return score.with_numbers(value, threshold, score.around(threshold), 84)


def _verdict(hop: pb.Hop, answered: bool) -> Child:
    if answered:
        return tag("strong", None, "answered")
    if hop.error:
        return tag("span", {"class": "bad"}, "failed")
    asked = list(dict.fromkeys(one.agent for one in hop.tries if one.outcome != "passed_over"))
    value, threshold = score.told_by(hop)
    sure = value is not None and threshold is not None and value >= threshold
    because = "sure, but asked on" if sure else "not sure: asked on"
    return because if asked else "gave its answer back"
