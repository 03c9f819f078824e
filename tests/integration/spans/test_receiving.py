"""Spans of any OpenTelemetry SDK, sent to a real control plane, are in its store by their ids."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from tests.control_plane_process import control_plane
from upriver_control.spans.store import SpanStore, open_spans


class Remembering:
    """An exporter that passes spans on and remembers what came of it."""

    def __init__(self, exporter):
        self._exporter = exporter
        self.results = []

    def export(self, spans):
        self.results.append(self._exporter.export(spans))
        return self.results[-1]

    def shutdown(self):
        self._exporter.shutdown()

    def force_flush(self, timeout_millis=30_000):
        return True


def tracing(plane, token):
    exporter = OTLPSpanExporter(
        endpoint=f"http://{plane.address}", insecure=True, headers=(("authorization", f"Bearer {token}"),), timeout=5
    )
    remembering = Remembering(exporter)
    provider = TracerProvider(
        resource=Resource.create({"service.name": "shop", "service.instance.id": "till-1"}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(remembering))
    return provider, remembering


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("spans")) as running:
        yield running


def test_spans_of_an_sdk_are_found_by_their_ids(plane):
    provider, sent = tracing(plane, plane.join.removeprefix("upriver://").partition("@")[0])
    tracer = provider.get_tracer("till")
    with tracer.start_as_current_span("earlier") as earlier:
        pass
    with tracer.start_as_current_span("sale", kind=SpanKind.SERVER, links=[Link(earlier.get_span_context())]) as sale:
        sale.set_attribute("items", 3)
        sale.add_event("paid", {"by": "card"})
        sale.set_status(Status(StatusCode.ERROR, "no change"))
        with tracer.start_as_current_span("drawer") as drawer:
            pass
    provider.shutdown()
    assert sent.results == [SpanExportResult.SUCCESS] * 3

    database = open_spans(f"sqlite:///{plane.state}/spans.sqlite")
    store = SpanStore(database)
    sale_id, drawer_id = sale.get_span_context(), drawer.get_span_context()
    found = {facts.span: facts for facts in store.trace(sale_id.trace_id.to_bytes(16))}
    later = store.later(earlier.get_span_context().trace_id.to_bytes(16))
    database.close()
    assert set(found) == {sale_id.span_id.to_bytes(8), drawer_id.span_id.to_bytes(8)}
    kept = found[sale_id.span_id.to_bytes(8)]
    assert (kept.name, kept.kind, kept.service, kept.agent) == ("sale", 2, "shop", "till-1")
    assert kept.attributes["items"] == 3
    assert [(event.name, dict(event.attributes)) for event in kept.events] == [("paid", {"by": "card"})]
    assert (kept.failed, kept.error) == (True, "no change")
    assert found[drawer_id.span_id.to_bytes(8)].parent == kept.span
    assert [facts.span for facts in later] == [kept.span]


def test_spans_without_the_join_token_are_refused(plane):
    provider, sent = tracing(plane, "wrong")
    with provider.get_tracer("till").start_as_current_span("sale"):
        pass
    provider.shutdown()
    assert sent.results == [SpanExportResult.FAILURE]
