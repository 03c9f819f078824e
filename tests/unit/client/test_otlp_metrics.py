"""Metrics as OTLP sends them, read back with the published stubs."""

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from upriver.families import Buckets, Exemplar, Family, Kind, Sample
from upriver.otlp_metrics import encode

TRACE = "0123456789abcdef0123456789abcdef"
STARTED_NS, NOW_NS = 5 * 10**9, 9 * 10**9


def sent(*families: Family) -> list[pb.Metric]:
    request = ExportMetricsServiceRequest.FromString(encode(families, {"service.name": "x"}, STARTED_NS, NOW_NS))
    (resource,) = request.resource_metrics
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [("service.name", "x")]
    return list(resource.scope_metrics[0].metrics)


def labels(point: pb.NumberDataPoint | pb.HistogramDataPoint) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in point.attributes}


def test_a_counter_is_a_sum_that_only_grows() -> None:
    (metric,) = sent(Family("upriver_sent_bytes", Kind.COUNTER, "Sent.", "bytes", [Sample({"to": "a"}, 7)]))
    assert (metric.name, metric.unit, metric.description) == ("upriver_sent_bytes", "By", "Sent.")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = metric.sum.data_points
    assert (labels(point), point.as_int) == ({"to": "a"}, 7)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (STARTED_NS, NOW_NS)


def test_gauges_and_infos_are_gauges() -> None:
    gauge, info = sent(
        Family("upriver_alarm", Kind.GAUGE, "Alarm.", "", [Sample({}, 0.5)]),
        Family("upriver_build", Kind.INFO, "Build.", "", [Sample({"version": "1"}, 1)]),
    )
    assert (gauge.name, gauge.gauge.data_points[0].as_double) == ("upriver_alarm", 0.5)
    assert (info.name, info.gauge.data_points[0].as_int) == ("upriver_build_info", 1)


def test_a_histogram_has_its_buckets_and_the_traces_of_its_exemplars() -> None:
    exemplar = Exemplar({"trace_id": TRACE}, 1.5, 8.0)
    buckets = Buckets((1.0, 2.0), (3, 2, 1), 12.5, {1: exemplar})
    (metric,) = sent(Family("upriver_x_seconds", Kind.HISTOGRAM, "Time.", "seconds", [Sample({}, buckets)]))
    (point,) = metric.histogram.data_points
    assert (point.count, point.sum) == (6, 12.5)
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([3, 2, 1], [1.0, 2.0])
    assert (point.exemplars[0].trace_id.hex(), point.exemplars[0].as_double) == (TRACE, 1.5)
    assert point.exemplars[0].time_unix_nano == 8 * 10**9


def test_what_has_no_samples_is_not_sent() -> None:
    assert sent(Family("upriver_nothing", Kind.GAUGE, "Nothing.", "", [])) == []
