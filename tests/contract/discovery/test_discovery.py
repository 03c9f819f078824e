"""What every discovery must do, on static and on a real Consul."""

import time

import pytest

from tests.agent_process import until
from tests.consul_process import real_consul
from upriver.discovery.consul import ConsulDiscovery, ConsulOptions
from upriver.discovery.port import AgentRecord, ServedModel
from upriver.discovery.static import StaticDiscovery

MODELS = {"digits": ServedModel("v1", "sha256:" + "0" * 64), "other.model-1": ServedModel("2", "sha256:" + "1" * 64)}


def record(name, tier, port=7000, **other):
    facts = {"region": "here", "address": f"127.0.0.1:{port}", "protocol": 1, "models": MODELS, "load": 0.25}
    return AgentRecord(agent=name, tier=tier, **(facts | other))


@pytest.fixture(scope="module")
def consul(tmp_path_factory):
    with real_consul(tmp_path_factory.mktemp("consul")) as process:
        yield process


@pytest.fixture(params=["static", pytest.param("consul", marks=pytest.mark.real_consul)])
def others(request, tmp_path):
    """Gives a function from records to a discovery that knows them, and closes everything."""
    opened = []

    def make(records):
        if request.param == "static":
            discovery = StaticDiscovery(records)
        else:
            address = request.getfixturevalue("consul").address
            options = ConsulOptions(address=address, service=f"test-{tmp_path.name[-20:].replace('_', '-')}".lower())
            for one in records:
                other = ConsulDiscovery(options, tmp_path / one.agent)
                other.start(one)
                opened.append(other)
            discovery = ConsulDiscovery(options, tmp_path / "me")
        opened.append(discovery)
        return discovery

    yield make
    for discovery in reversed(opened):
        discovery.close()


def named(discovery):
    return {found.agent: found for found in discovery.agents()}


def test_agents_are_found_with_everything_that_they_told(others):
    records = [record("far-1", "far-edge", 7001), record("cloud-1", "cloud", 7002, region="there", tls=True)]
    discovery = others(records)
    discovery.start(record("me", "device"))
    found = until(lambda: f if {"far-1", "cloud-1"} <= set(f := named(discovery)) else None, what="both agents")
    assert [found["far-1"], found["cloud-1"]] == records


def test_no_call_waits(others):
    discovery = others([])
    started = time.monotonic()
    discovery.start(record("me", "device"))
    discovery.update(record("me", "device", load=0.5))
    discovery.draining()
    for _ in range(1000):
        discovery.agents()
    assert time.monotonic() - started < 1
    discovery.close()
    assert time.monotonic() - started < 4


def test_what_agents_gives_does_not_change_under_the_reader(others):
    discovery = others([record("far-1", "far-edge")])
    discovery.start(record("me", "device"))
    assert isinstance(until(discovery.agents, what="an agent"), tuple)
