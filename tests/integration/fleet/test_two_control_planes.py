"""Two control planes on one database: one leads, either answers, and kill -9 of the leader hands over."""

import json
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.agent_process import until
from tests.asking import version_of
from tests.consul_process import real_consul
from tests.control_plane_process import ControlPlaneProcess, control_plane, following
from tests.postgres_process import real_postgres
from tests.simulated_agents import simulated
from tests.versions import make_version
from upriver.v1 import rollout_pb2

LEADS, LOST = "this process leads", "this process has lost the leader lock"
SLOW = rollout_pb2.Strategy(
    rings=[rollout_pb2.Ring(count=1), rollout_pb2.Ring(percent=100)],
    soak_time=Duration(seconds=4),
    failure_limit=1.0,
    min_sample=1,
    progress_deadline=Duration(seconds=600),
)


@dataclass
class Two:
    """Both control planes, and within which time another one leads when the leader is gone."""

    planes: tuple[ControlPlaneProcess, ControlPlaneProcess]
    handed_over_s: float

    def leader(self) -> ControlPlaneProcess:
        """The one that leads; on a busy machine a session may run out, and the other takes over."""
        return until(lambda: next((plane for plane in self.planes if leads(plane)), None), 40, "a leader")

    def follower(self) -> ControlPlaneProcess:
        leader = self.leader()
        return next(plane for plane in self.planes if plane is not leader)


def leads(plane: ControlPlaneProcess) -> bool:
    """Whether it leads, as it last said."""
    log = plane.log.read_text().rpartition("serves on")[2]
    return log.rfind(LEADS) > log.rfind(LOST)


@pytest.fixture(scope="module")
def postgres():
    with real_postgres() as process:
        yield process


@pytest.fixture(params=["database", pytest.param("consul", marks=pytest.mark.real_consul)])
def lock(request, tmp_path):
    """Settings of the lock, and the seconds that it may take to hand over."""
    if request.param == "database":
        yield "", 5.0
        return
    with real_consul(tmp_path) as consul:
        yield f'[leader]\nlock = "consul"\nconsul = "{consul.address}"\n', 30.0


@pytest.fixture
def two(postgres, lock, tmp_path):
    settings, handed_over_s = lock
    settings = f'database = "{postgres.new_database()}"\n{settings}'
    folder = tmp_path / "control"
    with control_plane(folder, settings, "one") as one, control_plane(folder, settings, "two") as other:
        yield Two((one, other), handed_over_s)


@pytest.mark.real_postgresql
def test_one_leads_either_answers_and_a_rollout_completes_through_a_hand_over(two, tmp_path):
    one, other = two.planes
    with ExitStack() as stack:
        one.join = one.join.replace(one.address, f"{one.address},{other.address}")
        first, second = (stack.enter_context(following(tmp_path, one, name)) for name in ("dev-1", "dev-2"))
        token = one.join.partition("//")[2].partition("@")[0]
        simulations = stack.enter_context(simulated(("sim-1",), [one.address, other.address], token))
        simulations |= stack.enter_context(simulated(("sim-2",), [other.address, one.address], token))
        one.upriver("model", "publish", str(make_version(tmp_path, "v1", 0.5)))
        other.upriver("model", "publish", str(make_version(tmp_path, "v2", 0.5)))
        names = {"dev-1", "dev-2", "sim-1", "sim-2"}
        for plane in two.planes:
            until(lambda plane=plane: connected(plane) == names, 20, f"{plane.name} knows of all agents")
            listed = json.loads(plane.upriver("model", "show", "pattern/v1", "--json"))
            assert listed["name"] == "models/pattern/versions/v1"
        follower = two.follower()

        # Asked of the one that does not lead; agents of both are told by whom they are connected to.
        follower.upriver("rollout", "start", "pattern/v1", "--rings", "100%", "--soak", "0s", "--wait")
        assert [version_of(agent) for agent in (first, second)] == ["v1", "v1"]
        leader, follower = two.leader(), two.follower()
        with follower.stubs() as operator:
            rollout = operator.start("models/pattern/versions/v2", "", SLOW)
            until(lambda: operator.rollout(rollout.name).rings[0].active == 1, 20, "the first ring")
            leader.kill()
            until(lambda: leads(follower), two.handed_over_s, "the hand-over")
            completed = rollout_pb2.ROLLOUT_STATE_COMPLETED
            until(lambda: operator.rollout(rollout.name).state == completed, 60, "the rollout's end")
            assert [version_of(agent) for agent in (first, second)] == ["v2", "v2"]
            leader.start()
            assert connected(leader) == names
            assert not leads(leader)
        assert {told.active["pattern"].pair.version for told in simulations.values()} == {"models/pattern/versions/v2"}
        for plane in two.planes:
            assert "Traceback" not in plane.log.read_text()
            assert plane.process.poll() is None


def connected(plane):
    with plane.stubs() as operator:
        return {name for name, agent in operator.agents().items() if agent.connected}
