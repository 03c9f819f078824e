"""How soon a monitor rings, and how often for nothing: the real limits and ratios, many simulated agents at once.

Nothing here is measured on a clock, so that a seed gives the same table anywhere.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upriver_agent.monitoring.evidence import MULTIPLES, Limits, log_ratio

Floats = NDArray[np.float64]

NULL = 0.005
"""The certified share of local answers that differ from the top's."""
RATE = 0.02
_LONGEST = 5_000


@dataclass(frozen=True, slots=True)
class Delay:
    """Audits from a change until the alarm rings, over many simulated agents; `never` within _LONGEST is a share."""

    before: str
    quiet_audits: int
    jump_to: float
    median: float
    p90: float
    never: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Alarms while the error stays what it is; a question is audited with probability RATE."""

    error: float
    audits: int
    alarms: int
    per_million_questions: float


def ratios() -> tuple[Floats, Floats]:
    """log LR of an audit that disagrees and of one that agrees, each [alternatives]."""
    return (
        np.array([log_ratio(True, NULL, multiple) for multiple in MULTIPLES]),
        np.array([log_ratio(False, NULL, multiple) for multiple in MULTIPLES]),
    )


def delay(limits: Limits, quiet_audits: int, quiet_error: float, jump_to: float, agents: int, seed: int) -> Delay:
    """Lets `agents` agents be quiet, then err with probability `jump_to`; one that rang while quiet begins anew."""
    random = np.random.default_rng(seed)
    log_hit, log_miss = ratios()
    hit, miss = np.exp(log_hit), np.exp(log_miss)
    log_e, m = np.zeros((agents, len(hit))), np.zeros((agents, len(hit)))

    def step(error: float) -> NDArray[np.bool_]:
        disagrees = (random.random(agents) < error)[:, np.newaxis]
        np.add(log_e, np.where(disagrees, log_hit, log_miss), out=log_e)
        np.multiply(m + 1.0, np.where(disagrees, hit, miss), out=m)
        return np.asarray((m.mean(axis=1) >= limits.between) | (np.exp(log_e).mean(axis=1) >= 1 / limits.false_alarm))

    for _ in range(quiet_audits):
        rang = step(quiet_error)
        log_e[rang], m[rang] = 0.0, 0.0
    first = np.full(agents, np.inf)
    for audit in range(1, _LONGEST + 1):
        rang = step(jump_to)
        first[rang & np.isinf(first)] = audit
        if np.isfinite(first).mean() > 0.99:
            break
    before = "nothing" if not quiet_audits else f"{quiet_audits:,} audits at {quiet_error:.1%}"
    return Delay(
        before,
        quiet_audits,
        jump_to,
        float(np.median(first)),
        float(np.quantile(first, 0.9, method="lower")),
        float(np.isinf(first).mean()),
    )


def false_alarms(limits: Limits, error: float, audits: int, agents: int, seed: int) -> FalseAlarms:
    """Has `agents` agents audit `audits` questions each that err with probability `error` all the time.

    Both statistics only ever reach their limit with a disagreement, so time goes from one to the next: in between,
    Shiryaev-Roberts moves towards r/(1-r), far below any limit, and the e-process falls. An agent that rang begins
    anew.
    """
    random = np.random.default_rng(seed)
    log_hit, log_miss = ratios()
    hit, rest = np.exp(log_hit), np.exp(log_miss) / (1 - np.exp(log_miss))
    log_e, m = np.zeros((agents, len(hit))), np.zeros((agents, len(hit)))
    left = np.full(agents, audits)
    alarms = 0
    while (left > 0).any():
        agreed = random.geometric(error, agents) - 1
        left -= agreed + 1
        faded = np.exp(agreed[:, np.newaxis] * log_miss)
        m = (faded * m + rest * (1 - faded) + 1.0) * hit
        log_e += agreed[:, np.newaxis] * log_miss + log_hit
        rang = (m.mean(axis=1) >= limits.between) | (np.exp(log_e).mean(axis=1) >= 1 / limits.false_alarm)
        alarms += int((rang & (left >= 0)).sum())
        log_e[rang], m[rang] = 0.0, 0.0
    return FalseAlarms(error, audits * agents, alarms, alarms / (audits * agents) * 1e6 * RATE)


def main(arguments: Sequence[str]) -> int:
    """Prints the tables; `--json FILE` keeps them."""
    parser = argparse.ArgumentParser(prog="scripts/bench monitor", description=__doc__)
    parser.add_argument("--agents", type=int, default=4_000, help="simulated agents in each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    limits = Limits()
    delays = [
        delay(limits, quiet, quiet_error, jump_to, options.agents, options.seed)
        for quiet, quiet_error, jump_to in (
            (0, 0.0, 0.05),
            (2_000, 0.0, 0.05),
            (2_000, NULL, 0.05),
            (0, 0.0, 0.02),
            (0, 0.0, 0.15),
        )
    ]
    quiet = [
        false_alarms(limits, error, 20_000, options.agents, options.seed) for error in (NULL, 0.8 * NULL, NULL / 2)
    ]
    print(
        f"certified: at most {NULL:.1%} of local answers differ; e-process {limits.false_alarm}, A {limits.between:g}"
    )
    for row in delays:
        told = f"median {row.median:.0f}, p90 {row.p90:.0f}, never {row.never:.1%}"
        print(f"{row.before:>22} then {row.jump_to:.0%}: {told}")
    for kept in quiet:
        print(f"{kept.error:.2%} all the time: {kept.per_million_questions:.3f} false alarms in a million questions")
    if options.json is not None:
        document = {"limits": asdict(limits), "delays": [*map(asdict, delays)], "false_alarms": [*map(asdict, quiet)]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
