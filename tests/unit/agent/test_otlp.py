"""Export: bounded, quiet when the collector is gone, and gone itself within a second."""

import logging
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.otlp_receiver import attributes, receiving
from upriver.errors import InvalidInput
from upriver_agent.otlp import ExportOptions, SpanExport
from upriver_agent.telemetry import Marks, Telemetry


def options(endpoint: str, queue_spans: int, folder: Path, spool_bytes: int = 0) -> ExportOptions:
    return ExportOptions(endpoint, [endpoint.removeprefix("http://")], "device-1", queue_spans, folder, spool_bytes)


def started(options: ExportOptions, caplog: pytest.LogCaptureFixture) -> tuple[SpanExport, Telemetry]:
    caplog.set_level(logging.INFO)
    telemetry = Telemetry("device-1", "device", "home", 1.0)
    export = SpanExport(options, telemetry)
    export.start()
    until(lambda: "spans go to" in caplog.text, what="the exporter")
    return export, telemetry


def fail_one(telemetry: Telemetry, model: str = "digits") -> None:
    telemetry.failed(None, Marks(time.time_ns()), model, InvalidInput("wrong " + "x" * 5_000))


def test_what_waits_at_the_end_is_sent(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with receiving() as receiver:
        export, telemetry = started(options(receiver.endpoint, 16, tmp_path, 1 << 20), caplog)
        fail_one(telemetry)
        export.close()
        (trace_id,) = receiver.traces()
        ((service, span),) = receiver.spans(trace_id)
    assert service["service.name"] == "upriver-agent"
    assert service["service.instance.id"] == "device-1"
    assert attributes(span)["upriver.agent"] == "device-1"


def test_a_span_is_small_whatever_the_caller_sent(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with receiving() as receiver:
        export, telemetry = started(options(receiver.endpoint, 16, tmp_path), caplog)
        fail_one(telemetry, model="m" * 1_000_000)
        until(receiver.traces, what="the span")
        export.close()
        (trace_id,) = receiver.traces()
        ((_, span),) = receiver.spans(trace_id)
    assert len(attributes(span)["upriver.model"]) == 1_000
    assert span.ByteSize() < 4_000


def test_an_export_whose_collector_is_dead_ends_and_the_courier_alone_tells_of_it(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with receiving() as receiver:
        gone = receiver.endpoint
    export, telemetry = started(options(gone, 16, tmp_path, 1 << 20), caplog)
    fail_one(telemetry)
    export.close()
    until(lambda: "upriver-spans" not in {thread.name for thread in threading.enumerate()}, what="the thread's end")
    counts = export.counts()
    assert counts is not None
    assert sum(counts.lost.values()) == sum(counts.sent.values()) == 0
    loggers = {record.name for record in caplog.records if record.levelno >= logging.WARNING}
    assert loggers <= {"upriver_agent.spooling.courier"}


def test_what_is_missing_is_told_with_what_to_install(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "upriver_agent.spooling.courier", None)
    export = SpanExport(options("http://127.0.0.1:4317", 16, tmp_path), Telemetry("a", "t", "r", 1.0))
    export.start()
    until(lambda: "pip install 'upriver[otel]'" in caplog.text, what="the log line")
    export.close()


def test_an_export_that_never_started_can_be_closed(tmp_path: Path) -> None:
    SpanExport(options("http://127.0.0.1:4317", 16, tmp_path), Telemetry("a", "t", "r", 0.0)).close()
