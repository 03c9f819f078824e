"""`scripts/bench certificate`: how often certificates are wrong, and how much they leave on the table.

Each row is one target: a cascade is tuned, and then calibrated on 2,000 fresh calibration splits of the same size.

- `oracle`: questions of known difficulty, two tiers below the top, and risks that can be written down. Tuned anew for
  every two hundred splits.
- `digits`: the demo's four models on the 10,000 test digits that nothing was trained or tuned on. They are the whole
  population here: a split is drawn from them with replacement, so that the truth is known exactly.
  `violations_outside` is of splits without replacement, held against the digits outside of them. Those are a sample
  too, which is now and then above what was certified by a chance of its own.

What the columns are: docs/benchmarks.md.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.targets import tell
from demo.control import MODELS
from demo.digits import Digits, DigitsMissing, load_test, load_tune
from upriver.agreement import Answered
from upriver.policies import Form
from upriver.scores import Floats
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loader import Loader, LoaderOptions
from upriver_control.calibration.cost_path import Ladder, Rule, lost, passes, run
from upriver_control.calibration.inputs import CalibrationInput, Rows, Target, TierOutputs, hop_costs
from upriver_control.calibration.joint import Splits, any_route
from upriver_control.calibration.plan import Plan, look_ahead, prove
from upriver_control.calibration.prepared import ladder_of, prepare

EPSILONS = (0.01, 0.005, 0.002)
DELTA = 0.05
QUESTIONS, TUNING = 5000, 5000
SPLITS, TUNINGS = 2000, 10
HOPS_MS = (5.0, 15.0, 40.0)
TIERS = ("device", "far-edge", "near-edge", "cloud")
LOCAL = 2
"""Tiers that count as local: device and far edge."""
JUDGED_AT = 0.005
LOCAL_AT = {0.005: 0.94, 0.002: 0.83}
"""How many digits are to be answered on device or far edge."""
_BATCH = 500


@dataclass(frozen=True)
class Row:
    """One target; shares are means over the splits, `violations` the share of splits. See docs/benchmarks.md."""

    source: str
    epsilon: float
    n: int
    violations: float
    epsilon_used: float
    coverage: float
    oracle_coverage: float
    seconds: float
    form: str
    loss: float
    violations_outside: float | None


@dataclass(frozen=True)
class Truth:
    """What a rule does on everything there is: the certified loss, the cascade's loss, what is answered locally."""

    certified: float
    loss: float
    coverage: float


@dataclass(frozen=True)
class Power:
    """The oracle's tier: wrong with probability a·u^b on a question of difficulty u, uniform on [0, 1]."""

    a: float
    b: float

    def risk(self, u: Floats) -> Floats:
        """P(wrong) at each difficulty."""
        risk: Floats = self.a * u**self.b
        return risk

    def integral(self, low: float, high: float) -> float:
        """What it loses when it answers difficulties low to high."""
        power = self.b + 1
        return float(self.a / power * (max(high, low) ** power - low**power))


POWERS = (Power(0.3, 8.0), Power(0.1, 8.0))


def oracle_ladder(rng: np.random.Generator, rows: int) -> Ladder:
    """Fresh questions for the tiers of POWERS; their confidence is 1 - u."""
    u = rng.random(rows)
    wrong = [rng.random(rows) < tier.risk(u) for tier in POWERS]
    return Ladder([1.0 - u] * len(POWERS), [tier.risk(u) for tier in POWERS], wrong, hop_costs(HOPS_MS[1:]))


def oracle_truth(rule: Rule, form: Form) -> Truth:
    """Integrals: tiers err independently at a given difficulty."""
    ends = [min(max(1.0 - threshold, 0.0), 1.0) for threshold in rule.thresholds]
    alone = [tier.integral(0.0, end) for tier, end in zip(POWERS, ends, strict=True)]
    shared = min(ends)
    power = sum(tier.b for tier in POWERS) + 1
    both = math.prod(tier.a for tier in POWERS) * shared**power / power
    certified = sum(alone) - (0.0 if form is Form.PER_TIER else both)
    reached, loss = 0.0, 0.0
    for tier, end in zip(POWERS, ends, strict=True):
        loss += tier.integral(reached, end)
        reached = max(reached, end)
    return Truth(certified, loss, reached)


def of_oracle(target: Target, splits: int, rng: np.random.Generator) -> Row:
    """The row of questions whose risk is known."""
    started = time.monotonic()
    active, truths, best = (True,) * len(POWERS), [], []
    for _ in range(TUNINGS):
        tuning = oracle_ladder(rng, TUNING)
        prospect = look_ahead(tuning, active, QUESTIONS, target)
        best.append(_best([oracle_truth(rule, target.form) for rule in prospect.path], target.epsilon))
        for _ in range(splits // TUNINGS):
            plan = prove(Splits(tuning, oracle_ladder(rng, QUESTIONS), active), prospect, target)
            truths.append(oracle_truth(plan.rule, target.form))
    return _row("oracle", target, truths, float(np.mean(best)), None, time.monotonic() - started)


def digit_ladders(costs: Floats, target: Target) -> tuple[Ladder, Ladder, tuple[bool, ...]]:
    """The demo's models: the tuning digits, the population, and which tiers are fit."""
    tiers, tune, population = digit_answers()
    given = CalibrationInput(tiers, tune, population, costs, target, _digest(9))
    prepared = [prepare(given, tier) for tier in tiers[:-1]]
    return (
        ladder_of(prepared, given.tune, costs),
        ladder_of(prepared, given.calibrate, costs),
        tuple(tier.preflight.fit for tier in prepared),
    )


@cache
def digit_answers() -> tuple[tuple[TierOutputs, ...], Rows, Rows]:
    """What the demo's models say of all digits that they were not trained on; which to tune on, and the population."""
    tune, test = load_tune(), load_test()
    images = Digits(np.concatenate([tune.images, test.images]), np.concatenate([tune.labels, test.labels]))
    rows = np.arange(len(images))
    return tuple(_answers(tier, images, at) for at, tier in enumerate(TIERS)), rows[: len(tune)], rows[len(tune) :]


def _answers(tier: str, digits: Digits, at: int) -> TierOutputs:
    with tempfile.TemporaryDirectory() as state:
        loaded = Loader(LoaderOptions("auto", 1, 1, 1000.0, Path(state)))(MODELS / tier)
        parts = []
        for start in range(0, len(digits), _BATCH):
            images = digits.part(start, start + _BATCH).images
            found = loaded.predict({"image": images}, len(images))
            scores = (found if isinstance(found, Prediction) else found.result()).scores
            if scores is None:
                raise DigitsMissing(f"{tier}: the model gives no scores")
            parts.append(np.array(scores))
    return TierOutputs(tier, _digest(at), Answered(scores=np.concatenate(parts)))


def _digest(number: int) -> str:
    return f"sha256:{number:064d}"


def of_digits(target: Target, splits: int, rng: np.random.Generator) -> Row:
    """The row of the demo's models."""
    tuning, everything, active = digit_ladders(hop_costs(HOPS_MS), target)
    started = time.monotonic()
    prospect = look_ahead(tuning, active, QUESTIONS, target)
    path = [digit_truth(everything, rule, target.form) for rule in prospect.path]

    def proven(rows: Rows) -> tuple[Plan, Truth]:
        plan = prove(Splits(tuning, taken(everything, rows), active), prospect, target)
        return plan, path[plan.chosen] if plan.chosen >= 0 else digit_truth(everything, plan.rule, target.form)

    truths, outside, rows = [], 0, everything.rows
    for _ in range(splits):
        truths.append(proven(rng.integers(0, rows, QUESTIONS))[1])
        plan, truth = proven(rng.permutation(rows)[:QUESTIONS])
        inside = plan.losses if target.form is Form.JOINT else sum(plan.tier_losses)
        outside += (truth.certified * rows - inside) / (rows - QUESTIONS) > target.epsilon
    best = _best(path, target.epsilon)
    return _row("digits", target, truths, best, outside / splits, time.monotonic() - started)


def taken(ladder: Ladder, rows: Rows) -> Ladder:
    """Some of a ladder's questions."""
    return Ladder(
        [values[rows] for values in ladder.confidence],
        [values[rows] for values in ladder.risk],
        [flags[rows] for flags in ladder.wrong],
        ladder.costs,
    )


def digit_truth(ladder: Ladder, rule: Rule, form: Form) -> Truth:
    """What a rule does on all of a ladder's questions."""
    course = run(ladder, rule)
    if form is Form.JOINT:
        certified = float(any_route(ladder, rule).mean())
    else:
        each = zip(ladder.confidence, ladder.wrong, rule.thresholds, strict=True)
        certified = float(sum((passes(confidence, at) & wrong).mean() for confidence, wrong, at in each))
    return Truth(certified, float(lost(ladder, course.exits).mean()), float((course.exits < LOCAL).mean()))


def _best(path: Sequence[Truth], epsilon: float) -> float:
    """The most that a rule of the path answers locally, by somebody who knows what each one loses."""
    return max((truth.coverage for truth in path if truth.loss <= epsilon), default=0.0)


def _row(
    source: str, target: Target, truths: Sequence[Truth], best: float, outside: float | None, seconds: float
) -> Row:
    return Row(
        source=source,
        epsilon=target.epsilon,
        n=QUESTIONS,
        violations=float(np.mean([truth.certified > target.epsilon for truth in truths])),
        epsilon_used=float(np.mean([truth.certified for truth in truths])) / target.epsilon,
        coverage=float(np.mean([truth.coverage for truth in truths])),
        oracle_coverage=best,
        seconds=round(seconds, 2),
        form=target.form.value,
        loss=float(np.mean([truth.loss for truth in truths])),
        violations_outside=outside,
    )


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table."""
    table = Table("source", "ε", "n", "wrong", "outside", "of ε", "coverage", "oracle's", "loss", "s")
    for row in rows:
        outside = "" if row.violations_outside is None else f"{row.violations_outside:.2%}"
        table.add_row(
            row.source,
            f"{row.epsilon:.1%}",
            f"{row.n:,}",
            f"{row.violations:.2%}",
            outside,
            f"{row.epsilon_used:.2f}",
            f"{row.coverage:.2%}",
            f"{row.oracle_coverage:.2%}",
            f"{row.loss:.3%}",
            f"{row.seconds:.1f}",
        )
    console.print(table)
    tell(console, [(f"violations, {row.source} at {row.epsilon:.1%}", row.violations, DELTA) for row in rows], ".2%")
    middle = [row for row in rows if row.epsilon == JUDGED_AT]
    tell(console, [(f"of ε used, {row.source}", row.epsilon_used, 0.6) for row in middle], at_least=True)
    shares = [(f"of the oracle's coverage, {row.source}", row.coverage / row.oracle_coverage, 0.9) for row in middle]
    tell(console, shares, at_least=True)
    local = [(f"digits answered locally at {row.epsilon:.1%}", row) for row in rows if row.source == "digits"]
    bounds = [(what, row.coverage, LOCAL_AT[row.epsilon]) for what, row in local if row.epsilon in LOCAL_AT]
    tell(console, bounds, ".1%", at_least=True)


SOURCES: dict[str, Callable[[Target, int, np.random.Generator], Row]] = {"oracle": of_oracle, "digits": of_digits}


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench certificate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--form", choices=[form.value for form in Form], default=Form.JOINT.value)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="100 splits, to see that it runs")
    options = parser.parse_args(arguments)
    console, target = Console(), Target(EPSILONS[0], DELTA, Form(options.form))
    splits = 100 if options.quick else SPLITS
    rng, rows = np.random.default_rng(options.seed), []
    try:
        for make in SOURCES.values():
            rows += [make(replace(target, epsilon=epsilon), splits, rng) for epsilon in EPSILONS]
    except DigitsMissing as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    show(rows, console)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
