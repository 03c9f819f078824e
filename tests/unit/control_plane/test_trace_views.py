"""A trace is told whatever is in it: whoever may export has written it, and any part of it may be missing."""

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from bench.many_spans import Mesh, export, question
from upriver.errors import NotFound, Unreachable
from upriver.tracing import Attribute, EventName, SpanName
from upriver.v1 import question_pb2 as pb
from upriver_control.services.trace_views import MAX_BYTES, TraceViews
from upriver_control.spans.reading import read
from upriver_control.spans.rows import MAX_SPAN_BYTES, Group, rows_of
from upriver_control.spans.store import SpanStore, open_spans
from upriver_control.store.audits import AuditTable
from upriver_control.store.database import open_database

NOW_NS = 1_750_000_000 * 10**9
AGENTS = ("device-1", "far-1", "cloud-1", "")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    spans, main = open_spans(f"sqlite:///{folder}/spans.sqlite"), open_database(f"sqlite:///{folder}/control.db")
    yield TraceViews(SpanStore(spans), AuditTable(main))
    spans.close()
    main.close()


def keep(views: TraceViews, agent: str, spans: Sequence[Span]) -> int:
    """Keeps what can be kept; gives how many spans were refused."""
    found = read(export(agent, spans).SerializeToString())
    numbers = views.store.origins([batch.origin for batch in found.batches], NOW_NS)
    parsed = rows_of([Group(numbers[batch.origin], batch.spans) for batch in found.batches], NOW_NS)
    views.store.write(parsed)
    return parsed.rejected + found.unread


texts = st.sampled_from(AGENTS) | st.text(max_size=12)
values = st.one_of(
    texts.map(lambda text: AnyValue(string_value=text)),
    st.booleans().map(lambda truth: AnyValue(bool_value=truth)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: AnyValue(int_value=number)),
    st.floats().map(lambda number: AnyValue(double_value=number)),
    st.binary(max_size=8).map(lambda data: AnyValue(bytes_value=data)),
    st.lists(texts, max_size=4).map(
        lambda items: AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in items]))
    ),
    st.just(AnyValue()),
)
keys = st.sampled_from([*(str(name) for name in Attribute)]) | st.text(max_size=8)
attributes = st.dictionaries(keys, values, max_size=6).map(
    lambda told: [KeyValue(key=key, value=value) for key, value in told.items()]
)
times = st.integers(NOW_NS - 10**12, NOW_NS + 10**12) | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
ids = st.sampled_from([bytes([number]) * 8 for number in range(1, 8)])
events = st.lists(
    st.builds(
        Span.Event,
        name=st.sampled_from([*(str(name) for name in EventName)]) | st.text(max_size=5),
        time_unix_nano=times,
        attributes=attributes,
    ),
    max_size=3,
)
spans = st.builds(
    Span,
    span_id=ids,
    parent_span_id=ids | st.sampled_from([b"", bytes(8), b"short"]),
    name=st.sampled_from([*(str(name) for name in SpanName)]) | st.text(max_size=10),
    kind=st.integers(0, 5),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    attributes=attributes,
    events=events,
    status=st.builds(Status, code=st.integers(0, 2), message=st.text(max_size=10)),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(AGENTS), spans), min_size=1, max_size=6))
def test_whatever_spans_there_are_a_trace_is_told(views, sent):
    trace = next(_numbers).to_bytes(16)
    for agent, span in sent:
        span.trace_id = trace
        keep(views, agent, [span])
    kept = len(views.store.trace(trace))
    if not kept:
        with pytest.raises(NotFound):
            views.get(pb.GetTraceRequest(trace=trace.hex()))
        return
    told = views.get(pb.GetTraceRequest(trace=trace.hex(), raw=True))
    assert pb.GetTraceResponse.FromString(told.SerializeToString()) == told or math.isnan(told.question.score)
    assert len(told.spans) == kept
    assert told.why
    assert all(one.start.ToNanoseconds() >= 0 for one in told.spans)
    assert {hop.span for hop in told.hops} <= {one.span for one in told.spans}
    assert told.HasField("question") == bool(told.hops)
    parsed = TracesData.FromString(told.otlp)
    assert sum(len(scope.spans) for resource in parsed.resource_spans for scope in resource.scope_spans) == kept


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 6)), st.permutations(range(7)))
def test_any_spans_of_a_question_may_be_missing_and_come_in_any_order(views, gone, order):
    mesh = Mesh(seed=next(_numbers), began_ns=NOW_NS - 10**9)
    sent = question(mesh, 1)
    for index in order:
        if index not in gone:
            agent, span = sent[index]
            keep(views, agent, [span])
    if len(gone) == len(sent):
        return
    told = views.get(pb.GetTraceRequest(trace=mesh.trace(1).hex()))
    assert len(told.spans) == len(sent) - len(gone)
    serves = {0: "device-1", 4: "cloud-1"}
    assert [hop.agent for hop in told.hops] == [agent for index, agent in serves.items() if index not in gone]
    if 0 not in gone and 4 in gone:
        assert any("cloud-1" in line for line in told.missing)
    if 0 in gone:
        assert told.missing


def test_a_trace_that_is_larger_than_an_answer_says_what_is_left_out(views):
    trace = next(_numbers).to_bytes(16)
    long = [KeyValue(key=f"k{number}", value=AnyValue(string_value="v" * 990)) for number in range(40)]
    sent = [
        Span(trace_id=trace, span_id=number.to_bytes(8), name="big", start_time_unix_nano=NOW_NS, attributes=long)
        for number in range(1, 401)
    ]
    assert all(span.ByteSize() < MAX_SPAN_BYTES for span in sent)
    for first in range(0, 400, 50):
        assert keep(views, "device-1", sent[first : first + 50]) == 0
    told = views.get(pb.GetTraceRequest(trace=trace.hex(), raw=True))
    assert told.ByteSize() <= MAX_BYTES
    assert any("more spans of it, which an answer does not hold" in line for line in told.missing)
    assert any("the spans as they came" in line for line in told.missing)


class Gone(AuditTable):
    """A table in a database that is not there now."""

    def __init__(self):
        pass

    def of_question(self, question, agents, limit=100):
        raise Unreachable("the database can't be reached")


def test_while_audits_can_not_be_read_the_rest_is_told_and_that_they_are_missing(views):
    mesh = Mesh(seed=next(_numbers), began_ns=NOW_NS - 10**9)
    for agent, span in question(mesh, 1):
        keep(views, agent, [span])
    told = TraceViews(views.store, Gone()).get(pb.GetTraceRequest(trace=mesh.trace(1).hex()))
    assert len(told.hops) == 2
    assert list(told.missing) == ["its audits, which can't be read now: the database can't be reached"]


@pytest.mark.parametrize(
    ("rows", "ticketed", "answered", "tickets", "missing"),
    [
        (1, 1, (), [""], 0),
        (3, 3, (), [".0", ".1", ".2"], 0),
        (3, 2, (), [], 2),
        (3, 2, (2,), [".2"], 1),
        (3, 0, (), [], 0),
    ],
)
def test_tickets_are_named_as_far_as_spans_tell_which_rows_got_them(views, rows, ticketed, answered, tickets, missing):
    trace, asked = next(_numbers).to_bytes(16), f"q-{next(_numbers):016x}-{0:016x}"
    told = {Attribute.QUESTION: asked, Attribute.AGENT: "device-1"}
    numbers = {Attribute.ROWS: rows, Attribute.TICKETS: ticketed, Attribute.HOP: 0}
    serve = Span(trace_id=trace, span_id=b"s" * 8, name=SpanName.SERVE, start_time_unix_nano=NOW_NS)
    serve.attributes.extend(KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in told.items())
    serve.attributes.extend(KeyValue(key=key, value=AnyValue(int_value=value)) for key, value in numbers.items())
    keep(views, "device-1", [serve])
    for row in answered:
        link = Span.Link(trace_id=trace, span_id=b"s" * 8)
        ticket = Span(
            trace_id=next(_numbers).to_bytes(16), span_id=b"t" * 8, name=SpanName.TICKET, start_time_unix_nano=NOW_NS,
            links=[link],
        )  # fmt: skip
        ticket.attributes.add(key=Attribute.QUESTION, value=AnyValue(string_value=f"{asked}.{row}"))
        keep(views, "device-1", [ticket])
    found = views.get(pb.GetTraceRequest(trace=asked))
    assert list(found.tickets) == [f"tickets/{asked}{row}" for row in tickets]
    said = [line for line in found.missing if "got tickets" in line]
    assert len(said) == (1 if missing else 0)
    assert not missing or f"which {missing} of its rows" in said[0]


def test_a_ticket_that_is_asked_again_is_found_where_it_was_first_asked(views):
    """It is asked by its own name, at the same agent, in another trace."""
    first, again = (next(_numbers).to_bytes(16) for _ in range(2))
    asked = f"q-{next(_numbers):016x}-{0:016x}"
    for trace, name, late in ((first, asked, 0), (again, f"{asked}.1", 10**9)):
        serve = Span(trace_id=trace, span_id=b"s" * 8, name=SpanName.SERVE, start_time_unix_nano=NOW_NS + late)
        serve.attributes.add(key=Attribute.QUESTION, value=AnyValue(string_value=name))
        keep(views, "device-1", [serve])
    for name in (asked, f"tickets/{asked}.1", f"lessons/{asked}.1"):
        assert views.get(pb.GetTraceRequest(trace=name)).question.trace == first.hex()
    assert views.asked(asked).span == (b"s" * 8).hex()
