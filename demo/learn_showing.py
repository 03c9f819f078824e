"""What `scripts/demo --learn` shows: a live table of regions, and the summary."""

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table

from demo.learn_tally import WINDOW, RegionTally, sparkline
from demo.learn_watching import Promotion, Watcher

_NOTES = 6


def live(regions: Sequence[RegionTally], watcher: Watcher, seconds: float) -> RenderableType:
    """The table as it is now."""
    asked = sum(len(region.right) for region in regions)
    rate = asked / seconds if seconds else 0.0
    notes = [*watcher.notes[-_NOTES:], *([watcher.trouble] if watcher.trouble else [])]
    notes += [f"{name}: {why}" for name, why in watcher.waits().items()]
    table = Table(
        title=f"{asked:,} questions, {rate:,.0f}/s; rates are over the last {WINDOW}",
        caption="\n".join(notes) or None,
        title_justify="left",
        caption_justify="left",
    )
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
    return Group(table, *(f"{region.region}  {sparkline(region.points)}" for region in regions))


def summary_in_words(
    console: Console, regions: Mapping[str, RegionTally], promotions: Mapping[str, Sequence[Promotion]]
) -> None:
    """Prints what came of it."""
    lines = [""]
    for name, region in regions.items():
        half = "never went up half as often" if region.half_life is None else f"half as many after {region.half_life}"
        lines.append(
            f"{name:<6} escalated {region.start:.1%} at first, {region.rate():.1%} at the end: {half} lessons; "
            f"{len(region.right):,} questions, {region.lessons:,} lessons"
        )
        first, then = region.old_accuracy(late=False), region.old_accuracy(late=True)
        lines.append(f"       right about what devices knew before: {first:.2%}, then {then:.2%}")
        lines += [f"       {one.in_words()}" for one in promotions[name]]
        lines.append(f"       {sparkline(region.points)} against lessons, 0 to {region.lessons:,}")
    console.print(*lines, sep="\n", highlight=False, soft_wrap=True)
