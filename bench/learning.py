"""`scripts/bench learning`: how soon a device no longer has to ask what it once had to ask, and what that costs.

The device's model knows the digits 0 to 4 alone. Two regions ask it 20,000 digits each, half of them 5 to 7 in the one
and 7 to 9 in the other. The static mesh's device answers by the last layer of its version, with the lowest threshold
that 5,400 audited questions of its own region certify; the learning mesh's begins as that one and learns heads from the
cloud's answers. Both are asked the same. What agents compute they compute here by the same functions (the coin, the
sums, the fit, the gate), in one process and without a clock; what needs agents (how much slower serving gets, lessons
that a kill -9 loses) is measured on agents.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.learning_digits import LABELS, prior, seen
from bench.learning_figures import Figures, figures, mean
from bench.learning_loop import Course, Seen, Settings, run, static_pair
from bench.learning_mesh import Kills, Pair, kills
from bench.learning_sums import MOST_BYTES, Sample, agreement, forget_error, merge_error, updates
from bench.learning_timing import Timed, timed
from bench.targets import tell
from demo.digits import Digits, DigitsMissing, load_test
from demo.processes import DemoFailed
from demo.streams import KNOWN, REGIONS, Stream, streams
from upriver.errors import UpriverError
from upriver.head_statistics import HeadStatistics

QUESTIONS: Final = 20_000
SEEDS: Final = 5
QUICK_QUESTIONS = 3_000
SEED: Final = 11
KILLS, QUICK_KILLS = 30, 2
TURNS, QUICK_TURNS = 36, 2
LIVE_THRESHOLD: Final = 0.99
"""From which confidence on devices answer where serving is timed: about half of the test digits go up."""
SUMMED: Final = 3_000
"""Lessons over which sums are held against each other."""
FORGOTTEN: Final = 0.3
TIMED: Final = 2_000
REDUCTION, HALF_LIFE, OLD_LOSS_PP, ERROR, UPDATE_US, P99_RATIO = 0.8, 500.0, 0.5, 1e-6, 200.0, 1.1
SHOWN_FIGURES: Final = {
    "start": "escalated by the static mesh",
    "total": "escalated while learning",
    "reduction": "fewer, as a share",
    "after_3000": "escalated from question 3,000 on",
    "last": "escalated of the last quarter",
    "half_life": "lessons until half as much",
    "lessons": "lessons",
    "audits": "audits of what was answered here",
    "attempts": "attempts",
    "promotions": "promotions",
    "uncertified": "of these without a certificate",
    "above": "of these that lose more than promised",
    "loss": "answers that are not the cloud's",
    "old_loss_pp": "points lost on what it knew",
}


@dataclass(frozen=True)
class Runs:
    """All regions and seeds, with the gate and without it."""

    gated: Mapping[str, Sequence[Figures]]
    free: Mapping[str, Sequence[Figures]]

    def all(self, gated: bool = True) -> list[Figures]:
        """Those of every region."""
        return [one for part in (self.gated if gated else self.free).values() for one in part]


@dataclass(frozen=True)
class Sums:
    """What sums over lessons come to: errors as shares of the weights' norm, bytes of one head's update."""

    merge_error: float
    forget_error: float
    update_us: float
    bytes_mean: float
    bytes_most: int
    sent_agrees: float
    """The share of digits to which heads as they are sent give the exact ones' labels."""


def loops(
    known: Seen,
    begin: HeadStatistics,
    settings: Settings,
    seeds: int,
    questions: int,
    progress: Callable[[float], None],
) -> tuple[Runs, list[Course]]:
    """Runs every region and seed; gives also the courses with the gate."""
    gated: dict[str, list[Figures]] = {name: [] for name in REGIONS}
    free: dict[str, list[Figures]] = {name: [] for name in REGIONS}
    kept: list[Course] = []
    for name, new in REGIONS.items():
        for seed in range(seeds):
            stream = streams(known.truth, new, questions, seed)
            static, course, wild = _courses(known, stream, begin, settings, seed)
            kept.append(course)
            gated[name].append(figures(known, stream, static, course, KNOWN, settings.epsilon))
            free[name].append(figures(known, stream, static, wild, KNOWN, settings.epsilon))
            progress(len(free[name]) / seeds / len(REGIONS) + list(REGIONS).index(name) / len(REGIONS))
    return Runs(gated, free), kept


def _courses(
    known: Seen, stream: Stream, begin: HeadStatistics, settings: Settings, seed: int
) -> tuple[Course, Course, Course]:
    """Not learning at all, with the gate, without it."""
    pair = static_pair(known, stream, settings)
    never = replace(settings, holdout=1.0, wanted=0)
    ways = (never, settings, replace(settings, gated=False))
    static, gated, wild = (run(known, stream, begin, pair, way, seed) for way in ways)
    return static, gated, wild


def sums(known: Seen, begin: HeadStatistics, courses: Sequence[Course], seed: int = 0) -> Sums:
    """Measures what sums over lessons of the first region are worth, and what heads of `courses` take to be sent."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(known.truth, REGIONS["west"])))[:SUMMED]
    sample = Sample(LABELS, KNOWN, known.embedding[rows], known.told[rows])
    sizes: list[int] = []
    agree: list[float] = []
    for course in courses:
        weights = [one.pair.weights for one in course.promotions if one.pair.weights is not None]
        if len(weights) > 1:
            took, heads = updates(LABELS, weights)
            sizes += took
            agree += [agreement(*sent, sample.embedding) for sent in zip(heads, weights, strict=True)]
    return Sums(
        merge_error(sample, begin, seed),
        forget_error(sample, begin, FORGOTTEN, seed),
        _update_us(sample),
        float(np.mean(sizes)) if sizes else 0.0,
        max(sizes, default=0),
        float(np.mean(agree)) if agree else 1.0,
    )


def _update_us(sample: Sample) -> float:
    """Microseconds in which an agent takes in a lesson, the median; fitting comes once an attempt and is not in it."""
    into, took = sample.sums(), []
    for row in range(TIMED):
        lesson = sample.lesson(row)
        started = time.perf_counter()
        into.add(*lesson)
        took.append(time.perf_counter() - started)
    return float(np.median(took)) * 1e6


@dataclass(frozen=True)
class Live:
    """What was measured on agents."""

    kills: Kills
    timed: Timed


def live(digits: Digits, folder: Path, quick: bool, progress: Progress) -> Live:
    """Kills agents, and compares a device that learns with one that does not; raises DemoFailed."""
    times, turns = (QUICK_KILLS, QUICK_TURNS) if quick else (KILLS, TURNS)
    task = progress.add_task("agents: killed, and timed", total=turns + 1)
    with _pair(folder / "kills") as pair:
        killed = kills(pair, digits, times, SEED)
    progress.advance(task)
    with _pair(folder / "timed") as pair:
        return Live(killed, timed(pair, digits, turns, LIVE_THRESHOLD, lambda: progress.advance(task)))


@contextmanager
def _pair(folder: Path) -> Iterator[Pair]:
    folder.mkdir()
    pair = Pair(folder)
    try:
        yield pair
    finally:
        pair.stop()


def record(runs: Runs, totals: Sums, agents: Live | None, settings: Settings, seeds: int) -> dict[str, Any]:
    """What is told as JSON: means over regions and seeds, with the gate; then the same for each and without it."""
    every = runs.all()
    return {
        "half_life_lessons": round(mean(every, "half_life"), 1),
        "escalation_start": round(mean(every, "start"), 4),
        "escalation_after_3000": round(mean(every, "after_3000"), 4),
        "reduction": round(mean(every, "reduction"), 4),
        "old_class_loss_pp": round(mean(every, "old_loss_pp"), 3),
        "uncertified_promotions": sum(one.uncertified for one in every),
        "merge_error": totals.merge_error,
        "forget_error": totals.forget_error,
        "update_us": round(totals.update_us, 1),
        "bytes_per_head_update": round(totals.bytes_mean),
        "lessons_lost": None if agents is None else agents.kills.lost,
        "p99_ratio": None if agents is None else round(agents.timed.local_ratio, 3),
        "promotions_above_epsilon": sum(one.above for one in every),
        "worst": {
            "half_life_lessons": max(one.lessons if one.half_life is None else one.half_life for one in every),
            "reduction": round(min(one.reduction for one in every), 4),
            "old_class_loss_pp": round(max(one.old_loss_pp for one in every), 3),
            "bytes_per_head_update": totals.bytes_most,
        },
        "sent_heads_agree": round(totals.sent_agrees, 4),
        "agents": None if agents is None else asdict(agents),
        "settings": asdict(settings),
        "seeds": seeds,
        "regions": {name: _means(part) for name, part in runs.gated.items()},
        "without_gate": _means(runs.all(gated=False)),
    }


def _means(part: Sequence[Figures]) -> dict[str, float]:
    return {field.name: round(mean(part, field.name), 4) for field in fields(Figures)} | {
        "reduction": round(mean(part, "reduction"), 4)
    }


def show(told: Mapping[str, Any], console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    table = Table("", *told["regions"], "without the gate", title="means over seeds; shares are of questions")
    columns = [*told["regions"].values(), told["without_gate"]]
    for name, what in SHOWN_FIGURES.items():
        table.add_row(what, *(f"{column[name]:,.4g}" for column in columns))
    console.print(table)
    tell(console, [("escalations fewer than the static mesh's", told["reduction"], REDUCTION)], ".3f", at_least=True)
    targets = [
        ("half-life, lessons", told["half_life_lessons"], HALF_LIFE),
        ("loss on what it knew, points", told["old_class_loss_pp"], OLD_LOSS_PP),
        ("promotions without a certificate", told["uncertified_promotions"], 0.0),
        ("merge error", told["merge_error"], ERROR),
        ("forget error", told["forget_error"], ERROR),
        ("update, us", told["update_us"], UPDATE_US),
        ("bytes of a head's update", told["bytes_per_head_update"], MOST_BYTES),
    ]
    if told["agents"] is not None:
        targets += [("lessons lost", told["lessons_lost"], 0.0), ("p99, learning / not", told["p99_ratio"], P99_RATIO)]
    tell(console, targets, ".4g")


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench learning", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="runs of each region")
    parser.add_argument("--no-agents", action="store_true", help="leave out what is measured on agents")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_QUESTIONS} questions, to see that it runs")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    seeds, questions = (1, QUICK_QUESTIONS) if options.quick else (max(1, options.seeds), QUESTIONS)
    settings = Settings()
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("embeddings of 65,000 digits", total=1.0)
            known, begin = seen(lambda share: progress.update(task, completed=share)), prior()
            task = progress.add_task("the loop", total=1.0)
            runs, courses = loops(
                known, begin, settings, seeds, questions, lambda share: progress.update(task, completed=share)
            )
            totals = sums(known, begin, courses)
            agents = None
            if not options.no_agents:
                with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder:
                    agents = live(load_test(), Path(folder), options.quick, progress)
    except (DemoFailed, DigitsMissing, UpriverError) as error:
        console.print(f"bench: {error}", style="red", highlight=False, markup=False)
        return 1
    told = record(runs, totals, agents, settings, seeds)
    show(told, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0
