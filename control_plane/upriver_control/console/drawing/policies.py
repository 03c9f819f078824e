"""Policies and calibrations in lists, and what is certified of each policy in words."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Final

from upriver.v1 import policy_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import policies as telling
from upriver_control.telling.names import short

_STATES: Final = {"succeeded": "good", "failed": "bad", "cancelled": "quiet"}


def model_of(name: str) -> str:
    """The model of a policy's or a calibration's name."""
    return name.split("/")[1] if name.count("/") >= 3 else name


def policies(found: Sequence[pb.Policy], link: bool) -> Markup:
    """Policies, one a line; `link` where each leads to its model's page."""
    columns = (
        Column("Policy"),
        Column("Model", narrow=link),
        Column("Tier"),
        Column("Version", narrow=False),
        Column("Answers from", numbers=True, narrow=False),
        Column("May lose", numbers=True),
        Column("Certain", numbers=True, narrow=False),
        Column("Pass", numbers=True, narrow=False),
        Column("Agents", numbers=True, narrow=False),
        Column("Stale", narrow=False),
    )
    many = "1 policy" if len(found) == 1 else f"{len(found)} policies, newest first"
    return table(f"{many}; agents that run each now", columns, [_policy(one, link) for one in found])


def certificates(found: Iterable[pb.Policy]) -> Markup:
    """What is certified of each policy, in words."""
    return join(*(_certificate(one) for one in found))


def calibrations(found: Sequence[pb.Calibration], chosen: str = "") -> Markup:
    """Calibrations, newest first, each with a way to what came out of it. `chosen` is the id of the one looked at."""
    columns = (
        Column("Calibration"),
        Column("State"),
        Column("Done", numbers=True),
        Column("May lose", numbers=True, narrow=False),
        Column("From", narrow=False),
        Column("Started", narrow=False),
        Column("Now", narrow=False),
    )
    return table("Calibrations, newest first", columns, [_calibration(one, chosen) for one in found])


def _policy(one: pb.Policy, link: bool) -> Row:
    certificate, certified = one.certificate, one.HasField("certificate")
    cells = (
        short(one.name),
        model_of(one.name),
        one.tier,
        short(one.version),
        telling.threshold(one.threshold),
        telling.percent(certificate.epsilon) if certified else "not certified",
        telling.percent(1 - certificate.delta) if certified else units.NONE,
        telling.percent(certificate.coverage) if certified else units.NONE,
        f"{one.agents:,}",
        one.stale or "no",
    )
    return Row(cells, one.name, f"/policies/{model_of(one.name)}" if link else "", "warn" if one.stale else "")


def _certificate(one: pb.Policy) -> Markup:
    said = telling.promise(one)
    sentences = [f"{part[:1].upper()}{part[1:]}." for part in said]
    lines = [tag("p", {"class": None if at else "good"}, sentence) for at, sentence in enumerate(sentences)]
    if not said and one.threshold == math.inf:
        lines = [tag("p", None, "It answers nothing by itself, so nothing is lost by it.")]
    found = one.certificate
    exact = f"ε {found.epsilon:g}, δ {found.delta:g}, n {found.questions:,}, {found.losses:g} lost"
    agreement = telling.agreement(json.loads(one.document)) if one.document else ""
    return tag(
        "section",
        {"class": "card", "data-policy": one.name, "aria-label": f"Certificate of {short(one.name)}"},
        tag("h3", None, f"{one.tier}: {short(one.name)}"),
        *(lines or [tag("p", {"class": "warn"}, "Nothing is certified of it.")]),
        tag("p", {"class": "warn"}, f"Stale: {one.stale}") if one.stale else None,
        words.facts(
            ("Answers from", telling.threshold(one.threshold)),
            ("Version", short(one.version)),
            ("In letters", exact if said else ""),
            ("An answer counts as the top's by", agreement),
            ("Made by", short(one.calibration) if one.calibration else "publishing it as it is"),
            ("Made", units.day(one.create_time)),
            ("Run by", f"{one.agents:,} agents now"),
        ),
    )


def _calibration(one: pb.Calibration, chosen: str) -> Row:
    model, name, state = model_of(one.name), short(one.name), telling.state_name(one)
    cells = (
        tag("strong", None, f"{model}/{name}") if name == chosen else f"{model}/{name}",
        words.chip(state, _STATES.get(state, "")),
        f"{100 * one.progress:.0f} %",
        telling.percent(one.spec.max_loss) if one.spec.max_loss else "as certified",
        "data" if one.spec.data_digest else "audits",
        units.day(one.create_time),
        one.doing or one.reason,
    )
    return Row(cells, one.name, f"/policies/{model}?calibration={name}")
