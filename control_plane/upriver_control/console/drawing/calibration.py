"""What a calibration came to: in words, as a picture, tier by tier, and what other targets would have given."""

import math
from collections.abc import Sequence
from typing import Final

from upriver.v1 import policy_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing import path
from upriver_control.console.drawing.policies import model_of
from upriver_control.console.drawing.svg import Markup, Value, join, tag
from upriver_control.console.drawing.table import Column, table
from upriver_control.telling import policies as telling
from upriver_control.telling.names import short
from upriver_control.telling.paths import drawing_of

WIDE: Final = 1160.0
NARROW: Final = 330.0
_LEGEND: Final = (
    "Filled: certified. Ring: not proven. Diamond: what ships. Dashed: what may be lost. Dotted: another target."
)


def outcome(calibration: pb.Calibration, ask: pb.WhatIf | None) -> Markup:
    """What came out of a calibration: in words, as a picture, and tier by tier. `ask` is drawn as another target."""
    drawing = drawing_of(calibration)
    other = None if ask is None else path.Ask(ask.max_loss, ask.local_share)
    said = [tag("p", {"class": one.tone or None}, one.words) for one in telling.outcome(calibration)]
    picture = None
    if drawing.points:
        picture = join(
            tag("div", {"class": "wide"}, path.draw(drawing, WIDE, other)),
            tag("div", {"class": "narrow"}, path.draw(drawing, NARROW, other)),
            tag("p", {"class": "quiet"}, _LEGEND),
        )
    return join(*said, picture)


def tiers(calibration: pb.Calibration) -> Markup:
    """A result tier by tier, and other ways of answering on the same questions."""
    unit, result = telling.unit(calibration.spec), calibration.result
    columns = (
        Column("Tier"),
        Column("Version", narrow=False),
        Column("Answers from", numbers=True),
        Column("May lose", numbers=True),
        Column("Pass", numbers=True),
        Column("End here", numbers=True),
        Column("AUROC", numbers=True, narrow=False),
        Column(f"{unit} to ask", numbers=True, narrow=False),
    )
    ways = (
        Column("Way of answering"),
        Column("Lost", numbers=True),
        Column("Below the top", numbers=True),
        Column(f"{unit} a question", numbers=True, narrow=False),
    )
    asked = f"{result.calibrate_questions:,} questions that certify"
    return join(
        table(f"Tier by tier, on {asked}", columns, [_tier(one) for one in result.tiers]),
        table(
            f"Other ways of answering, on the same {asked}",
            ways,
            [_way(one) for one in (*result.baselines, result.shipped)],
        )
        if result.HasField("shipped")
        else None,
    )


def slider(calibration: pb.Calibration, at: int) -> Markup | None:
    """A slider over the targets that the calibration tried; None where it tried none."""
    found = calibration.result.what_if
    if not found:
        return None
    attributes: dict[str, Value] = {
        "type": "range",
        "id": "what-if",
        "min": 0,
        "max": len(found) - 1,
        "step": 1,
        "value": at,
        "list": "what-if-targets",
        "data-what-if": True,
        "aria-describedby": "what-if-told",
    }
    marks = [tag("option", {"value": index, "label": telling.percent(one.max_loss)}) for index, one in enumerate(found)]
    ends = (telling.percent(found[0].max_loss), telling.percent(found[-1].max_loss))
    return tag(
        "div",
        {"class": "slider"},
        tag("label", {"for": "what-if"}, f"What if another share may be lost ({ends[0]} to {ends[1]})"),
        tag("input", attributes),
        tag("datalist", {"id": "what-if-targets"}, *marks),
    )


def asked(calibration: pb.Calibration, at: int) -> Markup:
    """What the target at the slider would have given, in words."""
    one = calibration.result.what_if[at]
    told_ = telling.what_if(one, calibration.spec)
    note = "Seen in this calibration's questions and certified by none of it; to have it, calibrate for it: "
    command = f"upriver policy calibrate {model_of(calibration.name)} --data PATH --max-loss {100 * one.max_loss:g}%"
    words_ = tag("p", {"id": "what-if-told", "role": "status"}, told_)
    return join(words_, tag("p", {"class": "quiet"}, note, tag("code", None, command)))


def _tier(one: pb.TierResult) -> Sequence[Markup | str]:
    fit = one.preflight
    auroc = f"{fit.auroc:.3f}" if one.HasField("preflight") else units.NONE
    threshold = telling.threshold(one.threshold)
    return (
        one.tier,
        short(one.version),
        f"{threshold} ({one.missing:,} more to certify)" if one.missing else threshold,
        telling.percent(one.epsilon) if one.epsilon else units.NONE,
        telling.percent(one.coverage),
        telling.percent(one.exit_share),
        tag("span", {"class": None if fit.fit or auroc == units.NONE else "bad"}, auroc),
        f"{one.cost:.4g}",
    )


def _way(one: pb.OperatingPoint) -> Sequence[str]:
    local = math.fsum(list(one.exit_shares)[:-1])
    return (one.name, telling.percent(one.risk), telling.percent(local), f"{one.cost:.4g}")
