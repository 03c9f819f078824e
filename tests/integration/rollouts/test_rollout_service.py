"""Rollouts and the fleet over gRPC, with the reconciler and a real database."""

import threading
from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.agent_process import until
from tests.control_plane_rollouts import rollout_server, stubs
from tests.postgres_process import real_postgres
from tests.unit.control_plane.fleet_facts import OLD, active, agent, failed
from upriver.v1 import fleet_pb2, rollout_pb2
from upriver_control.observed import Failure
from upriver_control.reconcile.postgres_lock import PostgresLock

CALL_S = 10.0


@pytest.fixture
def server(tmp_path):
    with rollout_server(tmp_path) as running:
        running.add(*(agent(number, active(OLD)) for number in range(20)))
        yield running


@pytest.fixture
def rollouts(server):
    with stubs(server.address) as (service, _):
        yield service


@pytest.fixture
def fleet(server):
    with stubs(server.address) as (_, service):
        yield service


def strategy(*sizes, **more):
    rings = [
        rollout_pb2.Ring(count=size) if isinstance(size, int) else rollout_pb2.Ring(percent=size) for size in sizes
    ]
    return rollout_pb2.Strategy(rings=rings, min_sample=1, **more)


def create(rollouts, version="2", request_id="", **more):
    request = rollout_pb2.CreateRolloutRequest(
        version=f"models/digits/versions/{version}", request_id=request_id, **more
    )
    return rollouts.CreateRollout(request, timeout=CALL_S).rollout


def watch(rollouts, name):
    request = rollout_pb2.WatchRolloutRequest(name=name)
    return [answer.rollout for answer in rollouts.WatchRollout(request, timeout=60)]


def refused(call, request):
    with pytest.raises(grpc.RpcError) as failure:
        call(request, timeout=CALL_S)
    return failure.value.code(), failure.value.details()


def test_a_rollout_goes_through_its_rings_and_is_watched_to_its_end(server, rollouts):
    made = create(rollouts, "@champion", strategy=strategy(1, 50.0, 100.0), selector="tier=device")
    seen = watch(rollouts, made.name)
    assert seen[-1].state == rollout_pb2.ROLLOUT_STATE_COMPLETED
    assert [one.revision for one in seen] == sorted({one.revision for one in seen})
    assert seen[-1].end_time.seconds > 0
    assert {facts.slots["digits"].active.version for facts in server.agents().values()} == {"models/digits/versions/2"}


def test_a_bad_version_goes_back_by_itself_and_says_why(server, rollouts, fleet):
    def behave(facts, moved):
        return failed(moved.active, Failure.GOLDEN, "row 3 came out as 7") if moved.active != OLD else moved

    server.behaviour = behave
    made = create(rollouts, strategy=strategy(2, 100.0))
    last = watch(rollouts, made.name)[-1]
    assert last.state == rollout_pb2.ROLLOUT_STATE_ROLLED_BACK
    assert "golden: row 3 came out as 7" in last.reason
    assert {facts.slots["digits"].active for facts in server.agents().values()} == {OLD}
    listed = fleet.ListAgents(fleet_pb2.ListAgentsRequest(out_of_sync=True), timeout=CALL_S)
    assert listed.total_size == 0


def test_the_same_request_makes_one_rollout(rollouts):
    first, again = create(rollouts, request_id="mine"), create(rollouts, request_id="mine")
    assert first.name == again.name
    listed = rollouts.ListRollouts(rollout_pb2.ListRolloutsRequest(), timeout=CALL_S)
    assert [one.name for one in listed.rollouts] == [first.name]


def test_a_newer_rollout_supersedes_the_one_under_way(server, rollouts):
    older = create(rollouts, "2", strategy=strategy(2, 100.0, soak_time=Duration(seconds=600)))
    until(lambda: sum(f.slots["digits"].active != OLD for f in server.agents().values()) == 2, what="the first ring")
    newer = create(rollouts, "3")
    assert watch(rollouts, newer.name)[-1].state == rollout_pb2.ROLLOUT_STATE_COMPLETED
    last = watch(rollouts, older.name)[-1]
    assert (last.state, last.reason) == (rollout_pb2.ROLLOUT_STATE_SUPERSEDED, f"{newer.name} took over")
    assert {facts.slots["digits"].active.version for facts in server.agents().values()} == {"models/digits/versions/3"}


def test_people_pause_resume_cancel_and_roll_back(server, rollouts):
    made = create(rollouts, strategy=strategy(2, 100.0, soak_time=Duration(seconds=600)))
    name = made.name
    paused = rollouts.PauseRollout(rollout_pb2.PauseRolloutRequest(name=name), timeout=CALL_S).rollout
    assert paused.state == rollout_pb2.ROLLOUT_STATE_PAUSED
    resumed = rollouts.ResumeRollout(rollout_pb2.ResumeRolloutRequest(name=name), timeout=CALL_S).rollout
    assert resumed.state in (rollout_pb2.ROLLOUT_STATE_PROGRESSING, rollout_pb2.ROLLOUT_STATE_SOAKING)
    until(lambda: sum(f.slots["digits"].active != OLD for f in server.agents().values()) == 2, what="the first ring")
    cancelled = rollouts.CancelRollout(rollout_pb2.CancelRolloutRequest(name=name), timeout=CALL_S).rollout
    assert cancelled.state == rollout_pb2.ROLLOUT_STATE_CANCELLED
    code, why = refused(rollouts.PauseRollout, rollout_pb2.PauseRolloutRequest(name=name))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "has ended as cancelled" in why
    request = rollout_pb2.RollBackRolloutRequest(name=name, reason="customers complain")
    rollouts.RollBackRollout(request, timeout=CALL_S)
    last = watch(rollouts, name)[-1]
    assert (last.state, last.reason) == (rollout_pb2.ROLLOUT_STATE_ROLLED_BACK, "customers complain")
    assert {facts.slots["digits"].active for facts in server.agents().values()} == {OLD}


def test_a_policy_of_its_own_is_signed_and_part_of_the_pair(server, rollouts):
    made = create(rollouts, policy_overrides='{"threshold": 0.95}')
    assert '"threshold":0.95' in made.pair.policy_document
    assert server.versions.signed == [("digits", made.pair.policy_document)]
    same = create(rollouts, policy_overrides='{"threshold": 0.8}')
    assert same.pair.policy_document == ""


def test_a_policy_is_named_and_is_the_pairs_as_it_was_signed(server, rollouts):
    made = create(rollouts, policy="models/digits/policies/2")
    assert '"threshold":0.25' in made.pair.policy_document
    assert server.versions.signed[-1] == ("digits", made.pair.policy_document)
    request = rollout_pb2.CreateRolloutRequest(version="models/digits/versions/2", policy="models/digits/policies/x")
    assert refused(rollouts.CreateRollout, request)[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"version": "digits"}, "expected models/MODEL/versions/VERSION"),
        ({"selector": "tier="}, "'tier='"),
        ({"strategy": strategy(0.5, failure_limit=2.0)}, "failure_limit is 2"),
        ({"strategy": strategy(200.0)}, "rings[0].percent is 200"),
        ({"strategy": strategy(10, 5)}, "rings[1] is 5"),
        ({"strategy": strategy(1, soak_time=Duration(seconds=-1))}, "soak_time is -1"),
        ({"strategy": strategy(1, max_unavailable=-1)}, "max_unavailable is -1"),
        ({"strategy": rollout_pb2.Strategy(rings=[rollout_pb2.Ring()])}, "rings[0] has no size"),
        ({"strategy": strategy(1, gates=rollout_pb2.Gates(max_latency_ratio=-1))}, "max_latency_ratio is -1"),
        ({"policy_overrides": "{"}, "no JSON"),
        ({"policy": "models/digits/policies/2", "policy_overrides": '{"threshold": 1}'}, "not both"),
        (
            {"policy": "models/digits/policies/3"},
            "policies/3 belongs to models/digits/versions/3 (sha256:33",
        ),
        ({"policy": "models/digits/policies/3"}, "can't be rolled out with models/digits/versions/2 (sha256:22"),
        ({"policy_overrides": '{"speed": 1}'}, "some of box_threshold"),
        ({"policy_overrides": '{"temperature": 0}'}, "temperature = 0.0"),
        ({"policy_overrides": '{"threshold": NaN}'}, "threshold = nan"),
        ({"policy_overrides": '{"score": "best"}'}, "score is 'best'"),
        ({"request_id": "x" * 300}, "request_id has 300"),
    ],
)
def test_what_is_wrong_is_named(rollouts, request_fields, words):
    fields = {"version": "models/digits/versions/2"} | request_fields
    code, why = refused(rollouts.CreateRollout, rollout_pb2.CreateRolloutRequest(**fields))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in why


def test_what_is_not_there_is_not_found(rollouts, fleet):
    code, why = refused(rollouts.GetRollout, rollout_pb2.GetRolloutRequest(name="rollouts/none"))
    assert (code, why) == (grpc.StatusCode.NOT_FOUND, "there is no rollout rollouts/none")
    code, _ = refused(fleet.GetAgent, fleet_pb2.GetAgentRequest(name="agents/none"))
    assert code is grpc.StatusCode.NOT_FOUND
    request = rollout_pb2.CreateRolloutRequest(version="models/digits/versions/x")
    assert refused(rollouts.CreateRollout, request)[0] is grpc.StatusCode.NOT_FOUND


def test_the_fleet_tells_desired_against_reported(server, rollouts, fleet):
    server.add(agent(50, active(OLD), connected=False))
    unfit = failed(replace(OLD, version="models/digits/versions/2", version_digest="sha256:" + "2" * 64), Failure.UNFIT)
    server.behaviour = lambda facts, moved: (
        replace(unfit, reason="needs 40 MB, has 16 MB") if facts.agent == "a00003" else moved
    )
    watch(rollouts, create(rollouts).name)
    listed = fleet.ListAgents(fleet_pb2.ListAgentsRequest(out_of_sync=True), timeout=CALL_S)
    told = {one.name: one.slots[0] for one in listed.agents}
    assert set(told) == {"agents/a00003", "agents/a00050"}
    assert told["agents/a00050"].difference == "it runs 1: it is not connected"
    assert told["agents/a00003"].difference == "it runs 1: 2 failed: needs 40 MB, has 16 MB"
    assert told["agents/a00003"].needs == "needs 40 MB, has 16 MB"
    assert listed.total_size == 2


def test_agents_come_in_pages_and_are_forgotten_when_they_have_gone(server, fleet):
    server.add(agent(50, active(OLD), connected=False))
    names, token = [], ""
    while True:
        page = fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=8, page_token=token), timeout=CALL_S)
        names += [one.name for one in page.agents]
        assert page.total_size == 21
        token = page.next_page_token
        if not token:
            break
    assert names == sorted(names)
    assert len(names) == 21
    code, _ = refused(fleet.DeleteAgent, fleet_pb2.DeleteAgentRequest(name="agents/a00001"))
    assert code is grpc.StatusCode.FAILED_PRECONDITION


def test_whoever_watches_the_fleet_sees_agents_change(server, rollouts, fleet):
    seen, ready = {}, threading.Event()
    stream = fleet.WatchAgents(fleet_pb2.WatchAgentsRequest(selector="tier=device"), timeout=60)

    def read():
        try:
            for answer in stream:
                seen[answer.agent.name] = answer.agent.slots[0].reported.active.version
                if len(seen) == 20:
                    ready.set()
        except grpc.RpcError:
            ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert ready.wait(10)
    create(rollouts)
    until(lambda: set(seen.values()) == {"models/digits/versions/2"}, what="all agents seen on 2")
    stream.cancel()
    reader.join(10)


def test_two_processes_fight_for_the_lock_and_one_goes_on_when_the_other_ends(tmp_path):
    with rollout_server(tmp_path) as second:
        second.add(*(agent(number, active(OLD)) for number in range(20)))
        with rollout_server(tmp_path) as first:
            first.add(*(agent(number, active(OLD)) for number in range(20)))
            leaders = [server for server in (first, second) if server.on_loop(lambda s=server: s.reconciler.leads)]
            assert len(leaders) <= 1
            with stubs(first.address) as (rollouts, _):
                made = create(rollouts, strategy=strategy(2, 100.0, soak_time=Duration(seconds=2)))
                until(lambda: rollouts_ring(second, made.name) is not None, what="the other process sees it")
        with stubs(second.address) as (rollouts, _):
            assert watch(rollouts, made.name)[-1].state == rollout_pb2.ROLLOUT_STATE_COMPLETED
            assert second.on_loop(lambda: second.reconciler.leads)


def rollouts_ring(server, name):
    return server.on_loop(lambda: server.mirror.rollouts.get(name.removeprefix("rollouts/")))


@pytest.mark.real_postgresql
def test_a_rollout_goes_on_when_its_database_is_restarted_and_its_leader_ends(tmp_path):
    with real_postgres() as postgres:
        url = postgres.new_database()
        agents = [agent(number, active(OLD)) for number in range(20)]
        with rollout_server(tmp_path, url, PostgresLock(url)) as second:
            second.add(*agents)
            with rollout_server(tmp_path, url, PostgresLock(url)) as first, stubs(first.address) as (rollouts, _):
                first.add(*agents)
                made = create(rollouts, strategy=strategy(2, 50.0, 100.0, soak_time=Duration(seconds=3)))
                until(lambda: sum(f.slots["digits"].active != OLD for f in first.agents().values()) == 2, what="ring 1")
                postgres.restart()
                until(lambda: leaders(first, second) == 1, what="a leader after the restart")
                until(lambda: rollouts_ring(first, made.name).ring == 1, what="ring 2")
            with stubs(second.address) as (rollouts, _):
                assert watch(rollouts, made.name)[-1].state == rollout_pb2.ROLLOUT_STATE_COMPLETED
                assert leaders(second) == 1


def leaders(*servers):
    return sum(server.on_loop(lambda s=server: s.reconciler.leads) for server in servers)
