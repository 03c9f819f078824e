"""What `scripts/demo --learn` shows: a live table of regions, and the summary."""

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.control import ControlPlane
from demo.learn_tally import WINDOW, RegionTally, sparkline
from demo.learn_watching import Promotion, Watcher
from demo.regional import RegionalMesh
from demo.retraining import Retrained

_NOTES = 6


def live(regions: Sequence[RegionTally], watcher: Watcher, seconds: float) -> RenderableType:
    """The table as it is now."""
    asked = sum(len(region.right) for region in regions)
    rate = asked / seconds if seconds else 0.0
    notes = [*watcher.notes[-_NOTES:], *([watcher.trouble] if watcher.trouble else [])]
    notes += [f"{name}: {why}" for name, why in watcher.waits().items()]
    table = Table(title=f"{asked:,} questions, {rate:,.0f}/s; rates are over the last {WINDOW}", title_justify="left")
    for name in ("region", "questions", "lessons", "go up", "right", "heads", "failed"):
        table.add_column(name, justify="left" if name == "region" else "right")
    for region in regions:
        table.add_row(
            region.region,
            f"{len(region.right):,}",
            f"{region.lessons:,}",
            f"{region.rate():.1%}",
            f"{region.points[-1].accuracy:.1%}" if region.points else "-",
            str(len(watcher.promotions(region.region))),
            str(region.failed),
        )
    curves = [f"{region.region:<6} {sparkline(region.points)} {region.lessons:,} lessons" for region in regions]
    return Group(table, *(Text(line) for line in [*notes, *curves]))


def retrained_in_words(retrained: Retrained) -> str:
    """What came of training a whole model."""
    seen = ", ".join(
        f"{region or 'replayed digits'} {share:.1%} (before {base:.1%})"
        for region, (share, base) in retrained.evaluations.items()
    )
    certified = ", ".join(f"{region} {one.lowest_share:.0%}" for region, one in retrained.certified.items())
    return (
        f"trained in {retrained.seconds:.0f} s from {retrained.lessons:,} lessons and {retrained.replayed:,} known "
        f"digits: {retrained.version}, new labels {', '.join(retrained.labels) or 'none'}. Right about untouched "
        f"lessons: {seen}. Certified by region, it answers of all questions: {certified}"
    )


def summary_in_words(
    console: Console,
    regions: Mapping[str, RegionTally],
    promotions: Mapping[str, Sequence[Promotion]],
    merged: Sequence[str],
) -> None:
    """Prints what came of it."""
    lines = [""]
    for name, region in regions.items():
        half = "never went up half as often" if region.half_life is None else f"half as many after {region.half_life}"
        then = ", ".join(f"{share:.1%} {what}" for what, share in region.marks.items())
        lines.append(
            f"{name:<6} escalated {region.start:.1%} at first, {then}: {half} lessons of its devices; "
            f"{len(region.right):,} questions, {region.lessons:,} lessons"
        )
        first, second = region.old_accuracy(late=False), region.old_accuracy(late=True)
        lines.append(f"       right about what devices knew before: {first:.2%}, then {second:.2%}")
        lines += [f"       {one.in_words()}" for one in promotions[name]]
        lines.append(f"       {sparkline(region.points)} against lessons, 0 to {region.lessons:,}")
    lines += merged or ["no head of a region was made: there was too little to prove anything with"]
    console.print(*lines, sep="\n", highlight=False, soft_wrap=True)


def what_to_try(console: Console, mesh: RegionalMesh, control: ControlPlane) -> None:
    """Prints commands for playing."""
    lines = ["", "See it in a browser (the link logs in):", f"  {control.login('/learning')}", ""]
    lines += ["The agents and the control plane stay up; Ctrl-C ends them. Try, in another terminal:"]
    device = mesh.all_devices[0].address
    lines += [f"  .venv/bin/upriver lessons {what} --agent {device}" for what in ("stats", "list", "heads digits")]
    lines += [f"  .venv/bin/upriver {what} {control.access}" for what in ("region heads", "fleet list", "train list")]
    lines += [f"  {name:<16} {agent.address:<18} log {agent.program.log}" for name, agent in mesh.agents.items()]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
