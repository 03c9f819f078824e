"""The paragraph that says who answered and why."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.spans.span_facts import (
    TRACE,
    at,
    decide,
    escalate,
    escalated,
    event,
    serve,
    span,
    span_id,
)
from upriver.parameters import Reason
from upriver.tracing import Attribute, EventName, SpanName
from upriver_control.spans.facts import CLIENT, SERVER, EventFacts, SpanFacts
from upriver_control.spans.trace import put_together
from upriver_control.spans.why import duration, held_against, why


def told(*spans: SpanFacts) -> str:
    return why(put_together(spans))


def test_a_local_answer() -> None:
    assert told(serve("device-1"), decide("device-1", 0.97, 0.9)) == (
        "device-1 (device) gave its own answer, because it was sure enough: 0.97, where it takes 0.90. It took 10 ms."
    )


def test_an_answer_from_above() -> None:
    assert told(*escalated()) == (
        "far-1 (far) answered, because it was sure enough: 0.97, where it takes 0.90."
        " device-1 (device) was not sure enough (0.41, where it takes 0.70), so it asked far-1 (far)."
        " It took 10 ms, of which 4.0 ms at far-1."
    )


def test_an_answer_that_is_degraded() -> None:
    held_back = event(EventName.HELD_BACK, "far-1", reason="breaker_open")
    question = serve(
        "device-1",
        reason="breaker_open",
        resolved=False,
        degraded=True,
        score=0.41,
        tickets=1,
        events=[held_back],
    )
    assert told(question, decide("device-1", 0.41, 0.7, "upstream_down")) == (
        "device-1 (device) gave its own answer, though it was not sure enough (0.41, where it takes 0.70):"
        " those above were being left alone, as they kept failing."
        " The answer is degraded: a higher tier should have been asked and could not be."
        " far-1 was passed over: it was being left alone, as it kept failing."
        " It took 10 ms. 1 row waits for a better answer, under a ticket."
    )


def test_an_answer_that_nobody_was_sure_of() -> None:
    spans = [
        serve("device-1", escalated=True, answered_by="far-1", reason="top", resolved=False, score=0.5),
        decide("device-1", 0.3, 0.7, "upstream_down"),
        escalate("device-1", "far-1"),
        serve("far-1", "e:far-1", (4, 8), reason="top", resolved=False, score=0.5),
        decide("far-1", 0.5, 0.9, "top"),
    ]
    assert told(*spans).startswith(
        "far-1 (far) answered, though it was not sure enough (0.50, where it takes 0.90): there is no higher tier to"
        " ask. Nobody was sure, so it is a best guess."
    )


def test_a_question_that_failed() -> None:
    failed = serve("device-1", error="unknown input 'x'.\nexpected image", **{"error.reason": "INVALID_INPUT"})
    assert told(failed) == (
        "device-1 (device) could not answer: unknown input 'x'. expected image (INVALID_INPUT). It took 10 ms."
    )


def test_a_second_upstream_that_was_faster() -> None:
    text = told(
        serve("device-1", answered_by="far-2", events=[event(EventName.HEDGE, "far-2", 5)]),
        decide("device-1", 0.41, 0.7, "upstream_down"),
        escalate("device-1", "far-1", (3, 9), error="cancelled: another upstream answered before it"),
        escalate("device-1", "far-2", (5.1, 8.9)),
    )
    assert text.startswith("far-2 (far) answered, because it was sure enough: 0.97.")
    assert "far-1 (far) was cancelled after 6.0 ms: another upstream answered before it." in text
    assert "far-2 (far) was asked beside one that was late, and answered after 3.8 ms." in text
    assert text.endswith("Missing: far-2 was asked, and sent no spans of it.")


def test_of_many_rows_it_speaks_of_the_least_certain() -> None:
    text = told(
        serve("device-1", answered_by="far-1", rows=16),
        decide("device-1", 0.41, 0.7, "upstream_down"),
        escalate("device-1", "far-1", rows=3),
    )
    assert "Of its 16 rows this is said of the least certain one." in text
    assert "so it asked far-1 (far) about 3 of 16 rows." in text


def test_an_answer_from_above_that_could_not_be_used() -> None:
    unusable = EventFacts(EventName.NOTE, at(9), {Attribute.MESSAGE: "the upstream's answer can't be used: 3 rows."})
    spans = [
        serve("device-1", reason="upstream_down", resolved=False, degraded=True, score=0.41, events=[unusable]),
        decide("device-1", 0.41, 0.7, "upstream_down"),
        escalate("device-1", "far-1"),
        serve("far-1", "e:far-1", (4, 8)),
    ]
    text = told(*spans)
    assert text.startswith("device-1 (device) gave its own answer, though it was not sure enough")
    assert "At device-1: the upstream's answer can't be used: 3 rows." in text
    asked = put_together(spans).asked
    assert asked is not None
    assert (asked.rows[0].went_up, asked.rows[0].reason) == (True, "upstream_down")


def test_a_row_that_went_up_because_of_an_alarm() -> None:
    text = told(
        serve("device-1", answered_by="far-1", reason="alarm", events=[event(EventName.ALARM)]),
        decide("device-1", 0.9, 0.7, "upstream_down"),
        escalate("device-1", "far-1"),
        serve("far-1", "e:far-1", (4, 8)),
        decide("far-1", 0.97, 0.9),
    )
    assert text.startswith("far-1 (far) answered, and was sure enough (0.97, where it takes 0.90): a lower tier looked")
    assert "was sure enough itself (0.90, where it takes 0.70), but the question was to go higher, so it asked" in text
    assert "At device-1: the alarm rings: what looks sure is in doubt." in text


def test_an_audit_is_no_question() -> None:
    told_of = {Attribute.UPSTREAM_AGENT: "cloud-1", Attribute.QUESTION: "q-1"}
    audit = span(SpanName.AUDIT, "a", attributes=told_of, events=[event(EventName.ALARM)])
    assert told(audit) == (
        "An audit: device-1 held its own answer to question q-1 against cloud-1's, and they differ."
        " With that its alarm rang."
    )


def test_a_clock_that_is_off_is_told() -> None:
    assert told(*escalated(2300)).endswith("The clock of far-1 is 2.3 s ahead; its times are corrected.")


def test_nothing_is_made_up_where_nothing_is_here() -> None:
    assert told() == "No agent's span of it is here, so it can't be told who answered."
    assert told(span(SpanName.SERVE, "s")) == "device-1 was asked; whether it answered is not told. It took 10 ms."


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    assert "the reason is told as" not in told(serve("device-1", reason=str(reason), resolved=False))
    assert "the reason is told as 'new'" in told(serve("device-1", reason="new", resolved=False))


@pytest.mark.parametrize(
    ("score", "threshold", "text"),
    [
        (0.41, 0.7, "0.41, where it takes 0.70"),
        (0.6996, 0.7, "0.6996, where it takes 0.7000"),
        (1 - 2**-24, 1.0, "0.9999999, where it takes 1.0000000"),
        (0.7, 0.7, "0.70, where it takes 0.70"),
        (0.4, None, "0.40"),
        (1e300, -3.5, "1.00e+300, where it takes -3.50"),
        (0.4, -math.inf, "0.40, where anything is enough"),
        (0.4, math.inf, "0.40, where nothing is enough"),
        (-math.inf, 0.7, "it can't tell how sure it is"),
    ],
)
def test_a_score_and_its_threshold_have_digits_that_tell_them_apart(
    score: float, threshold: float | None, text: str
) -> None:
    assert held_against(score, threshold) == text


def test_times_have_a_unit_that_fits() -> None:
    seconds = [0.0004, 0.061, 2.3, 99.4, 240, 7200, 172800]
    units = ["0.4 ms", "61 ms", "2.3 s", "99 s", "4.0 min", "2.0 h", "2.0 days"]
    assert [duration(second * 1e9) for second in seconds] == units


names = st.sampled_from([*SpanName, "other"])
scalars = st.sampled_from(["", "a-1", "b-1", "confident", "x" * 300]) | st.booleans() | st.integers() | st.floats()
attributes = st.dictionaries(
    st.sampled_from(Attribute), scalars | st.lists(scalars, max_size=3).map(tuple), max_size=12
)
happened = st.builds(EventFacts, st.sampled_from(EventName), st.integers(0, 2**62), attributes)
keys = st.sampled_from([span_id(name) for name in "abcd"])
anything = st.builds(
    SpanFacts,
    trace=st.just(TRACE),
    span=keys,
    parent=st.just(b"") | keys,
    name=names,
    kind=st.sampled_from([CLIENT, SERVER]),
    start_ns=st.integers(1, 2**62),
    end_ns=st.integers(0, 2**62),
    attributes=attributes,
    events=st.lists(happened, max_size=4).map(tuple),
    failed=st.booleans(),
    error=st.text(max_size=10) | st.just("cancelled: " + "y" * 500),
)


@settings(max_examples=60)
@given(st.lists(anything, max_size=4))
def test_whatever_the_spans_say_there_is_a_paragraph_and_it_ends(spans: list[SpanFacts]) -> None:
    text = told(*spans)
    assert text.endswith(".")
    assert len(text) < 20_000
    assert "\n" not in text
