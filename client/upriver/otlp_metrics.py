"""Metrics as OTLP sends them: the families that Prometheus is told, in an ExportMetricsServiceRequest.

The only module that knows OTLP's messages of metrics; imported only where metrics are sent, since what it needs comes
with the extra `otel`. Counters and histograms are cumulative. Names are those of the families, units are UCUM's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from upriver.families import Buckets, Exemplar, Family, Kind, Sample
from upriver.tracing import INSTRUMENTATION

METHOD: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACE_ID: Final = "trace_id"
"""The label of an exemplar that names a trace, in 32 hexadecimal digits."""
_CUMULATIVE: Final = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
_UNITS: Final[Mapping[str, str]] = {"bytes": "By", "ratio": "1", "seconds": "s"}
_INFO: Final = "_info"


def encode(families: Iterable[Family], resource: Mapping[str, str], started_ns: int, now_ns: int) -> bytes:
    """One request: all families at `now_ns`, counted since `started_ns`; both are nanoseconds since the epoch."""
    request = ExportMetricsServiceRequest()
    told = request.resource_metrics.add(resource=Resource(attributes=_pairs(resource)))
    scope = told.scope_metrics.add(scope=InstrumentationScope(name=INSTRUMENTATION))
    scope.metrics.extend(_metric(family, started_ns, now_ns) for family in families if family.samples)
    return request.SerializeToString()


def _metric(family: Family, started_ns: int, now_ns: int) -> pb.Metric:
    metric = pb.Metric(name=family.name, description=family.help, unit=_UNITS.get(family.unit, ""))
    match family.kind:
        case Kind.COUNTER:
            points = _numbers(family.samples, started_ns, now_ns)
            metric.sum.CopyFrom(pb.Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True))
        case Kind.GAUGE:
            metric.gauge.CopyFrom(pb.Gauge(data_points=_numbers(family.samples, 0, now_ns)))
        case Kind.INFO:
            metric.name = family.name + _INFO
            metric.gauge.CopyFrom(pb.Gauge(data_points=_numbers(family.samples, 0, now_ns)))
        case Kind.HISTOGRAM:
            histograms = (_histogram(sample, started_ns, now_ns) for sample in family.samples)
            metric.histogram.CopyFrom(pb.Histogram(data_points=histograms, aggregation_temporality=_CUMULATIVE))
    return metric


def _numbers(samples: Iterable[Sample], started_ns: int, now_ns: int) -> Iterator[pb.NumberDataPoint]:
    for sample in samples:
        if isinstance(sample.value, Buckets):  # families hold the two apart
            continue
        point = pb.NumberDataPoint(
            attributes=_pairs(sample.labels), start_time_unix_nano=started_ns, time_unix_nano=now_ns
        )
        if type(sample.value) is int:
            point.as_int = sample.value
        else:
            point.as_double = float(sample.value)
        if sample.exemplar is not None:
            point.exemplars.append(_exemplar(sample.exemplar, now_ns))
        yield point


def _histogram(sample: Sample, started_ns: int, now_ns: int) -> pb.HistogramDataPoint:
    value = sample.value
    if not isinstance(value, Buckets):
        raise TypeError(f"a histogram of {type(value).__name__}")  # families hold the two apart
    return pb.HistogramDataPoint(
        attributes=_pairs(sample.labels),
        start_time_unix_nano=started_ns,
        time_unix_nano=now_ns,
        count=sum(value.counts),
        sum=value.total,
        bucket_counts=value.counts,
        explicit_bounds=value.bounds,
        exemplars=[_exemplar(one, now_ns) for _, one in sorted(value.exemplars.items())],
    )


def _exemplar(exemplar: Exemplar, now_ns: int) -> pb.Exemplar:
    labels = dict(exemplar.labels)
    trace = labels.pop(TRACE_ID, "")
    at_ns = now_ns if exemplar.at_s is None else round(exemplar.at_s * 1e9)
    return pb.Exemplar(
        filtered_attributes=_pairs(labels),
        time_unix_nano=at_ns,
        as_double=exemplar.value,
        trace_id=bytes.fromhex(trace),
    )


def _pairs(labels: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels.items()]
