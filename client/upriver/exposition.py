"""Metrics as Prometheus reads them: the two texts that families are written in. Pure.

The classic text is https://prometheus.io/docs/instrumenting/exposition_formats, the other is OpenMetrics 1.0
(https://prometheus.io/docs/specs/om/open_metrics_spec), which alone has exemplars. Both give the same series: what is
called `upriver_questions` and is a counter is the series `upriver_questions_total` in either.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from upriver.families import Buckets, Exemplar, Family, Kind

CLASSIC_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ENDINGS: Mapping[Kind, tuple[str, ...]] = {
    Kind.COUNTER: ("_total",),
    Kind.GAUGE: (),
    Kind.HISTOGRAM: ("_bucket", "_count", "_sum"),
    Kind.INFO: ("_info",),
}


def classic(families: Iterable[Family]) -> bytes:
    """The classic text; it has no exemplars. Raises ValueError when two families would be called the same."""
    lines: list[str] = []
    for family in _apart(families):
        name = _series(family)
        shown = Kind.GAUGE if family.kind is Kind.INFO else family.kind
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {shown}"]
        lines += [line for line, _ in _lines(family)]
    return _encoded(lines)


def openmetrics(families: Iterable[Family]) -> bytes:
    """The OpenMetrics text. Raises ValueError when two families would be called the same."""
    lines: list[str] = []
    for family in _apart(families):
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_quoted(family.help)}")
        lines += [line + _exemplar(exemplar) for line, exemplar in _lines(family)]
    return _encoded([*lines, "# EOF"])


def wants_openmetrics(accept: str) -> bool:
    """Whether a scraper whose `Accept` header this is would rather have OpenMetrics; without one it would not."""
    wanted = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media in wanted:
            wanted[media] = max(wanted[media], _quality(parameters))
    return wanted["application/openmetrics-text"] > wanted["text/plain"]


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if re.fullmatch(r"\s*[01](\.[0-9]{0,3})?\s*", value) else 0.0
    return 1.0


def _apart(families: Iterable[Family]) -> Iterator[Family]:
    taken: set[str] = set()
    for family in families:
        names = {family.name, *(family.name + ending for ending in _ENDINGS[family.kind])}
        if clash := names & taken:
            raise ValueError(f"{family.name}: there is {min(clash)} already")
        taken |= names
        yield family


def _series(family: Family) -> str:
    """What the classic text calls a family: as its series, but for histograms, which have three."""
    return family.name if family.kind is Kind.HISTOGRAM else family.name + "".join(_ENDINGS[family.kind])


def _lines(family: Family) -> Iterator[tuple[str, Exemplar | None]]:
    for sample in family.samples:
        if isinstance(sample.value, Buckets):
            yield from _histogram(family.name, sample.labels, sample.value)
        else:
            yield f"{_series(family)}{_labels(sample.labels)} {_number(sample.value)}", sample.exemplar


def _histogram(name: str, labels: Mapping[str, str], value: Buckets) -> Iterator[tuple[str, Exemplar | None]]:
    bounds = (*value.bounds, math.inf)
    for bucket, (bound, count) in enumerate(zip(bounds, accumulate(value.counts), strict=True)):
        le = {**labels, "le": _number(float(bound))}
        yield f"{name}_bucket{_labels(le)} {count}", value.exemplars.get(bucket)
    yield f"{name}_count{_labels(labels)} {sum(value.counts)}", None
    yield f"{name}_sum{_labels(labels)} {_number(value.total)}", None


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    at = "" if exemplar.at_s is None else f" {exemplar.at_s:.3f}"
    return f" # {_labels(exemplar.labels) or '{}'} {_number(exemplar.value)}{at}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    if type(value) is int:
        return str(value)
    if math.isfinite(value):
        return repr(float(value))  # numpy's own would be written with their type
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _encoded(lines: Iterable[str]) -> bytes:
    # What can't be encoded, half a surrogate pair, must not take all other metrics along.
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
