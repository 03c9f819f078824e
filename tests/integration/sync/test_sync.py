"""An agent's session and slots against a real SyncService: what is sent, what comes back, what is not sent again."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.control_plane_sync import SyncServer, sync_server
from tests.versions import make_version
from upriver.channels import ChannelOptions
from upriver.discovery.port import AgentRecord
from upriver.errors import ModelInvalid, Unreachable
from upriver.v1 import sync_pb2 as pb
from upriver_agent.installing.device import look
from upriver_agent.installing.installer import Installer
from upriver_agent.installing.supply import Staged
from upriver_agent.serving.loader import Loader, LoaderOptions
from upriver_agent.serving.slots import Slots
from upriver_agent.slot import Pair
from upriver_agent.sync.discovery import ControlPlaneDiscovery
from upriver_agent.sync.session import SyncOptions, SyncSession
from upriver_agent.sync.wire import write_hello, write_slots
from upriver_agent.versions import open_stored, open_version
from upriver_control.observed import Desired, SlotState
from upriver_control.observed import Pair as Wanted
from upriver_control.sessions.arrivals import Arrivals

JOIN = "let-me-in"


class FolderSupply:
    """Pairs from folders on this machine; what is not there is unreachable until it is put there."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.folders: dict[str, Path] = {}
        self.asked: list[str] = []

    def obtain(self, model: str, pair: Pair, bases: Iterable[Pair], cancelled: threading.Event) -> Staged:
        self.asked.append(pair.digest)
        if pair.digest not in self.folders:
            cancelled.wait(0.3)
            raise Unreachable(f"nobody has {pair.digest}")
        return Staged(open_version(self.folders[pair.digest], self.state_dir))

    def reopen(self, pair: Pair) -> Staged:
        return Staged(open_stored(pair.digest, self.state_dir))

    def release(self, kept: Iterable[Pair]) -> None:
        pass


class Agent:
    """An agent without a server: slots, installer and session."""

    def __init__(self, folder: Path, name: str, tier: str, server: SyncServer, token: str = "") -> None:
        self.name = name
        state = folder / name
        loader = Loader(LoaderOptions("auto", 1, 1, 5.0, state))
        self.slots = Slots(loader)
        self.supply = FolderSupply(state)
        self.installer = Installer(
            state, self.supply, loader, self.slots, lambda: self.session.changed(), lambda _: None
        )
        self.recovered = self.installer.recover()
        self.discovery = ControlPlaneDiscovery(state, lambda: self.session.changed())
        me = AgentRecord(name, tier, "here", f"127.0.0.1:{7000 + len(name)}", 1, {}, 0.0)
        device = look("auto", 1 << 30)
        self.session = SyncSession(
            SyncOptions([server.address], ChannelOptions(), token),
            lambda: write_hello(me, ["device", "cloud"], {"canary": "true"}, device, "1", name),
            lambda: pb.Status(slots=write_slots(self.installer.facts())),
            self.installer,
            self.discovery,
        )

    def start(self) -> "Agent":
        self.installer.start()
        self.session.start()
        return self

    def close(self) -> None:
        self.session.close()
        self.installer.close()


@pytest.fixture
def server():
    with sync_server() as running:
        yield running


@pytest.fixture
def agent(tmp_path, server):
    made = Agent(tmp_path, "device-1", "device", server).start()
    yield made
    made.close()


def version(folder: Path, name: str, agent: Agent | None = None) -> Wanted:
    path = make_version(folder / "published", name, 0.5)
    digest = open_version(path, folder / "publisher").digest
    if agent is not None:
        agent.supply.folders[digest] = path
    return Wanted(f"models/pattern/versions/{name}", digest)


def active(server: SyncServer, name: str):
    facts = server.facts(name)
    slot = facts.slots.get("pattern") if facts is not None else None
    return None if slot is None else slot.active


def test_an_assigned_pair_becomes_active_and_is_reported(tmp_path, server, agent) -> None:
    wanted = version(tmp_path, "v1", agent)
    server.want("device-1", {"pattern": Desired(wanted, "r1", 1)})
    until(lambda: active(server, "device-1") == wanted, what="the report of the active pair")
    facts = server.facts("device-1")
    assert facts.labels == {"agent": "device-1", "tier": "device", "region": "here", "canary": "true"}
    assert facts.hardware.runtime == "litert"
    slot = facts.slots["pattern"]
    assert (slot.state, slot.generation, slot.candidate) == (SlotState.ACTIVE, 1, None)
    assert agent.slots.active("pattern").version.manifest.version == "v1"


def test_a_reconnect_sends_nothing_that_the_agent_has(tmp_path, server, agent) -> None:
    wanted = version(tmp_path, "v1", agent)
    server.want("device-1", {"pattern": Desired(wanted, "r1", 1)})
    until(lambda: active(server, "device-1") == wanted, what="the active pair")
    agent.close()
    until(lambda: not server.facts("device-1").connected, what="the end of the stream")
    before = server.sent.count(("device-1", "assignments"))
    again = Agent(tmp_path, "device-1", "device", server)
    assert again.recovered == {"pattern"}, "it answers before anything was reachable"
    again.start()
    try:
        until(lambda: server.facts("device-1").connected, what="the reconnect")
        second = version(tmp_path, "v2", again)
        assert server.sent.count(("device-1", "assignments")) == before
        server.want("device-1", {"pattern": Desired(second, "r2", 2)})
        until(lambda: active(server, "device-1") == second, what="the newer pair")
        assert again.supply.asked == [second.version_digest], "the first was not fetched again"
    finally:
        again.close()


def test_newer_intent_overtakes_a_download_that_is_stuck(tmp_path, server, agent) -> None:
    stuck, wanted = version(tmp_path, "stuck"), version(tmp_path, "v2", agent)
    server.want("device-1", {"pattern": Desired(stuck, "r1", 1)})
    until(lambda: agent.supply.asked, what="the download")
    server.want("device-1", {"pattern": Desired(wanted, "r2", 2)})
    until(lambda: active(server, "device-1") == wanted, what="the newer pair")


def test_a_failure_is_reported_with_its_reason_and_the_old_pair_answers_on(tmp_path, server, agent) -> None:
    good = version(tmp_path, "v1", agent)
    server.want("device-1", {"pattern": Desired(good, "r1", 1)})
    until(lambda: active(server, "device-1") == good, what="the first pair")
    broken = Wanted("models/pattern/versions/broken", "sha256:" + "b" * 64)
    other = make_version(tmp_path / "other", "v1", 0.5, model="other")
    agent.supply.folders[broken.version_digest] = other
    server.want("device-1", {"pattern": Desired(broken, "r2", 2)})
    slot = until(
        lambda: s if (s := server.facts("device-1").slots["pattern"]).state is SlotState.FAILED else None,
        what="the failure",
    )
    assert "version of model 'other'" in slot.reason
    assert (slot.active, slot.candidate) == (good, broken)
    assert agent.slots.active("pattern").version.manifest.version == "v1"


def test_going_back_to_the_previous_pair_fetches_nothing(tmp_path, server, agent) -> None:
    first, second = version(tmp_path, "v1", agent), version(tmp_path, "v2", agent)
    for generation, wanted in enumerate((first, second, first), 1):
        server.want("device-1", {"pattern": Desired(wanted, f"r{generation}", generation)})
        until(lambda wanted=wanted: active(server, "device-1") == wanted, what="the pair")
    assert agent.supply.asked == [first.version_digest, second.version_digest]


def test_a_world_that_makes_no_sense_is_refused_and_told(tmp_path, server, agent) -> None:
    good = version(tmp_path, "v1", agent)
    server.want("device-1", {"pattern": Desired(good, "r1", 1)})
    until(lambda: active(server, "device-1") == good, what="the first pair")
    server.want("device-1", {"pattern": Desired(Wanted("models/other/versions/v9", "sha256:x"), "r2", 2)})
    facts = until(lambda: f if (f := server.facts("device-1")).refusal else None, what="the refusal")
    assert "sha256:x" in facts.refusal
    assert facts.slots["pattern"].active == good


def test_agents_learn_their_upstreams_over_the_stream(tmp_path, server, agent) -> None:
    cloud = Agent(tmp_path, "cloud-1", "cloud", server).start()
    try:
        found = until(agent.discovery.relays, what="the upstream")
        assert [(record.agent, record.tier) for record in found] == [("cloud-1", "cloud")]
        assert agent.discovery.agents() == ()  # it serves no model: blobs may be asked of it, and no questions
        assert cloud.discovery.relays() == ()
    finally:
        cloud.close()
    until(lambda: not server.facts("cloud-1").connected, what="the end of the upstream")
    until(lambda: not agent.discovery.relays(), what="the upstream's disappearance")


def test_a_wrong_token_is_told_and_a_right_one_gets_in(tmp_path, caplog) -> None:
    with sync_server(join_token=JOIN) as server:
        wrong = Agent(tmp_path, "wrong", "device", server, "guess").start()
        right = Agent(tmp_path, "right", "device", server, JOIN).start()
        try:
            until(lambda: server.facts("right"), what="the agent with the token")
            until(lambda: "join token" in caplog.text, what="the warning")
            assert server.facts("wrong") is None
        finally:
            wrong.close()
            right.close()


def test_agents_that_all_arrive_at_once_are_spread(tmp_path) -> None:
    with sync_server(arrivals=Arrivals(20.0, 2.0)) as server:
        agents = [Agent(tmp_path, f"device-{index}", "device", server).start() for index in range(12)]
        try:
            until(lambda: all(server.facts(agent.name) for agent in agents), what="all agents", timeout_s=30)
        finally:
            for agent in agents:
                agent.close()


def test_a_control_plane_that_comes_back_is_found_again(tmp_path) -> None:
    with sync_server() as server:
        agent = Agent(tmp_path, "device-1", "device", server).start()
        until(lambda: server.facts("device-1"), what="the agent")
        port = server.port
    try:
        with sync_server(port=port) as server:
            until(lambda: server.facts("device-1"), what="the agent's return")
    finally:
        agent.close()


def test_a_supply_that_has_lost_a_version_says_so(tmp_path) -> None:
    with pytest.raises(ModelInvalid, match="not whole"):
        FolderSupply(tmp_path).reopen(Pair("models/a/versions/b", "sha256:" + "0" * 64))
