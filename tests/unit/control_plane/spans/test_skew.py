"""Clocks that are off, by anything up to days, are found where calls give them away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.spans.span_facts import escalate, escalated, serve
from upriver_control.spans.facts import SpanFacts
from upriver_control.spans.skew import MIN_OFFSET_NS, SLACK_NS, Clock, correct, offset_of
from upriver_control.spans.trace import put_together
from upriver_control.spans.tree import ROOT, Tree, began_ns, hang

DAYS_MS = 2 * 86400 * 1000
offsets = st.sampled_from([0, 0, 0.4, 3, 2300]) | st.floats(-DAYS_MS, DAYS_MS)


def moved(spans: list[SpanFacts], agent: str, ms: float) -> list[SpanFacts]:
    """As if this agent's clock were ahead."""
    by = round(ms * 1e6)
    return [
        span._replace(start_ns=span.start_ns + by, end_ns=span.end_ns + by) if span.agent == agent else span
        for span in spans
    ]


def three_hops() -> list[SpanFacts]:
    return [
        serve("device-1", times=(0, 100), path=("device-1", "far-1", "cloud-1"), answered_by="cloud-1"),
        escalate("device-1", "far-1", (10, 90)),
        serve("far-1", "e:far-1", (20, 80), answered_by="cloud-1"),
        escalate("far-1", "cloud-1", (30, 70)),
        serve("cloud-1", "e:cloud-1", (40, 60)),
    ]


def nested(tree: Tree, shifts: tuple[int, ...]) -> bool:
    for node, shift in zip(tree.nodes, shifts, strict=True):
        if node.parent == ROOT:
            continue
        above = tree.nodes[node.parent].span
        low = began_ns(above) + shifts[node.parent] - SLACK_NS
        start = began_ns(node.span) + shift
        if not low <= start <= start + node.span.length_ns <= low + above.length_ns + 2 * SLACK_NS:
            return False
    return True


@given(offsets, offsets, offsets)
def test_after_correction_every_call_holds_what_it_asked_for(device: float, far: float, cloud: float) -> None:
    spans = moved(moved(moved(three_hops(), "device-1", device), "far-1", far), "cloud-1", cloud)
    tree = hang(spans)
    found = correct(tree)
    assert nested(tree, found.shifts_ns)
    # A call leaves 10 ms of room on either side; nothing better can be known of a clock.
    for clock in found.clocks:
        true_ms = {"far-1": far, "cloud-1": cloud}[clock.agent] - device
        assert abs(clock.ahead_ns / 1e6 - true_ms) <= 25


def test_clocks_that_agree_are_left_alone() -> None:
    found = correct(hang(three_hops()))
    assert (set(found.shifts_ns), found.clocks) == ({0}, ())
    assert correct(hang(moved(three_hops(), "far-1", 10.9))).clocks == ()


def test_a_clock_that_is_off_is_told_and_what_is_below_is_centred() -> None:
    trace = put_together(moved(three_hops(), "far-1", 2300))
    assert trace.clocks == (Clock("far-1", 2_300_000_000, True),)
    assert [trace.start_ns(node) / 1e6 for node in range(5)] == [0, 10, 20, 30, 40]


def test_two_agents_that_share_a_clock_are_corrected_alike() -> None:
    found = correct(hang(moved(moved(three_hops(), "far-1", 5000), "cloud-1", 5000)))
    assert [clock.ahead_ns for clock in found.clocks] == [5_000_000_000, 5_000_000_000]


def test_an_upstream_that_goes_on_after_it_was_given_up_has_no_wrong_clock() -> None:
    spans = [
        serve("device-1", times=(0, 60)),
        escalate("device-1", "far-1", (10, 50), error="deadline exceeded"),
        serve("far-1", "e:far-1", (20, 400)),
    ]
    assert correct(hang(spans)).clocks == ()
    late = correct(hang(moved(spans, "far-1", 1000)))
    assert [clock.ahead_ns for clock in late.clocks] == [1_010_000_000]  # begins with the call: no more is known


def test_what_an_agent_told_of_its_clock_counts_and_is_no_estimate() -> None:
    behind = [
        span._replace(offset_ns=3_000_000_000) if span.agent == "far-1" else span
        for span in moved(escalated(), "far-1", -3000)
    ]
    trace = put_together(behind)
    assert trace.clocks == (Clock("far-1", -3_000_000_000, False),)
    assert set(trace.shifts_ns) == {0}


NOW_NS = 1_800_000_000 * 10**9


@pytest.mark.parametrize(
    ("sent", "offset"),
    [
        (str(NOW_NS), 0),
        (str(NOW_NS - MIN_OFFSET_NS), 0),
        (str(NOW_NS - MIN_OFFSET_NS - 1), MIN_OFFSET_NS + 1),
        (str(NOW_NS + 3 * MIN_OFFSET_NS), -3 * MIN_OFFSET_NS),
        ("", 0),
        ("0", 0),
        ("-5", 0),
        ("٣", 0),
        ("9" * 19, 0),
        ("1" * 30, 0),
    ],
)
def test_a_clock_that_is_told_counts_when_it_is_well_off(sent: str, offset: int) -> None:
    assert offset_of(sent, NOW_NS) == offset
