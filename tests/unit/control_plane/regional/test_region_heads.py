"""The loop that makes heads of regions: what it tells agents, and which rollouts it starts."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.control_plane.regional.test_standing import OTHER, TIERS, TOP, VERSION, agent, policy
from upriver.errors import InvalidInput
from upriver.listing import digest as digest_of
from upriver.policies import write_policy
from upriver.promises import Promise
from upriver.trials import Trial
from upriver.v1 import rollout_pb2
from upriver_control.observed import AgentFacts, Pair
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.regional.model import RegionTrial, Scope, TrialState
from upriver_control.regional.standing import Standing
from upriver_control.rollout import Rollout, RolloutState
from upriver_control.services.region_heads import Heads, RegionHeads
from upriver_control.store.database import open_database
from upriver_control.store.policies import policy_name
from upriver_control.store.trials import TrialTable

HEAD = "sha256:" + "d" * 64
DEVICE = Pair("models/m/versions/1", VERSION, write_policy(policy()))
TRIAL = RegionTrial(
    Trial("m", VERSION, "north", HEAD, TOP), "models/m/versions/1", Scope.REGION, ("device", "edge"),
    write_policy(policy()), "", Promise(0.01, 0.05), 100.0, 2, 0, 5.0,
)  # fmt: skip


@dataclass
class Maker:
    """A fake of what makes heads."""

    picked: list[RegionTrial] = field(default_factory=list)
    gone: list[tuple[Standing, RegionTrial]] = field(default_factory=list)
    tops: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    noted: dict[str, list[str]] = field(default_factory=dict)

    def look(self, standings: list[Standing], now: float) -> None:
        self.seen = [one.region for one in standings]

    def fit(self, standings: list[Standing], tops: dict[str, str], now: float) -> None:
        self.tops = tops

    def settle(self, standings: list[Standing], now: float) -> None:
        self.settled = [one.region for one in standings]

    def pick(self, standings: list[Standing], now: float) -> list[tuple[Standing, RegionTrial]]:
        here = {one.region: one for one in reversed(standings)}
        return [(replace(here[one.region], tiers=one.tiers), one) for one in self.picked if one.region in here]

    def to_go(self, standings: list[Standing]) -> list[tuple[Standing, RegionTrial]]:
        return [(one, trial) for one, trial in self.gone if one.region in [able.region for able in standings]]

    def rolled_out(self, trial: RegionTrial, rollouts: list[str]) -> None:
        self.noted[trial.id] = list(rollouts)

    def taken_back(self, trial: RegionTrial, rollouts: list[str], now: float) -> None:
        self.noted[trial.id] += rollouts

    def base_of(self, trial: RegionTrial) -> str:
        return "models/m/policies/base"


class World:
    def __init__(self, database) -> None:
        self.maker, self.trials = Maker(), TrialTable(database)
        self.changes = 0
        self.refused = ""
        self.asked: list[rollout_pb2.CreateRolloutRequest] = []
        agents = [
            agent("a", "device", "north", DEVICE),
            agent("b", "cloud", "north", Pair("models/m/versions/9", TOP, write_policy(policy(TOP)))),
        ]
        self.agents: dict[str, AgentFacts] = {one.agent: one for one in agents}

        def changed() -> None:
            self.changes += 1

        nowhere: Any = None  # it is told, and reads nothing
        self.mirror = RolloutMirror(nowhere)
        fake: Any = self.maker
        self.heads = RegionHeads(
            Heads(fake, fake, fake),
            self.trials,
            self,
            lambda: self.agents,
            self.mirror,
            lambda: True,
            changed,
            lambda: 10.0,
        )

    def policy(self, version_digest: str) -> str:
        return ""

    async def start(self, request: rollout_pb2.CreateRolloutRequest) -> Rollout:
        """The same request again gives the rollout that it made, as it does where they are kept."""
        if f"region={self.refused}," in request.selector:
            raise InvalidInput("no such region")
        known = [one.request_id for one in self.asked]
        if request.request_id not in known:
            self.asked.append(request)
            known.append(request.request_id)
        return Rollout(f"r{known.index(request.request_id) + 1}", DEVICE, "m", 1.0)


@pytest.fixture
def world(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    yield World(database)
    database.close()


def test_agents_are_told_what_is_tried_in_their_region_and_only_when_that_changes(world) -> None:
    async def run() -> None:
        await world.heads.tell()
        assert (world.changes, world.heads.announced("north")) == (0, ())
        world.trials.add(TRIAL)
        await world.heads.tell()
        await world.heads.tell()
        assert (world.changes, world.heads.announced("north"), world.heads.announced("south")) == (
            1,
            (TRIAL.trial,),
            (),
        )
        world.trials.save(replace(TRIAL, state=TrialState.FAILED))
        await world.heads.tell()
        assert (world.changes, world.heads.announced("north")) == (2, ())

    asyncio.run(run())


def test_what_passed_is_rolled_out_to_the_tiers_of_its_region(world) -> None:
    world.maker.picked = [replace(TRIAL, made="models/m/policies/new")]
    asyncio.run(world.heads.look(world.start, 30.0))
    assert world.maker.tops == {"m": TOP}
    assert world.maker.seen == ["north"]
    assert [(one.selector, one.policy, one.version) for one in world.asked] == [
        ("region=north,tier=device", "models/m/policies/new", "models/m/versions/1"),
        ("region=north,tier=edge", "models/m/policies/new", "models/m/versions/1"),
    ]
    assert len({one.request_id for one in world.asked}) == 2
    assert world.maker.noted == {TRIAL.id: ["rollouts/r1", "rollouts/r2"]}


def test_a_region_goes_back_from_the_head_that_was_rolled_out_there_where_that_is_decided(world) -> None:
    world.maker.picked = [replace(TRIAL, made="models/m/policies/new")]
    asyncio.run(world.heads.look(world.start, 30.0))
    world.maker.picked, world.maker.gone = [], [(Standing("m", "north", DEVICE, policy(), ("device",), 1), TRIAL)]
    asyncio.run(world.heads.look(world.start, 30.0))
    (last,) = world.asked[2:]
    assert (last.selector, last.policy) == ("region=north,tier=device", "models/m/policies/base")
    assert world.maker.noted == {TRIAL.id: ["rollouts/r1", "rollouts/r2", "rollouts/r3"]}


def test_a_head_that_is_tried_again_is_rolled_out_again_and_taken_back_again(world) -> None:
    for made, created in (("one", 5.0), ("one", 5.0), ("two", 6.0)):  # asked for again by whoever was killed between
        trial = replace(TRIAL, made=f"models/m/policies/{made}", created=created, tiers=("device",))
        world.maker.picked = [trial]
        world.maker.gone = [(Standing("m", "north", DEVICE, policy(), ("device",), 1), trial)]
        asyncio.run(world.heads.look(world.start, 30.0))
    assert [one.policy.rpartition("/")[2] for one in world.asked] == ["one", "base", "two", "base"]


def test_a_region_that_can_t_be_rolled_out_to_keeps_no_other_one_back(world) -> None:
    world.agents["c"] = agent("c", "device", "a,b", DEVICE)
    world.refused = "a,b"
    stray = replace(TRIAL, trial=replace(TRIAL.trial, region="a,b"), made="models/m/policies/stray")
    world.maker.picked = [stray, replace(TRIAL, made="models/m/policies/new")]
    world.maker.gone = [(Standing("m", "a,b", DEVICE, policy(), ("device",), 1), stray)]
    asyncio.run(world.heads.look(world.start, 30.0))
    assert world.maker.noted == {TRIAL.id: ["rollouts/r1", "rollouts/r2"]}


def test_a_region_some_of_whose_agents_run_another_version_is_left_as_it_is(world, caplog) -> None:
    other = Pair("models/m/versions/2", OTHER, write_policy(policy(OTHER)))
    world.agents["c"] = agent("c", "device", "north", other)
    world.maker.picked = [replace(TRIAL, made="models/m/policies/new")]
    world.maker.gone = [(Standing("m", "north", DEVICE, policy(), ("device",), 1), TRIAL)]
    for _ in range(2):
        asyncio.run(world.heads.look(world.start, 30.0))
    assert world.asked == []
    assert world.maker.settled == ["north", "north"]  # one of each version
    assert caplog.messages == [  # once each
        "models/m/policies/new for m in north waits: c runs models/m/versions/2",
        "models/m/policies/base for m in north waits: c runs models/m/versions/2",
    ]


@pytest.mark.parametrize(
    ("pair", "selector", "state"),
    [
        (Pair("models/m/versions/2", OTHER), "tier=device", RolloutState.SOAKING),  # none of the region runs it yet
        (Pair("models/m/versions/1", VERSION, "safer"), "", RolloutState.PAUSED),
        (Pair("models/m/versions/1", VERSION, "safer"), "region=north,tier=edge", RolloutState.PROGRESSING),
    ],
)
def test_no_rollout_that_is_under_way_is_ended_by_a_head_or_the_way_back_from_one(world, pair, selector, state) -> None:
    world.maker.picked = [replace(TRIAL, made="models/m/policies/new")]
    world.maker.gone = [(Standing("m", "north", DEVICE, policy(), ("device", "edge"), 1), TRIAL)]
    fleet = Rollout("fleet", pair, "m", 1.0, selector, generation=1, state=state)
    world.mirror.take(fleet)
    asyncio.run(world.heads.look(world.start, 30.0))
    assert world.asked == []
    world.mirror.take(replace(fleet, state=RolloutState.CANCELLED, revision=1))
    asyncio.run(world.heads.look(world.start, 30.0))
    assert len(world.asked) == 4


def test_rollouts_elsewhere_and_those_that_bring_the_head_itself_keep_it_not_back(world) -> None:
    document = write_policy(policy(threshold=0.7))
    made = policy_name("m", digest_of(document.encode()))
    world.mirror.take(Rollout("south", Pair("models/m/versions/2", OTHER), "m", 1.0, "region=south"))
    world.mirror.take(Rollout("other", Pair("models/n/versions/2", OTHER), "n", 1.0))
    half = Rollout("half", replace(DEVICE, policy_document=document), "m", 1.0, "region=north,tier=device")
    world.mirror.take(half)  # it was killed before it asked for the second tier's
    world.maker.picked = [replace(TRIAL, made=made)]
    world.maker.gone = [
        (Standing("m", "north", DEVICE, policy(), ("device",), 1), replace(TRIAL, rollouts=("rollouts/half",)))
    ]
    asyncio.run(world.heads.look(world.start, 30.0))
    assert [one.policy for one in world.asked] == [made, made, "models/m/policies/base"]


def test_nothing_is_rolled_out_where_that_is_not_allowed(world) -> None:
    world.maker.picked = [replace(TRIAL, made="models/m/policies/new")]
    asyncio.run(world.heads.look(None, 30.0))
    assert world.asked == []
    assert world.maker.settled == ["north"]  # what waits for an operator must be what may answer
    assert TIERS[-1] == "cloud"
