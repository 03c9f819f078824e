"""How long questions took, who answered them and why: figures over many. Pure.

Times are counted in buckets of a quarter of an octave, as agents count their models' runs: bucket b holds
[2^(b/4), 2^((b+1)/4)) µs. What is read off them is a fifth off at most. Each question counts with its weight.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

BUCKETS: Final = 128
"""The last one is open: from an hour on."""
OCTAVE: Final = 4
"""Buckets of one bin of the picture."""
_LOG2_NS_PER_US: Final = math.log2(1000)


class Group(NamedTuple):
    """Questions of one bucket, answered by one tier for one reason: how many, and for how many they stand."""

    bucket: int
    answered_tier: str
    reason: str
    kept: int
    weight: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Questions that took from `low_ns` to below `high_ns`, by the tier that answered (empty for failed ones)."""

    low_ns: int
    high_ns: int
    by_tier: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures over questions. `bins` have no holes; `reasons` and `answered_tiers` are commonest first."""

    bins: tuple[Bin, ...]
    reasons: tuple[tuple[str, float], ...]
    answered_tiers: tuple[tuple[str, float], ...]
    p50_ns: int | None
    p95_ns: int | None
    kept: int
    estimated: float


def bucket_of(duration_ns: int) -> int:
    """The bucket of a time; what is below a microsecond is in the first."""
    if duration_ns <= 1000:
        return 0
    return min(BUCKETS - 1, int(4 * (math.log2(duration_ns) - _LOG2_NS_PER_US)))


def edge_ns(bucket: int) -> int:
    """Where a bucket begins."""
    return round(1000 * 2 ** (bucket / 4)) if bucket > 0 else 0


def summarize(groups: Iterable[Group]) -> Summary:
    """The figures over groups of questions; what one group has twice is added up."""
    found = [group for group in groups if group.kept > 0]
    weights = [0.0] * BUCKETS
    reasons: dict[str, float] = {}
    tiers: dict[str, float] = {}
    for group in found:
        weights[_within(group.bucket)] += group.weight
        reasons[group.reason] = reasons.get(group.reason, 0.0) + group.weight
        tiers[group.answered_tier] = tiers.get(group.answered_tier, 0.0) + group.weight
    return Summary(
        bins=_bins(found),
        reasons=_commonest(reasons),
        answered_tiers=_commonest(tiers),
        p50_ns=quantile_ns(weights, 0.5),
        p95_ns=quantile_ns(weights, 0.95),
        kept=sum(group.kept for group in found),
        estimated=sum(group.weight for group in found),
    )


def quantile_ns(weights: list[float], share: float) -> int | None:
    """The time that `share` of all took at most, between a bucket's edges by logarithm; None without any."""
    wanted, below = share * sum(weights), 0.0
    if wanted <= 0:
        return None
    last = max(bucket for bucket, weight in enumerate(weights) if weight > 0)
    for bucket, weight in enumerate(weights):
        if weight > 0 and (below + weight >= wanted or bucket == last):
            return round(1000 * 2 ** ((bucket + min(1.0, (wanted - below) / weight)) / 4))
        below += weight
    return None


def _bins(groups: list[Group]) -> tuple[Bin, ...]:
    octaves: dict[int, dict[str, float]] = {}
    by_octave = sorted(groups, key=lambda group: _within(group.bucket) // OCTAVE)
    for octave, members in groupby(by_octave, key=lambda group: _within(group.bucket) // OCTAVE):
        by_tier: dict[str, float] = {}
        for group in members:
            by_tier[group.answered_tier] = by_tier.get(group.answered_tier, 0.0) + group.weight
        octaves[octave] = by_tier
    if not octaves:
        return ()
    return tuple(
        Bin(edge_ns(octave * OCTAVE), edge_ns((octave + 1) * OCTAVE), octaves.get(octave, {}))
        for octave in range(min(octaves), max(octaves) + 1)
    )


def _within(bucket: int) -> int:
    return min(max(0, bucket), BUCKETS - 1)


def _commonest(counts: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
