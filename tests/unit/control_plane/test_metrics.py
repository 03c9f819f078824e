"""What the control plane tells Prometheus."""

from upriver.exposition import classic
from upriver_control.intent import Intent
from upriver_control.metrics import Collector, Snapshot, SpanFacts
from upriver_control.observed import AgentFacts
from upriver_control.spans.intake import Counts

UNREAD = SpanFacts(Counts(), 0, False)


def test_agents_are_counted_by_tier_and_whether_they_are_connected() -> None:
    agents = {
        name: AgentFacts(name, {"agent": name, "tier": tier, "region": "eu"}, connected, 1.0)
        for name, tier, connected in (("a", "device", True), ("b", "device", True), ("c", "cloud", False))
    }
    text = classic(Collector(lambda: Snapshot(agents, {}, Intent([]), 2.0), lambda: UNREAD).families()).decode()
    assert 'upriver_control_agents{tier="device",connected="true"} 2\n' in text
    assert 'upriver_control_agents{tier="cloud",connected="false"} 1\n' in text
    assert "upriver_control_out_of_sync_agents 0\n" in text


def spans_text(facts: SpanFacts) -> str:
    return classic(Collector(lambda: Snapshot({}, {}, Intent([]), 2.0), lambda: facts).families()).decode()


def test_what_came_of_spans_and_what_waits_is_told() -> None:
    text = spans_text(SpanFacts(Counts(70, 20, 3, 1), 512, True, 4096, 5 * 10**9, 30, 2))
    assert 'upriver_control_spans_received_total{outcome="kept"} 70\n' in text
    assert 'upriver_control_spans_received_total{outcome="known"} 20\n' in text
    assert 'upriver_control_spans_received_total{outcome="rejected"} 3\n' in text
    assert "upriver_control_span_exports_refused_total 1\n" in text
    assert "upriver_control_spans_refusing 1.0\n" in text
    assert "upriver_control_intake_queue_bytes 512\n" in text
    assert "upriver_control_stored_spans_bytes 4096\n" in text
    assert "upriver_control_forward_lag_spans 30\n" in text
    assert "upriver_control_forward_lost_spans 2\n" in text
    assert "upriver_control_oldest_span_time_seconds 5.0\n" in text


def test_of_a_database_that_can_t_be_read_nothing_is_made_up() -> None:
    text = spans_text(UNREAD)
    assert "upriver_control_spans_refusing 0.0\n" in text
    assert not [line for line in text.splitlines() if line.startswith("upriver_control_stored_spans_bytes ")]
    assert not [line for line in text.splitlines() if line.startswith("upriver_control_forward_lag_spans ")]
