"""What every discovery must do: static, a real Consul's, and the control plane's over real streams."""

import time
from dataclasses import replace

import pytest

from tests.agent_process import until
from tests.consul_process import real_consul
from tests.control_plane_sync import sync_server
from tests.heads import loader_in
from upriver.channels import ChannelOptions
from upriver.discovery.consul import ConsulDiscovery, ConsulOptions
from upriver.discovery.port import AgentRecord, ServedModel
from upriver.discovery.static import StaticDiscovery
from upriver.v1 import sync_pb2 as pb
from upriver_agent.installing.device import look
from upriver_agent.installing.installer import Installer
from upriver_agent.serving.slots import Slots
from upriver_agent.sync.discovery import ControlPlaneDiscovery
from upriver_agent.sync.session import SyncOptions, SyncSession
from upriver_agent.sync.wire import write_hello

TIERS = ("device", "far-edge", "cloud")
MODELS = {"digits": ServedModel("v1", "sha256:" + "0" * 64), "other.model-1": ServedModel("2", "sha256:" + "1" * 64)}


def record(name, tier, port=7000, **other):
    facts = {"region": "here", "address": f"127.0.0.1:{port}", "protocol": 1, "models": MODELS, "load": 0.25}
    return AgentRecord(agent=name, tier=tier, **(facts | other))


@pytest.fixture(scope="module")
def consul(tmp_path_factory):
    with real_consul(tmp_path_factory.mktemp("consul")) as process:
        yield process


@pytest.fixture(scope="module")
def control_plane():
    with sync_server() as server:
        yield server


class NoSupply:
    """These agents are assigned nothing."""

    def release(self, kept):
        pass


def joined(server, folder, me):
    """An agent's discovery by way of the control plane, and the session that fills it."""
    loader = loader_in(folder)
    session = None
    installer = Installer(folder, NoSupply(), loader, Slots(loader), lambda: session.changed(), lambda _: None)
    discovery = ControlPlaneDiscovery(folder, lambda: session.changed())
    slots = [
        pb.SlotReport(
            model=model,
            state=pb.SLOT_STATE_ACTIVE,
            active=pb.Pair(version=f"models/{model}/versions/{served.version}", version_digest=served.digest),
        )
        for model, served in me.models.items()
    ]
    session = SyncSession(
        SyncOptions([server.address], ChannelOptions()),
        lambda: write_hello(me, TIERS, {}, look("auto", 1 << 30), "1", me.agent),
        lambda: pb.Status(slots=slots, load=me.load),
        installer,
        discovery,
    )
    installer.start()
    session.start()
    return discovery, session, installer


@pytest.fixture(params=["static", pytest.param("consul", marks=pytest.mark.real_consul), "control-plane"])
def others(request, tmp_path):
    """Gives a function from records to a discovery that knows them, and closes everything."""
    opened = []

    def make(records):
        if request.param == "static":
            discovery = StaticDiscovery(records)
        elif request.param == "control-plane":
            server = request.getfixturevalue("control_plane")
            for one in records:
                opened.extend(joined(server, tmp_path / one.agent, one)[1:])
            # Who we are is in the session's hello, which `start` leaves to it.
            discovery, *rest = joined(server, tmp_path / "me", record("me", "device"))
            opened.extend(rest)
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
    # The control plane does not tell of loads: they change all the time, and each change would be sent to everybody.
    told = [replace(found[name], load=found[name].load or 0.25) for name in ("far-1", "cloud-1")]
    assert told == records


def test_no_call_waits(others):
    discovery = others([])
    started = time.monotonic()
    discovery.start(record("me", "device"))
    for turn in range(5000):  # so many that waits of a few milliseconds add up to more than any pause of this machine
        discovery.update(record("me", "device", load=turn / 5000))
        discovery.agents()
    discovery.draining()
    assert time.monotonic() - started < 60
    discovery.close()
    assert time.monotonic() - started < 120


def test_what_agents_gives_does_not_change_under_the_reader(others):
    discovery = others([record("far-1", "far-edge")])
    discovery.start(record("me", "device"))
    assert isinstance(until(discovery.agents, what="an agent"), tuple)
