"""Calibrations and policies on the terminal."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from upriver.v1 import policy_pb2 as pb
from upriver_control.cli.policy_plot import on_terminal
from upriver_control.telling.paths import drawing_of
from upriver_control.telling.policies import agreement, outcome, percent, promise, state_name, threshold, unit
from upriver_control.telling.times import moment

_STYLES: Final = {"good": "green", "warn": "yellow", "": "none"}


def print_result(calibration: pb.Calibration, console: Console) -> None:
    """What came out of a calibration: its tiers, its path, and what else was possible."""
    result = calibration.result
    console.print(_headline(calibration), soft_wrap=True)
    console.print(_tier_table(result, unit(calibration.spec)))
    drawing = drawing_of(calibration)
    if drawing.shown():
        console.print(on_terminal(drawing))
    if drawing.points:
        console.print(_ways(result, unit(calibration.spec)))
        console.print("what if: seen in this data, and certified by none of it; to have one, ask for it", style="dim")
    for note in result.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def policy_view(policy: pb.Policy) -> RenderableType:
    """One policy."""
    table = Table(box=None, show_header=False, pad_edge=False)
    document = json.loads(policy.document)
    rows = [
        ("version", policy.version),
        ("tier", policy.tier),
        ("threshold", threshold(policy.threshold)),
        ("score", str(document["score"])),
        ("head", str(document.get("head") or "its version's own last layer")),
        ("agreement", agreement(document)),
        ("escalates to", str(document.get("escalate_to") or "the next tier")),
        *_certificate_rows(policy),
        ("stale", policy.stale or "no"),
        ("agents", f"{policy.agents} run it"),
        ("calibration", policy.calibration or "none: it was published as it is"),
        ("made", moment(policy.create_time)),
        ("digest", policy.digest),
    ]
    for name, value in rows:
        table.add_row(name, escape(value))
    return Group(Text(policy.name, style="bold"), table)


def policy_table(policies: Iterable[pb.Policy]) -> Table:
    """Policies, one a line."""
    table = Table(box=None, pad_edge=False)
    for name in ("policy", "model", "version", "tier", "threshold", "may lose", "certain", "passes", "agents", "stale"):
        table.add_column(name, no_wrap=name == "policy")
    for policy in policies:
        certificate = policy.certificate
        told = (percent(certificate.epsilon), percent(1 - certificate.delta), percent(certificate.coverage))
        table.add_row(
            policy.name.rpartition("/")[2],
            escape(policy.name.split("/")[1]),
            escape(policy.version.rpartition("/")[2]),
            escape(policy.tier),
            threshold(policy.threshold),
            *(told if policy.HasField("certificate") else ("no certificate", "", "")),
            str(policy.agents),
            f"[yellow]{escape(policy.stale)}[/]",
        )
    return table


def calibration_table(calibrations: Iterable[pb.Calibration]) -> Table:
    """Calibrations, one a line."""
    table = Table(box=None, pad_edge=False)
    for name in ("calibration", "state", "done", "may lose", "from", "started", ""):
        table.add_column(name, no_wrap=name == "calibration")
    for one in calibrations:
        table.add_row(
            escape(one.name.removeprefix("models/").replace("/calibrations", "")),
            state_name(one),
            f"{100 * one.progress:.0f} %",
            percent(one.spec.max_loss) if one.spec.max_loss else "as certified",
            "data" if one.spec.data_digest else "audits",
            moment(one.create_time),
            escape(one.doing or one.reason),
        )
    return table


def _headline(calibration: pb.Calibration) -> Text:
    text = Text(f"{calibration.name}", style="bold")
    for said in outcome(calibration):
        text.append(f"\n{said.words}", style=_STYLES[said.tone])
    return text


def _tier_table(result: pb.CalibrationResult, cost_unit: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("tier", "version", "policy", "threshold", "may lose", "passes", "ends here", "AUROC", "AURC"):
        table.add_column(name, no_wrap=name == "policy")
    table.add_column("in least sure 20 %")
    table.add_column(f"{cost_unit} to ask")
    for tier in result.tiers:
        found = tier.preflight
        known = tier.HasField("preflight")
        table.add_row(
            escape(tier.tier),
            escape(tier.version.rpartition("/")[2]),
            tier.policy.rpartition("/")[2] or "-",
            threshold(tier.threshold) + (f" ({tier.missing:,} more to certify)" if tier.missing else ""),
            percent(tier.epsilon) if tier.epsilon else "-",
            percent(tier.coverage),
            percent(tier.exit_share),
            (f"{found.auroc:.3f}" if found.fit else f"[red]{found.auroc:.3f}[/]") if known else "-",
            f"{found.aurc:.2g}" if known else "-",
            percent(found.caught) if known else "-",
            f"{tier.cost:.4g}",
        )
    return table


def _ways(result: pb.CalibrationResult, cost_unit: str) -> Table:
    table = Table("", "loss", "below the top", f"{cost_unit} a question", "", box=None, pad_edge=False)
    for point in (*result.baselines, result.shipped):
        local = sum(list(point.exit_shares)[:-1])
        table.add_row(point.name, percent(point.risk), percent(local), f"{point.cost:.4g}", "")
    for one in result.what_if:
        short = f"{one.missing:,} more questions to certify" if one.missing else ""
        name = f"what if {percent(one.max_loss)}"
        table.add_row(name, f"{one.losses:g} lost", percent(one.local_share), f"{one.cost:.4g}", short)
    return table


def _certificate_rows(policy: pb.Policy) -> Sequence[tuple[str, str]]:
    said = promise(policy)
    return [("certificate" if not line else "", words) for line, words in enumerate(said or ("none",))]
