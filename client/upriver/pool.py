"""Who counts in a pool of sums, so that each agent counts at most once, whatever is lost, repeated or reordered.

Agents send their sums to one parent each; a parent sends up the sum over its children with its own. A *submission*
has the sums and a *roster*, which agents are in them and in which of their states: {agent: epoch}. The child's own
entry is the submission's epoch. Each agent's epoch rises with every submission that differs, with every change of
parent and with every start, so that of two states of an agent the newer one can be told by whoever sees both.

A receiver counts, of each child, one submission, and the rosters of those that it counts have no agent in common. A
submission that holds an agent of another child's is staged until the other has dropped that agent; the child that
holds the older state of an agent is told to `drop` it. Whoever holds an out-of-date state of an agent by itself drops
it at once; a sum can't be taken apart, so a child that holds one is asked for another sum.

Nothing here knows what the sums are. Pure: times are arguments, seconds of any clock that rises.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

from upriver.errors import InvalidInput, QueueFull

T = TypeVar("T")
MAX_ROSTER: Final = 100_000
MAX_EPOCH: Final = 1 << 62
MAX_ID: Final = 200


class Standing(StrEnum):
    """What became of a submission."""

    COUNTED = "counted"
    """It counts."""
    STAGED = "staged"
    """It waits for another child, or this one, to drop agents of which there are newer states elsewhere."""
    STALE = "stale"
    """A newer one of this child was seen, or another one of this epoch: it was not looked at."""
    UNKNOWN = "unknown"
    """It is not here, and should be sent whole."""


@dataclass(frozen=True, slots=True)
class Submission(Generic[T]):
    """A child's sums and who is in them. The roster has the child itself, even when it adds nothing of its own.

    `mark` names the content: a child that lost its epochs may send another one as an epoch that was there before.
    """

    child: str
    roster: Mapping[str, int]
    content: T
    mark: str = ""

    @property
    def epoch(self) -> int:
        """The child's own epoch."""
        return self.roster[self.child]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child is told: `epoch` is the newest of its own that is known, which one that is stale must exceed.

    `drop` are agents in its newest submission of which there are newer states elsewhere, with the epoch of those.
    """

    standing: Standing
    epoch: int
    drop: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds. `max_agents` are all that were in a roster lately. A child that was not heard of for `expiry_s` no longer
    counts.

    One that was not heard of for `patience_s` makes way when others have newer states of agents in its sum: its
    parent's place may have been taken.
    """

    max_children: int = 1024
    max_agents: int = MAX_ROSTER - 1
    expiry_s: float = 3600.0
    patience_s: float = 180.0


@dataclass(slots=True)
class Child(Generic[T]):
    """What is known of a child: the submission that counts, one that waits, when it was last heard of."""

    counted: Submission[T] | None = None
    staged: Submission[T] | None = None
    heard: float = 0.0

    @property
    def newest(self) -> Submission[T] | None:
        """The newest of its submissions."""
        return self.staged or self.counted


class Pool(Generic[T]):
    """The children of one receiver. `children` and `epochs` may be given to go on from what was kept of it."""

    def __init__(
        self,
        limits: PoolLimits | None = None,
        children: Mapping[str, Child[T]] | None = None,
        epochs: Mapping[str, tuple[int, float]] | None = None,
        began: float = -math.inf,
    ) -> None:
        """`epochs` are the newest of each agent, and when they were told. Nobody could be heard of before `began`."""
        self._limits = limits or PoolLimits()
        self._children = dict(children or {})
        self._epochs = dict(epochs or {})
        self._began = began
        self._owners: dict[str, str] = {}
        self._touched: set[str] = set()
        self._noted: set[str] = set()
        self._staged = {name for name, child in self._children.items() if child.staged is not None}
        self._revision = 0
        for name, child in self._children.items():
            if child.counted is not None:
                self._owners.update(dict.fromkeys(child.counted.roster, name))
            for submission in (child.counted, child.staged):
                self._note(submission.roster.items() if submission is not None else (), child.heard)

    @property
    def revision(self) -> int:
        """Rises with every change of what counts."""
        return self._revision

    @property
    def children(self) -> Mapping[str, Child[T]]:
        """Every child by its id."""
        return self._children

    def counted(self) -> list[Submission[T]]:
        """The submissions that count, by child's id; no agent is in two of them."""
        return [found for name in sorted(self._children) if (found := self._children[name].counted) is not None]

    def roster(self) -> dict[str, int]:
        """Every agent that counts, and its epoch."""
        return {agent: epoch for submission in self.counted() for agent, epoch in submission.roster.items()}

    def epoch_of(self, agent: str) -> int:
        """The newest epoch of an agent that was told here, 0 for none."""
        return self._epochs.get(agent, (0, 0.0))[0]

    def told_at(self, agent: str) -> float:
        """When the newest epoch of an agent was told."""
        return self._epochs.get(agent, (0, 0.0))[1]

    def touched(self) -> set[str]:
        """The children of which something has changed since the last call: what is to be kept anew."""
        touched, self._touched = self._touched, set()
        return touched

    def offer(self, submission: Submission[T], now: float) -> Answer:
        """Takes in a submission; raises QueueFull for too many children or agents, InvalidInput for its roster."""
        check_roster(submission.child, submission.roster)
        name = submission.child
        child = self._children.get(name)
        if child is None and len(self._children) >= self._limits.max_children:
            raise QueueFull(f"{len(self._children)} agents pool here, which is all it takes; expected another parent")
        newest = child.newest if child is not None else None
        if submission.epoch < self.epoch_of(name) or _differs(submission, newest):
            return Answer(Standing.STALE, self.epoch_of(name), self._drops(child))
        if len(self._epochs) + len(submission.roster.keys() - self._epochs.keys()) > self._limits.max_agents:
            raise QueueFull(f"{len(self._epochs)} agents are known here of all it takes; expected another parent")
        if child is None:
            child = self._children[name] = Child()
        self._hear(name, child, now)
        if newest is None or newest.epoch != submission.epoch:
            child.staged = submission
            self._staged.add(name)
            self._note(submission.roster.items(), now)
        self._settle(now)
        return self._answer(name)

    def unchanged(self, name: str, epoch: int, now: float) -> Answer:
        """A child says that its submission of this epoch still stands."""
        child = self._children.get(name)
        newest = child.newest if child is not None else None
        if child is None or newest is None or newest.epoch != epoch:
            return Answer(Standing.UNKNOWN, self.epoch_of(name))
        self._hear(name, child, now)
        self._settle(now)
        return self._answer(name)

    def elsewhere(self, drop: Mapping[str, int], now: float) -> None:
        """The parent says that newer states of these agents came to it on other ways."""
        self._note([(agent, epoch) for agent, epoch in drop.items() if agent in self._epochs], now)
        self._settle(now)

    def expire(self, now: float) -> None:
        """Lets go of children that were not heard of for long, and of epochs of agents that nobody has any more."""
        for name, child in list(self._children.items()):
            if now - child.heard > self._limits.expiry_s:
                self._count(name, child, None)
                self._staged.discard(name)
                del self._children[name]
                self._touched.add(name)
        self._settle(now)
        held = {agent for child in self._children.values() for agent in _held(child)}
        for agent in [a for a, (_, at) in self._epochs.items() if now - at > 2 * self._limits.expiry_s]:
            if agent not in held:
                del self._epochs[agent]

    def _answer(self, name: str) -> Answer:
        child = self._children[name]
        if child.newest is None:
            return Answer(Standing.UNKNOWN, self.epoch_of(name))
        standing = Standing.COUNTED if child.staged is None else Standing.STAGED
        return Answer(standing, self.epoch_of(name), self._drops(child))

    def _drops(self, child: Child[T] | None) -> Mapping[str, int]:
        newest = child.newest if child is not None else None
        if newest is None:
            return {}
        roster = newest.roster.items()
        return {agent: known for agent, epoch in roster if (known := self.epoch_of(agent)) > epoch}

    def _hear(self, name: str, child: Child[T], now: float) -> None:
        child.heard = max(now, child.heard)
        self._touched.add(name)

    def _note(self, epochs: Iterable[tuple[str, int]], now: float) -> None:
        for agent, epoch in epochs:
            if epoch > self.epoch_of(agent):
                self._epochs[agent] = (epoch, now)
                self._noted.add(agent)

    def _settle(self, now: float) -> None:
        """Drops what is out of date by itself, and has what waits count that can."""
        noted, self._noted = self._noted, set()
        for name in noted:
            child = self._children.get(name)
            if child is not None and child.newest is not None and child.newest.epoch < self.epoch_of(name):
                child.staged = None
                self._staged.discard(name)
                self._count(name, child, None)
                self._touched.add(name)
        waiting = {name: self._children[name].staged for name in self._staged}
        ready = {name: one for name, one in waiting.items() if one is not None and self._is_fresh(one)}
        while ready and (blocked := self._blocked(ready, now)):
            for name in blocked:
                del ready[name]
        for name in ready:  # all are taken out before any is put in: they may exchange agents
            self._count(name, self._children[name], None)
        for name, staged in ready.items():
            child = self._children[name]
            self._count(name, child, staged)
            child.staged = None
            self._staged.discard(name)
            self._touched.add(name)

    def _is_fresh(self, submission: Submission[T]) -> bool:
        return all(epoch >= self.epoch_of(agent) for agent, epoch in submission.roster.items())

    def _blocked(self, ready: Mapping[str, Submission[T]], now: float) -> set[str]:
        """Those of the ready that would hold an agent which another child holds, or a ready one before it."""
        blocked: set[str] = set()
        taken: dict[str, str] = {}
        for name in sorted(ready):
            roster = ready[name].roster
            holders = {
                owner
                for agent in roster
                if (owner := self._owners.get(agent)) is not None and owner != name and owner not in ready
            }
            staying = [owner for owner in sorted(holders) if not self._makes_way(owner, roster, now)]
            if staying or any(taken.get(agent, name) != name for agent in roster):
                blocked.add(name)
            else:
                taken.update(dict.fromkeys(roster, name))
        return blocked

    def _makes_way(self, owner: str, roster: Mapping[str, int], now: float) -> bool:
        child = self._children[owner]
        counted = child.counted
        if counted is None:
            return True
        if now - max(child.heard, self._began) <= self._limits.patience_s:
            return False
        if not any(agent in roster and roster[agent] > epoch for agent, epoch in counted.roster.items()):
            return False
        self._count(owner, child, None)
        self._touched.add(owner)
        return True

    def _count(self, name: str, child: Child[T], submission: Submission[T] | None) -> None:
        """Has another submission of a child count, or none."""
        if child.counted is submission:
            return
        if child.counted is not None:
            for agent in child.counted.roster:
                if self._owners.get(agent) == name:
                    del self._owners[agent]
        child.counted = submission
        if submission is not None:
            self._owners.update(dict.fromkeys(submission.roster, name))
        self._revision += 1


def check_roster(child: str, roster: Mapping[str, int], others: Collection[str] = ()) -> None:
    """Raises InvalidInput for a roster that can't be: without its child, with ids of `others`, beyond bounds."""
    if child not in roster:
        raise InvalidInput(f"the roster of {child[:MAX_ID]!r}: expected an entry of its own")
    if len(roster) > MAX_ROSTER:
        raise InvalidInput(f"a roster of {len(roster)} agents: expected at most {MAX_ROSTER}")
    for agent, epoch in roster.items():
        if not 0 < len(agent) <= MAX_ID or not 0 < epoch <= MAX_EPOCH:
            raise InvalidInput(f"roster: {agent[:MAX_ID]!r} at epoch {epoch}: expected an id, and 1 to {MAX_EPOCH}")
        if agent in others:
            raise InvalidInput(f"roster: {agent!r} is the one that it was sent to")


def _differs(submission: Submission[T], newest: Submission[T] | None) -> bool:
    return newest is not None and newest.epoch == submission.epoch and newest.mark != submission.mark


def _held(child: Child[T]) -> Iterable[str]:
    for submission in (child.counted, child.staged):
        if submission is not None:
            yield from submission.roster
