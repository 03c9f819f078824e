"""Export: bounded, quiet when the collector is gone, and gone itself within a second."""

import logging
import sys
import threading
import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.agent_process import until
from tests.otlp_receiver import attributes, receiving
from upriver.errors import InvalidInput
from upriver_agent import otlp
from upriver_agent.otlp import ExportOptions, Reported, SpanExport
from upriver_agent.telemetry import Marks, Telemetry


class Moody(SpanExporter):
    """Takes spans or not, as it is told."""

    def __init__(self) -> None:
        self.takes = True

    def export(self, spans: object) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS if self.takes else SpanExportResult.FAILURE


def test_a_collector_that_goes_and_comes_back_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "upriver_agent.otlp")
    moody = Moody()
    exporter = Reported(moody, "http://collector:4317")
    batch = [ReadableSpan("a"), ReadableSpan("b")]
    exporter.export(batch)
    moody.takes = False
    for _ in range(100):
        exporter.export(batch)
    moody.takes = True
    exporter.export(batch)
    exporter.export(batch)
    gone, back = [record.getMessage() for record in caplog.records]
    assert "http://collector:4317 takes no spans" in gone
    assert back.endswith("200 were lost")


def started(endpoint: str, queue_spans: int, caplog: pytest.LogCaptureFixture) -> tuple[SpanExport, Telemetry]:
    caplog.set_level(logging.INFO)
    telemetry = Telemetry("device-1", "device", "home", 1.0)
    export = SpanExport(ExportOptions(endpoint, "device-1", queue_spans), telemetry)
    export.start()
    until(lambda: "spans go to" in caplog.text, what="the exporter")
    return export, telemetry


def fail_one(telemetry: Telemetry, model: str = "digits") -> None:
    telemetry.failed(None, Marks(time.time_ns()), model, InvalidInput("wrong " + "x" * 5_000))


def test_what_waits_at_the_end_is_sent(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "_FLUSH_S", 60.0)  # a second is enough for an agent, but not on any busy machine
    with receiving() as receiver:
        export, telemetry = started(receiver.endpoint, 16, caplog)
        fail_one(telemetry)
        export.close()
        (trace_id,) = receiver.traces()
        ((service, span),) = receiver.spans(trace_id)
    assert service["service.name"] == "upriver-agent"
    assert service["service.instance.id"] == "device-1"
    assert attributes(span)["upriver.agent"] == "device-1"


def test_a_span_is_small_whatever_the_caller_sent(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        export, telemetry = started(receiver.endpoint, 16, caplog)
        fail_one(telemetry, model="m" * 1_000_000)
        until(receiver.traces, what="the span")
        export.close()
        (trace_id,) = receiver.traces()
        ((_, span),) = receiver.spans(trace_id)
    assert len(attributes(span)["upriver.model"]) == 1_000
    assert span.ByteSize() < 4_000


def test_the_end_does_not_wait_for_a_dead_collector_however_much_waits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "_EXPORT_TIMEOUT_S", 60)  # what waits can't have been given up before we look
    with receiving() as receiver:
        gone = receiver.endpoint
    export, telemetry = started(gone, 4_096, caplog)
    for _ in range(5_000):
        fail_one(telemetry)
    export.close()
    assert "upriver-otlp-end" in {thread.name for thread in threading.enumerate()}, "it is still tried, by itself"
    loggers = {record.name for record in caplog.records if record.levelno >= logging.WARNING}
    assert loggers <= {"upriver_agent.otlp"}


def test_a_missing_exporter_is_told_with_what_to_install(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    export = SpanExport(ExportOptions("http://127.0.0.1:4317", "device-1", 16), Telemetry("a", "t", "r", 1.0))
    export.start()
    until(lambda: "pip install 'upriver[otel]'" in caplog.text, what="the log line")
    export.close()


def test_an_export_that_never_started_can_be_closed() -> None:
    SpanExport(ExportOptions("http://127.0.0.1:4317", "device-1", 16), Telemetry("a", "t", "r", 0.0)).close()
