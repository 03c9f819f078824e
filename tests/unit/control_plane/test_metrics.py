"""What the control plane tells Prometheus."""

from upriver.exposition import classic
from upriver_control.intent import Intent
from upriver_control.metrics import Collector, Snapshot
from upriver_control.observed import AgentFacts


def test_agents_are_counted_by_tier_and_whether_they_are_connected() -> None:
    agents = {
        name: AgentFacts(name, {"agent": name, "tier": tier, "region": "eu"}, connected, 1.0)
        for name, tier, connected in (("a", "device", True), ("b", "device", True), ("c", "cloud", False))
    }
    text = classic(Collector(lambda: Snapshot(agents, {}, Intent([]), 2.0)).families()).decode()
    assert 'upriver_control_agents{tier="device",connected="true"} 2\n' in text
    assert 'upriver_control_agents{tier="cloud",connected="false"} 1\n' in text
    assert "upriver_control_out_of_sync_agents 0\n" in text
