"""Families about answers, from the meters of models."""

from collections.abc import Callable, Iterable, Iterator

from upriver.families import Bounded, Buckets, Exemplar, Family, Kind, Sample, summed
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.meter import CONFIDENCE_BOUNDS, STAGE_BOUNDS, Counted, Meter
from upriver_agent.serving.statistics import count

_INFER_POWERS = range(6, 25)
"""The model's own time is counted by quarters of octaves of a us; told by whole ones, 64 us to 17 s."""
_INFER_BOUNDS = tuple(2.0**power / 1e6 for power in _INFER_POWERS)


def answer_families(
    meters: Iterable[Meter],
    loaded: Iterable[LoadedVersion],
    names: Bounded,
    inferred: "Callable[[LoadedVersion], Buckets]",
) -> Iterator[Family]:
    """Questions by outcome, times by stage, confidences. `names` bounds models, `inferred` never goes back."""
    rows: list[Sample] = []
    stages: list[Sample] = []
    confidences: list[Sample] = []
    for meter in meters:
        model = names.name(meter.model)
        rows += _rows(model, meter)
        total = _buckets(STAGE_BOUNDS, meter.total(), _exemplars(meter))
        stages.append(Sample({"model": model, "stage": "total"}, total))
        escalate = _buckets(STAGE_BOUNDS, meter.escalate())
        stages.append(Sample({"model": model, "stage": "escalate"}, escalate))
        for counted in (meter.confidence(), meter.slow_confidence()):
            confidences.append(Sample({"model": model}, _buckets(CONFIDENCE_BOUNDS, counted)))
    inside = [Sample({"model": names.name(one.model)}, inferred(one)) for one in loaded]
    yield Family("upriver_questions", Kind.COUNTER, "Rows of questions, by what became of them.", "", summed(rows))
    yield Family(
        "upriver_stage_seconds",
        Kind.HISTOGRAM,
        "How long questions took: in total, and of that while upstreams were asked.",
        "seconds",
        summed(stages),
    )
    yield Family("upriver_infer_seconds", Kind.HISTOGRAM, "How long the model itself ran.", "seconds", summed(inside))
    yield Family(
        "upriver_confidence_ratio",
        Kind.HISTOGRAM,
        "How sure this agent's own answers were, row by row.",
        "ratio",
        summed(confidences),
    )


class Inferred:
    """The model's own time by model, which goes on counting when another version takes over."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, Buckets]] = {}
        self._sums: dict[str, Buckets] = {}

    def __call__(self, loaded: LoadedVersion) -> Buckets:
        """What all versions of the model took; runs between the last look and a swap are not counted."""
        counted = count(loaded)
        counts = [0] * (len(_INFER_BOUNDS) + 1)
        for bucket, number in counted.latency.items():
            counts[min(len(_INFER_BOUNDS), max(0, bucket // 4 + 1 - _INFER_POWERS[0]))] += number
        now = Buckets(_INFER_BOUNDS, tuple(counts), counted.nanoseconds / 1e9)
        known, before = self._last.get(loaded.model, (0, now))
        earlier = self._sums.get(loaded.model)
        if known and known != id(loaded.usage) and earlier is not None:
            self._sums[loaded.model] = _sum(earlier, before)
        elif earlier is None:
            self._sums[loaded.model] = Buckets(_INFER_BOUNDS, (0,) * len(counts), 0.0)
        self._last[loaded.model] = (id(loaded.usage), now)
        return _sum(self._sums[loaded.model], now)


def _sum(one: Buckets, other: Buckets) -> Buckets:
    return Buckets(one.bounds, tuple(map(int.__add__, one.counts, other.counts)), one.total + other.total)


def _rows(model: str, meter: Meter) -> list[Sample]:
    counts, _ = meter.confidence()
    samples = [Sample({"model": model, "outcome": "local", "reason": "confident"}, sum(counts))]
    return samples + [
        Sample({"model": model, "outcome": outcome, "reason": str(reason)}, number)
        for (outcome, reason), number in meter.outcomes().items()
    ]


def _exemplars(meter: Meter) -> dict[int, Exemplar]:
    return {
        bucket: Exemplar({"trace_id": trace}, seconds, now)
        for bucket, (trace, seconds, now) in dict(meter.slowest).items()
    }


def _buckets(bounds: tuple[float, ...], counted: Counted, exemplars: dict[int, Exemplar] | None = None) -> Buckets:
    counts, total = counted
    return Buckets(bounds, counts, total, exemplars or {})
