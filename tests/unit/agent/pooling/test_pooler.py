"""Poolers that call each other without a network, on a clock of the test's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from upriver.discovery.port import AgentRecord
from upriver.errors import InvalidInput, NotSupported, QueueFull, Unreachable
from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.pool import MAX_EPOCH, Answer, Pool, Submission
from upriver.pool_sums import MAX_PARTS, PoolPart, part_of, summed
from upriver.pool_wire import Assembly, Parts
from upriver.v1 import pool_pb2 as pb
from upriver_agent.place import Place
from upriver_agent.pooling.parents import CONTROL_PLANE, PATIENCE, Parent, Parents
from upriver_agent.pooling.pooler import Pooler, PoolOptions

VERSION = "sha256:" + "a" * 64
TIERS = ("device", "edge", "cloud")


def learnt(seed: int, labels: str = "ab") -> HeadStatistics:
    chance = np.random.default_rng(seed)
    sums = nothing(4, tuple(labels))
    for _ in range(7):
        sums.add(chance.normal(size=4), np.eye(len(labels))[chance.integers(len(labels))])
    return sums


@dataclass
class Own:
    """What an agent has learnt; a fake."""

    sums: HeadStatistics | None = None
    region: str = "north"
    mark: int = 0

    def marks(self) -> object:
        return self.mark

    def parts(self) -> Sequence[PoolPart]:
        return [] if self.sums is None else [part_of("m", VERSION, self.region, self.sums)]


@dataclass
class World:
    """Agents and the control plane, connected by calls."""

    now: float = 0.0
    agents: dict[str, Pooler] = field(default_factory=dict)
    records: list[AgentRecord] = field(default_factory=list)
    root: Pool[Parts] = field(default_factory=Pool)
    refuse: dict[str, Exception] = field(default_factory=dict)
    messages: int = 0

    def add(
        self,
        name: str,
        tier: str,
        own: Own,
        max_bytes: int = 1 << 30,
        control_plane: bool = True,
        run: int = 0,
    ) -> Pooler:
        epochs = iter(range(10_000 * run + 1, 10_000 * (run + 1)))
        place = Place(name, tier, "north", TIERS)
        pooler = Pooler(
            place,
            PoolOptions(60.0, max_bytes),
            [own],
            lambda: self.records,
            Parents(place, ["control:1"] if control_plane else []),
            Wire(self),
            lambda above: next(epoch for epoch in epochs if epoch > above),
            lambda: self.now,
            has_pooled=run > 0,
        )
        self.agents[name] = pooler
        self.records = [one for one in self.records if one.agent != name]
        self.records.append(AgentRecord(name, tier, "north", f"{name}:1", 1, {}, 0.0))
        return pooler

    def total(self) -> list[PoolPart]:
        return summed(part for one in self.root.counted() for part in one.content)


@dataclass
class Wire:
    world: World
    bytes_up: int = 0

    def send(self, parent: Parent, messages: Iterable[pb.SubmitPoolRequest]) -> Answer:
        world = self.world
        if parent.name in world.refuse:
            raise world.refuse[parent.name]
        assembly = Assembly(parent.name)
        for message in messages:
            assembly.take(message)
            world.messages += 1
            self.bytes_up += message.ByteSize()
        still = assembly.unchanged()
        if parent.name == CONTROL_PLANE:
            return world.root.unchanged(*still, world.now) if still else world.root.offer(assembly.whole(), world.now)
        pooler = world.agents[parent.name]
        return pooler.unchanged(*still) if still else pooler.receive(assembly.whole())

    def close(self) -> None:
        pass


def statistics(parts: Sequence[PoolPart]) -> HeadStatistics:
    (part,) = parts
    assert isinstance(part.sums, HeadStatistics)
    return part.sums


def test_who_is_in_a_sum_takes_room_too() -> None:
    edge = World().add("edge", "edge", Own(), max_bytes=1 << 20)
    with pytest.raises(QueueFull, match="no room"):
        edge.receive(Submission("device", {"device": 1, **{f"made-up-{n}": 1 for n in range(10_000)}}, ()))
    edge.receive(Submission("device", {"device": 1, "below": 1}, ()))


def test_an_agent_of_which_somebody_tells_an_epoch_that_can_t_be_goes_elsewhere() -> None:
    world = World()
    own = Own(learnt(1))
    device, edge = world.add("device", "device", own), world.add("edge", "edge", Own())
    assert device.once()
    liar: Submission[Parts] = Submission("liar", {"liar": 1, "device": MAX_EPOCH}, ())
    edge.receive(liar)
    assert not device.once()
    assert str(MAX_EPOCH) in device.facts().trouble
    assert device.once()
    assert device.facts().parent == CONTROL_PLANE
    assert world.root.roster() == {"device": 2}


def test_what_agents_have_learnt_is_summed_on_the_way_up() -> None:
    world = World()
    first, second, above = Own(learnt(1)), Own(learnt(2, "bc")), Own(learnt(3))
    device, other = world.add("device", "device", first), world.add("other", "device", second)
    edge = world.add("edge", "edge", above)
    for pooler in (device, other, edge):
        assert pooler.once()
    assert [one.child for one in world.root.counted()] == ["edge"]
    whole, total = merged([learnt(1), learnt(2, "bc"), learnt(3)]), statistics(world.total())
    np.testing.assert_allclose(total.outer, whole.outer, atol=1e-9)
    assert world.total()[0].agents == 3
    assert edge.facts().agents == 3
    assert device.facts().parent == "edge"


def test_an_agent_that_has_nothing_to_tell_sends_nothing_and_one_that_told_all_only_that_it_stands() -> None:
    world = World()
    own = Own()
    device = world.add("device", "device", own)
    assert device.once()
    assert world.messages == 0
    own.sums, own.mark = learnt(1), 1
    device.once()
    sent = device.facts().bytes_up
    device.once()
    assert device.facts().bytes_up - sent < 40
    own.sums, own.mark = None, 2  # all of it was forgotten
    device.once()
    assert world.total() == []
    assert world.root.roster().keys() == {"device"}


def test_a_parent_that_does_not_take_sums_or_does_not_answer_is_left_for_the_next() -> None:
    world = World()
    device = world.add("device", "device", Own(learnt(1)))
    world.add("cloud", "cloud", Own())
    world.add("edge", "edge", Own())
    world.refuse["edge"] = NotSupported("an older program")
    assert not device.once()
    device.once()
    assert device.facts().parent == "cloud"
    world.refuse["cloud"] = Unreachable("gone")
    for _ in range(PATIENCE):
        assert not device.once()
    assert "gone" in device.facts().trouble
    device.once()
    assert device.facts().parent == CONTROL_PLANE
    assert device.facts().trouble == ""
    del world.refuse["edge"], world.refuse["cloud"]
    world.now = 400.0
    device.once()
    assert device.facts().parent == "cloud"  # the edge is asked again after longer


def test_an_agent_that_moves_counts_once_and_its_old_parent_drops_it() -> None:
    world = World()
    own = Own(learnt(1))
    device = world.add("device", "device", own)
    edges = [world.add(name, "edge", Own(learnt(n))) for n, name in enumerate(("edge-a", "edge-b"), 2)]
    device.once()
    old = device.facts().parent
    for edge in edges:
        edge.once()
    world.refuse[old] = Unreachable("gone")
    for _ in range(PATIENCE + 1):
        device.once()
    del world.refuse[old]
    assert device.facts().parent not in (old, CONTROL_PLANE)
    for _ in range(3):
        for edge in edges:
            edge.once()
            assert sum("device" in one.roster for one in world.root.counted()) == 1
    whole = merged([learnt(1), learnt(2), learnt(3)])
    np.testing.assert_allclose(statistics(world.total()).outer, whole.outer, atol=1e-9)
    assert world.agents[old].facts().children == 1
    assert world.agents[old].facts().agents == 1


def test_a_parent_without_room_is_left() -> None:
    world = World()
    device = world.add("device", "device", Own(learnt(1)))
    world.add("edge", "edge", Own(), max_bytes=100)
    assert not device.once()
    device.once()
    assert device.facts().parent == CONTROL_PLANE
    world.refuse[CONTROL_PLANE] = InvalidInput("no")
    assert not device.once()
    world.refuse[CONTROL_PLANE] = QueueFull("later")
    assert not device.once()
    del world.refuse[CONTROL_PLANE]
    assert device.once()


def test_sums_that_no_message_can_hold_do_not_keep_others_back() -> None:
    world = World()

    class Two(Own):
        def parts(self) -> Sequence[PoolPart]:
            large = nothing(512, [f"label-{number}" for number in range(900)])
            return [part_of("large", VERSION, "north", large), part_of("m", VERSION, "north", learnt(1))]

    device = world.add("device", "device", Two())
    assert device.once()
    assert [part.key.model for part in world.total()] == ["m"]
    assert "the sums of large take" in device.facts().trouble
    assert device.once()
    assert "the sums of large take" in device.facts().trouble


def test_of_more_sums_than_a_parent_takes_those_of_the_most_agents_are_sent() -> None:
    world = World()
    world.add("one", "device", Own(learnt(1)))
    world.add("two", "device", Own(learnt(2)))
    edge = world.add("edge", "edge", Own())
    for child in range(2):
        made_up = [part_of(f"a-{child}-{n}", VERSION, "", np.ones(1), VERSION) for n in range(MAX_PARTS)]
        edge.receive(Submission(f"liar-{child}", {f"liar-{child}": 1}, tuple(made_up)))
    assert world.agents["one"].once()
    assert world.agents["two"].once()
    assert edge.once()
    assert len(world.total()) == MAX_PARTS
    assert [part.agents for part in world.total() if part.key.model == "m"] == [2]
    assert "more sums than can be sent" in edge.facts().trouble
    assert edge.facts().parent == CONTROL_PLANE


def test_no_sums_are_too_large_together_for_those_of_one_model_to_be_sent() -> None:
    world = World()

    class Many(Own):
        def parts(self) -> Sequence[PoolPart]:
            large = nothing(512, [f"label-{number}" for number in range(400)])
            return [part_of("m", VERSION, f"region-{number}", large) for number in range(14)]

    device = world.add("device", "device", Many())
    assert device.once()
    assert len(world.total()) == 12
    assert "more sums" in device.facts().trouble


def test_without_anyone_above_nothing_is_sent() -> None:
    world = World()
    device = world.add("device", "device", Own(learnt(1)), control_plane=False)
    assert device.once()
    assert device.facts().parent == ""


def test_the_only_parent_is_asked_again_however_often_it_did_not_answer() -> None:
    world = World()
    device = world.add("device", "device", Own(learnt(1)), control_plane=False)
    world.add("edge", "edge", Own())
    world.refuse["edge"] = Unreachable("gone")
    for _ in range(3 * PATIENCE):
        assert not device.once()
    del world.refuse["edge"]
    assert device.once()
    assert world.agents["edge"].facts().children == 1


def test_what_was_forgotten_while_the_agent_was_down_is_told_when_it_is_back() -> None:
    world = World()
    world.add("device", "device", Own(learnt(1))).once()
    assert len(world.total()) == 1
    assert world.add("device", "device", Own(), run=1).once()
    assert world.total() == []
