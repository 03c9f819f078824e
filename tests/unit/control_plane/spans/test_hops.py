"""What each agent did, as its spans tell it."""

import math
import sys

from tests.unit.control_plane.spans.span_facts import at, decide, escalate, escalated, event, infer, serve
from upriver.tracing import EventName
from upriver_control.spans.facts import SpanFacts
from upriver_control.spans.hops import Cause, Hop, Outcome, RowDecision
from upriver_control.spans.trace import put_together, way_up


def first(*spans: SpanFacts) -> Hop:
    asked = put_together(spans).asked
    assert asked is not None
    return asked


def test_a_hop_has_its_own_score_and_that_of_the_answer() -> None:
    device, far = put_together(escalated()).hops
    assert (device.score, device.threshold, device.answer_score) == (0.41, 0.7, 0.97)
    assert (far.score, far.threshold, far.answer_score) == (0.97, 0.9, 0.97)
    assert (device.answered_by, device.tier, device.model, device.infer_ns) == ("far-1", "device", "digits", 1_000_000)
    assert device.sent_bytes == 1000


def test_a_row_that_went_up_has_no_reason_of_its_own() -> None:
    (device, far) = put_together(escalated()).hops
    assert device.rows == (RowDecision(0, 0.41, 0.7, "", True),)
    assert far.rows == (RowDecision(0, 0.97, 0.9, "confident", False),)


def test_a_row_that_went_up_in_vain_has_the_reason_why_it_came_back() -> None:
    spans = [
        serve("device-1", reason="deadline", resolved=False, degraded=True),
        decide("device-1", 0.4, 0.7, "upstream_down"),
    ]
    assert first(*spans, escalate("device-1", "far-1", error="too late")).rows[0] == RowDecision(
        0, 0.4, 0.7, "deadline", True
    )
    assert first(*spans).rows[0] == RowDecision(0, 0.4, 0.7, "deadline", False)


def test_numbers_that_stand_for_infinity_are_infinite() -> None:
    most = sys.float_info.max
    hop = first(serve("device-1", score=-most), decide("device-1", -most, most))
    assert (hop.score, hop.threshold, hop.answer_score) == (-math.inf, math.inf, -math.inf)


def test_who_was_asked_when_and_why_is_in_order() -> None:
    hop = first(
        serve(
            "device-1",
            answered_by="near-1",
            events=[
                event(EventName.HELD_BACK, "far-0", 2.5, "breaker_open"),
                event(EventName.RETRY, "far-2", 4.9),
                event(EventName.HEDGE, "near-1", 6),
            ],
        ),
        escalate("device-1", "far-1", (3, 4.8), error="connection refused"),
        escalate("device-1", "far-2", (5, 9), error="cancelled: another upstream answered before it"),
        escalate("device-1", "near-1", (6.1, 8.9)),
    )
    assert [(one.agent, one.cause, one.outcome, one.message) for one in hop.tries] == [
        ("far-0", Cause.NONE, Outcome.PASSED_OVER, ""),
        ("far-1", Cause.FIRST, Outcome.FAILED, "connection refused"),
        ("far-2", Cause.RETRY, Outcome.CANCELLED, "another upstream answered before it"),
        ("near-1", Cause.HEDGE, Outcome.ANSWERED, ""),
    ]
    assert hop.tries[0].start_ns == at(2.5)
    assert hop.sent_bytes == 3000


def test_the_same_upstream_may_be_first_and_tried_again() -> None:
    again = escalate("device-1", "far-1", (6, 9))._replace(span=b"e:again.")
    hop = first(
        serve("device-1", events=[event(EventName.RETRY, "far-1", 5.9)]),
        escalate("device-1", "far-1", (3, 5), error="refused"),
        again,
    )
    assert [one.cause for one in hop.tries] == [Cause.FIRST, Cause.RETRY]


def test_what_else_happened_is_told_in_words() -> None:
    hop = first(serve("device-1", events=[event(EventName.BREAKER_OPENED, "far-1"), event(EventName.BUDGET_EMPTY)]))
    assert hop.notes[0] == "far-1 is left alone from now on, as it kept failing"
    assert "no budget" in hop.notes[1]


def test_of_several_questions_in_a_trace_the_one_that_is_asked_for_is_told() -> None:
    other = serve("device-2", times=(50, 60), question="q-2")
    trace = put_together([*escalated(), other], "q-2")
    assert trace.asked is not None
    assert trace.asked.agent == "device-2"
    assert first(*escalated(), other).agent == "device-1"


def test_the_way_of_the_answer_is_followed_over_agents_that_sent_nothing() -> None:
    spans = [
        serve("device-1", answered_by="cloud-1", path=("device-1", "far-1", "cloud-1")),
        infer("device-1"),
        escalate("device-1", "far-1"),
        serve("cloud-1", "e:far-1", (5, 7), hop=2),
    ]
    trace = put_together(spans)
    assert [hop.agent for hop in way_up(trace)] == ["device-1", "cloud-1"]
    assert trace.missing == ("far-1 was asked, and sent no spans of it",)
