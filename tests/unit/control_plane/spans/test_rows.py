"""What is kept of spans that come in, whatever comes in."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.spans.span_facts import HOUR_NS, TRACE, at, decide, escalated, event, serve, span
from upriver.tracing import Attribute, EventName, SpanName
from upriver_control.spans.facts import LinkFacts, SpanFacts
from upriver_control.spans.flags import Flag
from upriver_control.spans.rows import MAX_AHEAD_NS, MAX_SPAN_BYTES, Group, HopRow, Parsed, SpanRow, rows_of

NOW_NS = HOUR_NS + 10**9


def parsed(*spans: SpanFacts, offset_ns: int = 0) -> Parsed:
    return rows_of([Group(7, spans)], NOW_NS, offset_ns)


def hop(*spans: SpanFacts, offset_ns: int = 0) -> HopRow:
    (found,) = parsed(*spans, offset_ns=offset_ns).hops
    return found


def test_every_span_has_a_row_and_every_question_at_an_agent_another() -> None:
    found = parsed(*escalated())
    assert len(found.spans) == 7
    assert found.spans[0] == SpanRow(TRACE, b"sevice-1", 7, at(0), NOW_NS, 0, b"raw")
    assert [(row.agent, row.hop, row.answered_by) for row in found.hops] == [
        ("device-1", 0, "far-1"),
        ("far-1", 1, "far-1"),
    ]
    assert (found.links, found.rejected, found.reasons) == ([], 0, ())


def test_a_row_says_what_questions_are_looked_for_by() -> None:
    row = hop(serve("device-1", version="sha256:01", kept_share=0.01, question="q-1"), decide("device-1", 0.97, 0.9))
    assert row == HopRow(
        trace=TRACE,
        span=b"sevice-1",
        at_ns=at(0),
        duration_ns=10_000_000,
        bucket=53,
        hop=0,
        agent="device-1",
        tier="device",
        region="home",
        model="digits",
        version="sha256:01",
        reason="confident",
        answered_by="device-1",
        answered_tier="device",
        policy="sha256:aa",
        score=0.97,
        threshold=None,
        rows=1,
        weight=100.0,
        flags=0,
        question="q-1",
        service="upriver-agent",
    )


def test_a_threshold_is_told_of_who_answered_itself_alone() -> None:
    # A decide span ends before the serve span that it belongs to, so it comes before it.
    alone = hop(decide("device-1", 0.97, 0.9), serve("device-1"))
    assert alone.threshold == 0.9
    assert hop(serve("device-1", threshold=0.8)).threshold == 0.8
    assert hop(decide("device-1", 0.4, 0.9), serve("device-1", answered_by="far-1")).threshold is None


def test_a_question_that_failed_has_the_errors_reason_and_no_score() -> None:
    row = hop(span(SpanName.SERVE, "s", attributes={"upriver.error.reason": "INVALID_INPUT"}, error="no such input"))
    assert (row.reason, row.score, row.threshold, row.answered_by) == ("INVALID_INPUT", None, None, "")
    assert row.flags == Flag.FAILED


@pytest.mark.parametrize(
    ("made", "flag"),
    [
        (serve("device-1", escalated=True), Flag.ESCALATED),
        (serve("device-1", degraded=True), Flag.DEGRADED),
        (serve("device-1", resolved=False), Flag.UNRESOLVED),
        (serve("device-1", error="broken"), Flag.FAILED),
        (serve("device-1", tickets=2), Flag.TICKETED),
        (serve("device-1", events=[event(EventName.ALARM)]), Flag.ALARMED),
        (serve("device-1", reason="alarm"), Flag.ALARMED),
        (serve("device-1", events=[event(EventName.HEDGE, "far-1")]), Flag.HEDGED),
    ],
)
def test_what_is_remarkable_is_a_flag(made: SpanFacts, flag: Flag) -> None:
    assert hop(made).flags == flag


def test_a_clock_that_is_off_is_put_right_and_said_so() -> None:
    two_days_ns = 2 * 86400 * 10**9
    late = serve("device-1")._replace(start_ns=at(0) - two_days_ns, end_ns=at(10) - two_days_ns)
    row = hop(late, offset_ns=two_days_ns)
    assert (row.at_ns, row.duration_ns, row.flags) == (at(0), 10_000_000, Flag.SKEWED)
    assert parsed(late, offset_ns=two_days_ns).spans[0].start_ns == late.start_ns


def test_a_span_of_the_future_is_listed_when_it_came() -> None:
    start_ns = NOW_NS + MAX_AHEAD_NS
    assert hop(serve("device-1")._replace(start_ns=start_ns)).flags == 0
    row = hop(serve("device-1")._replace(start_ns=start_ns + 1))
    assert (row.at_ns, row.flags) == (NOW_NS, Flag.SKEWED)


def test_where_the_hop_is_not_told_it_is_the_place_on_the_path() -> None:
    assert hop(serve("far-1", path=("device-1", "far-1"))).hop == 1
    assert hop(serve("far-1", path=("device-1", "far-2"))).hop == 0
    assert hop(serve("far-1", hop=3)).hop == 3


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (serve("a-1")._replace(trace=b"short"), "trace id"),
        (serve("a-1")._replace(trace=bytes(16)), "not all zero"),
        (serve("a-1")._replace(span=bytes(8)), "not all zero"),
        (serve("a-1")._replace(span=b"1" * 9), "span id"),
        (serve("a-1")._replace(parent=b"1"), "parent"),
        (serve("a-1")._replace(start_ns=0), "nanoseconds since 1970"),
        (serve("a-1")._replace(end_ns=1 << 63), "nanoseconds since 1970"),
        (serve("a-1")._replace(raw=bytes(MAX_SPAN_BYTES + 1)), "at most 65536"),
    ],
)
def test_a_span_that_can_not_be_kept_is_refused_by_itself(made: SpanFacts, reason: str) -> None:
    found = parsed(serve("b-1"), made, made, made, made)
    assert (len(found.spans), len(found.hops), found.rejected, len(found.reasons)) == (1, 1, 4, 3)
    assert reason in found.reasons[0]


def test_links_are_kept_by_the_trace_that_they_lead_to() -> None:
    other, third = b"o" * 16, b"t" * 16
    links = [LinkFacts(trace, b"12345678") for trace in (other, other, TRACE, b"short", bytes(16), third)]
    made = span(SpanName.TICKET, "ticket")._replace(links=tuple(links))
    assert [(row.linked_trace, row.name) for row in parsed(made).links] == [
        (other, "upriver.ticket"),
        (third, "upriver.ticket"),
    ]


scalars = st.text(max_size=8) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=4)
values = scalars | st.lists(scalars, max_size=3).map(tuple)
facts = st.builds(
    SpanFacts,
    trace=st.just(TRACE) | st.binary(max_size=16),
    span=st.binary(min_size=8, max_size=8) | st.binary(max_size=9),
    parent=st.just(b"") | st.binary(min_size=8, max_size=8),
    name=st.sampled_from([SpanName.SERVE, SpanName.DECIDE]) | st.text(max_size=8),
    kind=st.integers(0, 5),
    start_ns=st.integers(0, 2**64 - 1),
    end_ns=st.integers(0, 2**64 - 1),
    attributes=st.dictionaries(st.sampled_from(Attribute), values),
    failed=st.booleans(),
    service=st.text(max_size=8),
    agent=st.text(max_size=8),
    raw=st.binary(max_size=8),
)


@settings(max_examples=60)
@given(st.lists(facts, max_size=4), st.integers(-(2**62), 2**62))
def test_whatever_comes_its_rows_fit_into_a_database(spans: list[SpanFacts], offset_ns: int) -> None:
    found = parsed(*spans, offset_ns=offset_ns)
    assert len(found.spans) + found.rejected == len(spans)
    with sqlite3.connect(":memory:") as database:
        for table, rows in (("spans", found.spans), ("hops", found.hops), ("links", found.links)):
            for row in rows:
                marks = ", ".join("?" * len(row))
                database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(row._fields)})")
                database.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608 - names in this test
    for hop_row in found.hops:
        assert all("\0" not in value and len(value) <= 200 for value in hop_row if isinstance(value, str))
        assert 0 < hop_row.at_ns <= NOW_NS + MAX_AHEAD_NS
        assert hop_row.weight >= 1


@pytest.mark.parametrize("offset_ns", [2**63 - 1, -(2**62)])
def test_a_time_that_no_clock_has_once_it_is_put_right_is_refused(offset_ns: int) -> None:
    found = parsed(serve("device-1"), offset_ns=offset_ns)
    assert (len(found.spans), len(found.hops), found.rejected) == (0, 0, 1)
    assert "expected a time between 1970 and 2262" in found.reasons[0]
