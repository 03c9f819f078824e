"""What agents are sent and in which order, and what of their reports other processes are told."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.control_plane.fleet_facts import NEW, OLD, active, agent
from upriver.trials import Trial
from upriver.v1 import sync_pb2 as pb
from upriver_agent.sync.wire import read_trials
from upriver_control.observed import AgentFacts, Desired
from upriver_control.sessions.session import Kind, Session
from upriver_control.sessions.sessions import BUSY_QUIET_S, QUIET_S, REPORTS_PER_S, Sessions
from upriver_control.sync_wire import MAX_DECISIONS, write_pair

TIERS = ("device", "cloud")


class World:
    """Sessions with the time, the intent and the rollouts that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.busy = False
        self.wanted: dict[str, Desired] = {}
        self.sessions = Sessions(lambda _: self.wanted, lambda _: self.busy, lambda: self.now)

    def attach(self, number: int, **changes: object) -> Session:
        facts: AgentFacts = replace(agent(number, active(OLD)), tiers=TIERS, last_seen=self.now, **changes)
        return self.sessions.attach(facts, {})

    def report(self, session: Session, rows: int, pair: object = OLD) -> list[AgentFacts]:
        """Takes in a report and gives what is to be written."""
        slot = pb.SlotReport(model="digits", state=pb.SLOT_STATE_ACTIVE, generation=1, counters=pb.Counters(rows=rows))
        slot.active.CopyFrom(write_pair(pair))
        self.sessions.heard(session, pb.Status(slots=[slot]))
        return self.sessions.dirty()


@pytest.fixture
def world() -> World:
    return World()


async def sent(world: World, session: Session) -> list[Kind]:
    """The kinds of all that waits to be sent, in order."""
    kinds = []
    while session.pending:
        kind = await session.due()
        assert kind is not None
        if world.sessions.compose(session, kind) is not None:
            kinds.append(kind)
    return kinds


def on_loop(test: Callable[[World], object]) -> Callable[[World], None]:
    def run(world: World) -> None:
        asyncio.run(test(world))

    run.__name__ = test.__name__
    return run


@on_loop
async def test_what_to_run_is_sent_before_anything_else(world: World) -> None:
    session = world.attach(1)
    world.busy, world.wanted = True, {"digits": Desired(NEW, "r1", 1)}
    world.sessions.intent_changed()
    world.sessions.rhythm_changed(1.0)
    assert await sent(world, session) == [Kind.ASSIGNMENTS, Kind.UPSTREAMS, Kind.DIRECTIONS]


@on_loop
async def test_an_agent_that_has_everything_still_hears_that_it_is_connected(world: World) -> None:
    first = world.attach(1)
    assert Kind.DIRECTIONS not in await sent(world, first)
    again = world.sessions.attach(first.facts, first.sent)
    assert await sent(world, again) == [Kind.DIRECTIONS]


@on_loop
async def test_no_more_agents_are_asked_to_report_at_once_than_reports_are_taken(world: World) -> None:
    many = [world.attach(number) for number in range(30)]
    for session in many:
        await sent(world, session)
    world.busy = True
    world.sessions.intent_changed()
    asked = []
    for _ in range(4):
        world.sessions.rhythm_changed(10 / REPORTS_PER_S)
        asked.append([await sent(world, session) for session in many].count([Kind.DIRECTIONS]))
    assert asked == [10, 10, 10, 0]


@on_loop
async def test_a_rhythm_that_changes_back_in_time_is_not_told(world: World) -> None:
    session = world.attach(1)
    await sent(world, session)
    for busy in (True, False):
        world.busy = busy
        world.sessions.intent_changed()
    world.sessions.rhythm_changed(1.0)
    assert await sent(world, session) == []


def test_other_processes_are_told_at_once_of_what_has_happened(world: World) -> None:
    session = world.attach(1)
    world.report(session, 1)
    (written,) = world.report(session, 1, NEW)
    assert written.slots["digits"].active == NEW


def test_what_an_agent_decided_is_known_within_bounds(world: World) -> None:
    session = world.attach(1)
    world.sessions.heard(session, pb.Status(decisions={"hedges": 3, "x" * 65: 1}))
    assert world.sessions.agent("a00001").decisions == {"hedges": 3}
    world.sessions.heard(session, pb.Status(decisions={f"name-{number}": 1 for number in range(1000)}))
    assert len(world.sessions.agent("a00001").decisions) == MAX_DECISIONS


@pytest.mark.parametrize(("busy", "quiet_s"), [(False, QUIET_S), (True, BUSY_QUIET_S)])
def test_other_processes_are_told_of_figures_every_now_and_then(world: World, busy: bool, quiet_s: float) -> None:
    session = world.attach(1)
    world.busy = busy
    world.report(session, 1)
    world.now += quiet_s - 1
    assert world.report(session, 2) == []
    assert world.sessions.agent("a00001").slots["digits"].counters.rows == 2, "this process knows at once"
    world.now += 1
    (written,) = world.report(session, 3)
    assert written.slots["digits"].counters.rows == 3
    assert world.report(session, 4) == []


def test_the_more_agents_there_are_the_more_changes_of_upstreams_are_one_message(world: World) -> None:
    assert world.sessions.upstreams_changed() == 0.0
    for number in range(50):
        world.attach(number)
    cloud = {"agent": "cloud", "tier": "cloud", "region": "eu"}
    world.sessions.attach(replace(agent(99), agent="cloud", labels=cloud, tiers=TIERS, address="cloud:1"), {})
    assert world.sessions.upstreams_changed() == pytest.approx(0.051)
    assert world.sessions.upstreams_changed() == 0.0


@on_loop
async def test_devices_that_change_are_no_news_for_other_devices(world: World) -> None:
    first = world.attach(1, address="one:1")
    await sent(world, first)
    world.sessions.upstreams_changed()
    world.attach(2, address="two:1")
    assert world.sessions.upstreams_changed() == 0.0
    assert not first.pending


@on_loop
async def test_heads_to_be_tried_are_sent_to_agents_of_their_region_that_know_of_trials(world: World) -> None:
    version, head, top = (f"sha256:{digit * 64}" for digit in "abc")
    tried: list[Trial] = []
    world.sessions = Sessions(lambda _: {}, lambda _: False, lambda: world.now, lambda region: tried)
    facts = replace(agent(1, active(OLD)), tiers=TIERS, last_seen=world.now)
    knows = world.sessions.attach(facts, {"trials": "", "assignments": "", "upstreams": ""})
    older = world.sessions.attach(replace(facts, agent="older"), {})
    await sent(world, knows), await sent(world, older)
    tried.append(Trial("digits", version, facts.region, head, top))
    world.sessions.trials_changed()
    assert older.pending == set()
    assert await knows.due() is Kind.TRIALS
    response = world.sessions.compose(knows, Kind.TRIALS)
    assert response is not None
    assert read_trials(response.trials) == tuple(tried)
    world.sessions.trials_changed()
    assert knows.pending == set()  # it has them
    tried.clear()
    world.sessions.trials_changed()
    assert await sent(world, knows) == [Kind.TRIALS]
