"""The sums that are pooled: statistics of lessons and counts of trials, by model, version and region. Pure.

A version's digest, a trial's and the width of what is summed belong to the key: sums of another version, or of an
embedding of another width, are never added to those of this one.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from upriver.errors import InvalidInput
from upriver.head_statistics import HeadStatistics, merged
from upriver.heads import MAX_EMBEDDING, MAX_LABELS
from upriver.listing import is_digest
from upriver.scores import Floats

MAX_COUNTS: Final = 4096
MAX_PARTS: Final = 512
MAX_QUESTIONS: Final = 10_000
"""An agent that says it holds out more is not believed: nobody should outweigh all others."""
MAX_FORGOTTEN: Final = 1 << 26
MAX_NUMBER: Final = 1e24
"""Of one agent nothing larger is added up, so that the sum over any number of them is one that can be sent and kept."""
MAX_NAME: Final = 63
MAX_REGION: Final = 200
_MAX_LABEL: Final = 200

Sums = HeadStatistics | Floats
"""Statistics, or the counts of a trial [counts]."""


@dataclass(frozen=True, slots=True, order=True)
class PoolKey:
    """What sums are of. `trial` is empty for statistics; `width` is of the embedding, or how many counts there are."""

    model: str
    version_digest: str
    region: str
    trial: str
    width: int


@dataclass(frozen=True, slots=True)
class PoolPart:
    """Sums over so many agents, who had to forget so many lessons, ever."""

    key: PoolKey
    agents: int
    sums: Sums
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class PoolLine:
    """What counts of one kind: over so many agents so many lessons, or audits of a trial; and lessons forgotten."""

    key: PoolKey
    agents: int
    amount: float
    forgotten: int = 0


def part_of(
    model: str, version_digest: str, region: str, sums: Sums, trial: str = "", agents: int = 1, forgotten: int = 0
) -> PoolPart:
    """A part, one agent's own by default."""
    width = sums.width if isinstance(sums, HeadStatistics) else len(sums)
    return PoolPart(PoolKey(model, version_digest, region, trial, width), agents, sums, forgotten)


def summed(parts: Iterable[PoolPart]) -> list[PoolPart]:
    """The parts added up by key, in the order of keys."""
    by_key: defaultdict[PoolKey, list[PoolPart]] = defaultdict(list)
    for part in parts:
        by_key[part.key].append(part)
    return [_sum(key, by_key[key]) for key in sorted(by_key)]


def size_bytes(parts: Iterable[PoolPart]) -> int:
    """How much memory parts take, about."""
    total = 0
    for part in parts:
        if isinstance(part.sums, HeadStatistics):
            total += part.sums.outer.nbytes + part.sums.toward.nbytes
        else:
            total += part.sums.nbytes
    return total


def check_part(part: PoolPart) -> None:
    """Raises InvalidInput, naming what is wrong, for a part that no sum over lessons or audits can be."""
    key, problems = part.key, []
    if not 0 < len(key.model) <= MAX_NAME or len(key.region) > MAX_REGION:
        problems.append(f"model {key.model[:80]!r}, region {key.region[:80]!r}: expected short names")
    if not is_digest(key.version_digest) or (key.trial and not is_digest(key.trial)):
        problems.append("expected digests of a version and a trial: sha256: and 64 digits")
    if part.agents < 1 or not 0 <= part.forgotten <= MAX_FORGOTTEN * part.agents:
        problems.append(f"of {part.agents} agents, {part.forgotten} forgotten: expected 1, and at most {MAX_FORGOTTEN}")
    if isinstance(part.sums, HeadStatistics):
        problems += [] if not key.trial else ["statistics with a trial"]
        problems += _statistics_problems(part.sums, MAX_NUMBER * part.agents)
    else:
        problems += ["counts without a trial"] if not key.trial else []
        problems += _count_problems(part.sums, MAX_QUESTIONS * part.agents)
    if problems:
        raise InvalidInput(f"pooled {key.model[:MAX_NAME]!r}: {'; '.join(problems)}")


def _statistics_problems(sums: HeadStatistics, most: float) -> list[str]:
    problems = []
    if not 1 <= sums.width <= MAX_EMBEDDING:
        problems.append(f"an embedding of {sums.width}: expected 1 to {MAX_EMBEDDING}")
    if len(sums.labels) > MAX_LABELS or len(set(sums.labels)) != len(sums.labels):
        problems.append(f"{len(sums.labels)} labels: expected at most {MAX_LABELS}, each once")
    if not all(0 < len(label) <= _MAX_LABEL for label in sums.labels):
        problems.append(f"labels: expected texts of 1 to {_MAX_LABEL} characters")
    if not all((np.abs(numbers) <= most).all() for numbers in (sums.outer, sums.toward)):  # nor is one that is none
        problems.append(f"expected finite numbers of at most {most:g}")
    return problems


def _count_problems(counts: Floats, most: int) -> list[str]:
    if counts.ndim != 1 or not 1 <= len(counts) <= MAX_COUNTS:
        return [f"counts {list(counts.shape)}: expected 1 to {MAX_COUNTS}"]
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.rint(counts)).all()):
        return ["counts: expected whole numbers of at least 0"]
    if counts.max() > most:
        return [f"counts: {counts.max():.0f}: expected at most {most}"]
    return []


def _sum(key: PoolKey, parts: list[PoolPart]) -> PoolPart:
    agents, forgotten = sum(part.agents for part in parts), sum(part.forgotten for part in parts)
    statistics = [part.sums for part in parts if isinstance(part.sums, HeadStatistics)]
    if statistics:
        return PoolPart(key, agents, _bounded(merged(statistics)), forgotten)
    counts = [part.sums for part in parts if not isinstance(part.sums, HeadStatistics)]
    total: Floats = np.sum(counts, axis=0)
    return PoolPart(key, agents, total, forgotten)


def _bounded(sums: HeadStatistics) -> HeadStatistics:
    """The same with the labels that have the most lessons, as many as a head may have.

    Only agents that make labels up bring more; what is left out are columns, so that the other labels are as they were.
    """
    if len(sums.labels) <= MAX_LABELS:
        return sums
    most = np.sort(np.argsort(-sums.toward[-1], kind="stable")[:MAX_LABELS])
    return HeadStatistics(tuple(sums.labels[at] for at in most), sums.outer, sums.toward[:, most])
