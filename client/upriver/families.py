"""Metrics: families of samples, whatever they are written in (`upriver.exposition`). Pure.

What is wrong with a family is a mistake of the program's, so it is a ValueError and is raised where the family is made.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final

UNITS: Final = ("", "bytes", "ratio", "seconds")
"""Base units, as Prometheus' conventions want them; a family that has one ends in it."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RESERVED = ("_total", "_created", "_bucket", "_count", "_sum", "_info")
_MAX_EXEMPLAR: Final = 128
"""Characters of an exemplar's labels, names included: OpenMetrics' bound."""


class Kind(StrEnum):
    """What the numbers of a family mean."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that a number was made of, which `labels` name (a trace's id); `at_s` is since the epoch."""

    labels: Mapping[str, str]
    value: float
    at_s: float | None = None

    def __post_init__(self) -> None:
        _check_labels(self.labels, "an exemplar")
        if (length := sum(len(name) + len(value) for name, value in self.labels.items())) > _MAX_EXEMPLAR:
            raise ValueError(f"an exemplar's labels have {length} characters; at most {_MAX_EXEMPLAR} are allowed")


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram: `counts[i]` values in (bounds[i - 1], bounds[i]], the last of them above all; `total` is their sum.

    `exemplars` are by bucket.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.bounds or not all(map(math.isfinite, self.bounds)):
            raise ValueError(f"bounds {self.bounds}: expected at least one, all finite")
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise ValueError(f"bounds {self.bounds}: expected them to rise")
        if len(self.counts) != len(self.bounds) + 1 or min(self.counts) < 0:
            raise ValueError(f"counts {self.counts}: expected {len(self.bounds) + 1}, none of them negative")
        edges = (-math.inf, *self.bounds, math.inf)
        for bucket, exemplar in self.exemplars.items():
            if not 0 <= bucket < len(self.counts) or not edges[bucket] < exemplar.value <= edges[bucket + 1]:
                raise ValueError(f"an exemplar of {exemplar.value} is not in bucket {bucket} of {self.bounds}")


@dataclass(frozen=True, slots=True)
class Sample:
    """A number, or a histogram, with its labels. `exemplar` is for counters; histograms have theirs by bucket."""

    labels: Mapping[str, str]
    value: float | Buckets
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Samples that mean the same thing.

    `name` is without the ending that its kind brings along (`_total`, `_info`, `_bucket`) and ends in the unit. All
    samples have the same labels, with values that differ. Raises ValueError, which names what is wrong.
    """

    name: str
    kind: Kind
    help: str
    unit: str
    samples: Sequence[Sample]

    def __post_init__(self) -> None:
        self._check_name()
        seen: set[tuple[tuple[str, str], ...]] = set()
        for sample in self.samples:
            _check_labels(sample.labels, self.name)
            if sample.labels.keys() != self.samples[0].labels.keys():
                raise ValueError(
                    f"{self.name}: labels {sorted(sample.labels)} beside {sorted(self.samples[0].labels)};"
                    " expected the same on all samples"
                )
            if (key := tuple(sorted(sample.labels.items()))) in seen:
                raise ValueError(f"{self.name}: two samples with the labels {dict(key)}")
            seen.add(key)
            self._check_value(sample)

    def _check_name(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a metric: expected words of a-z and 0-9 with one _ between")
        if ending := next((ending for ending in _RESERVED if self.name.endswith(ending)), None):
            raise ValueError(f"{self.name}: {ending} is put on by the kind, or means another one")
        if self.unit not in UNITS:
            raise ValueError(
                f"{self.name}: unit {self.unit!r}; expected one of {', '.join(filter(None, UNITS))}, or none"
            )
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"{self.name}: expected it to end in its unit, _{self.unit}")
        if self.unit and self.kind is Kind.INFO:
            raise ValueError(f"{self.name}: an info has no unit")
        if not self.help:
            raise ValueError(f"{self.name}: expected a help text")

    def _check_value(self, sample: Sample) -> None:
        value = sample.value
        if isinstance(value, Buckets) != (self.kind is Kind.HISTOGRAM):
            raise ValueError(f"{self.name}: {type(value).__name__} as the value of a {self.kind}")
        if not isinstance(value, Buckets):
            if self.kind is Kind.COUNTER and not (0 <= value < math.inf):
                raise ValueError(f"{self.name}: a counter of {value}; expected a number from 0 on")
            if self.kind is Kind.INFO and value != 1:
                raise ValueError(f"{self.name}: an info of {value}; expected 1")
        if sample.exemplar is not None and self.kind is not Kind.COUNTER:
            raise ValueError(f"{self.name}: an exemplar on a sample of a {self.kind}")


class Bounded:
    """Keeps the values of a label few: the first `most` that come are told by name, all later ones are `other`.

    Who has a name keeps it, so that no series goes back. `known` have theirs from the start. Not for several threads.
    """

    OTHER: Final = "other"
    MAX_TEXT: Final = 200

    def __init__(self, most: int = 64, known: Iterable[str] = ()) -> None:
        if most < 0:
            raise ValueError(f"at most {most} values; expected 0 or more")
        self._most = most
        self._names: dict[str, None] = {}
        for value in known:
            self.name(value)

    def name(self, value: str) -> str:
        """The value, of which at most `MAX_TEXT` characters are told, or `other`."""
        short = value[: self.MAX_TEXT]
        if short not in self._names:
            if len(self._names) >= self._most:
                return self.OTHER
            self._names[short] = None
        return short


def summed(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each set of labels, in the order of their first: the sum. For labels that were made `other`.

    Raises ValueError when histograms of different bounds meet.
    """
    sums: dict[tuple[tuple[str, str], ...], Sample] = {}
    for sample in samples:
        key = tuple(sorted(sample.labels.items()))
        known = sums.get(key)
        sums[key] = sample if known is None else _added(known, sample)
    return list(sums.values())


def _check_labels(labels: Mapping[str, str], whose: str) -> None:
    for name, value in labels.items():
        if not _NAME.fullmatch(name) or name in {"le", "quantile"}:
            raise ValueError(
                f"{whose}: {name!r} is no name of a label: expected words of a-z and 0-9 with one _ between"
            )
        if not isinstance(value, str):
            raise ValueError(f"{whose}: label {name} is {value!r}; expected text")


def _added(one: Sample, other: Sample) -> Sample:
    exemplar = other.exemplar or one.exemplar
    if isinstance(one.value, Buckets) and isinstance(other.value, Buckets):
        mine, theirs = one.value, other.value
        if mine.bounds != theirs.bounds:
            raise ValueError(f"histograms of {dict(one.labels)} with bounds {mine.bounds} and {theirs.bounds}")
        counts = tuple(map(int.__add__, mine.counts, theirs.counts))
        buckets = Buckets(mine.bounds, counts, mine.total + theirs.total, {**mine.exemplars, **theirs.exemplars})
        return Sample(one.labels, buckets, exemplar)
    if isinstance(one.value, Buckets) or isinstance(other.value, Buckets):
        raise ValueError(f"a number and a histogram of {dict(one.labels)}")
    return Sample(one.labels, one.value + other.value, exemplar)
