"""Sends what was learnt here and below to a parent, in the background, and takes in what those below send.

Nothing of it is on the way of an answer. What children sent is kept in memory, within bounds; after a restart they are
asked for it again, and until they had the time for that nothing is sent up: what the parent has still counts.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from upriver.backoff import full_jitter_s
from upriver.discovery.port import AgentRecord
from upriver.errors import DiskTrouble, InvalidInput, NotAllowed, NotSupported, QueueFull, UpriverError
from upriver.pool import Answer, Pool, PoolLimits, Standing, Submission
from upriver.pool_sums import MAX_PARTS, PoolPart, size_bytes, summed
from upriver.pool_wire import MAX_BYTES, MESSAGE_BYTES, Parts, write_part, write_submission, write_unchanged
from upriver.v1 import pool_pb2 as pb
from upriver_agent.place import Place
from upriver_agent.pooling.course import Course, Due, pass_on
from upriver_agent.pooling.parents import AWAY_S, DEAF_S, Parent, Parents

_LOG = logging.getLogger(__name__)
_PATIENCE: Final = 6.0
"""Rhythms without a word after which a child makes way for newer states: longer than one takes that has restarted."""
_BACKOFF: Final = 2.0
"""Rhythms that are waited besides, at most, when a parent does not answer."""
_SETTLING: Final = 4.0
"""Rhythms after a start in which nothing is sent up where there may be children: so long the slowest may take."""
_ENTRY_BYTES, _WRITTEN_BYTES = 256, 20
"""What an entry of a roster takes in memory, and in a message besides its id."""


class Contribution(Protocol):
    """What of this agent is pooled."""

    def marks(self) -> object:
        """Differs whenever `parts` would."""
        ...

    def parts(self) -> Sequence[PoolPart]:
        """The sums of this agent alone; raises UpriverError when they can't be told now."""
        ...


class Sends(Protocol):
    """How submissions reach parents; see `Sender`."""

    @property
    def bytes_up(self) -> int:
        """What was sent."""
        ...

    def send(self, parent: Parent, messages: Iterable[pb.SubmitPoolRequest]) -> Answer:
        """Sends and gives the answer; raises UpriverError."""
        ...

    def close(self) -> None:
        """Ends a call that is under way."""
        ...


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """`rhythm_s` is the time between two submissions, spread by a fifth; what children sent takes `max_bytes`."""

    rhythm_s: float = 60.0
    max_bytes: int = 64 << 20
    limits: PoolLimits = field(default_factory=PoolLimits)


def options_of(rhythm_s: float, max_bytes: int) -> PoolOptions:
    """The options for a rhythm: children are expected to have about the same."""
    limits = PoolLimits(expiry_s=max(3600.0, 60.0 * rhythm_s), patience_s=_PATIENCE * rhythm_s)
    return PoolOptions(rhythm_s, max_bytes, limits)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """How pooling goes. `parent` is empty for none; `agents` count here, this one included; `trouble` says why nothing
    gets through."""

    parent: str
    standing: str
    children: int
    agents: int
    bytes_up: int
    trouble: str


class Pooler:
    """The pooling of one agent. Safe to share between threads."""

    def __init__(
        self,
        place: Place,
        options: PoolOptions,
        own: Sequence[Contribution],
        agents: Callable[[], Sequence[AgentRecord]],
        parents: Parents,
        sender: Sends,
        new_epoch: Callable[[int], int],
        steady: Callable[[], float] = time.monotonic,
        has_pooled: bool = False,
    ) -> None:
        """`agents` gives those that discovery knows, `new_epoch` is as `Course` has it, `steady` is never set.

        With `has_pooled` something was sent in an earlier run: then it is told as well that there is nothing any more.
        """
        self._me = place.agent
        self._may_have_children = place.rank > 0
        self._options = options
        self._own = own
        self._agents = agents
        self._parents = parents
        self._sender = sender
        self._course = Course(place.agent, new_epoch)
        self._steady = steady
        self._pool: Pool[Parts] = Pool(options.limits)
        self._lock = threading.Lock()
        self._began = steady()
        self._parent = ""
        self._standing = ""
        self._has_pooled = has_pooled
        self._trouble = ""
        self._told = ""
        self._left_out = ""
        self._stirred = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-pool", daemon=True)

    def start(self) -> None:
        """Begins, in the background."""
        self._thread.start()

    def stir(self) -> None:
        """Something is to be told soon; never waits."""
        self._stirred.set()

    def close(self) -> None:
        """Ends."""
        self._over.set()
        self._stirred.set()
        self._sender.close()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def receive(self, submission: Submission[Parts]) -> Answer:
        """Takes in a child's sums; raises QueueFull when there is no room for them, InvalidInput."""
        now = self._steady()
        with self._lock:
            held = sum(
                _size(one)
                for name, child in self._pool.children.items()
                for one in (child.counted, child.staged)
                if one is not None and name != submission.child
            )
            if held + 2 * _size(submission) > self._options.max_bytes:
                raise QueueFull(f"{self._me} has no room for more sums: expected another parent")
            before, revision = self._pool.children.get(submission.child), self._pool.revision
            forgotten = _forgotten(before.newest) if before is not None else 0
            answer = self._pool.offer(submission, now)
            changed = self._pool.revision != revision
        if changed and _forgotten(submission) > forgotten:
            self.stir()  # what must be forgotten does not wait on every tier
        return answer

    def unchanged(self, child: str, epoch: int) -> Answer:
        """A child says that its submission still stands."""
        with self._lock:
            return self._pool.unchanged(child, epoch, self._steady())

    def facts(self) -> PoolFacts:
        """How it goes."""
        with self._lock:
            children, agents = len(self._pool.children), len(self._pool.roster()) + 1
        return PoolFacts(self._parent, self._standing, children, agents, self._sender.bytes_up, self._trouble)

    def once(self) -> bool:
        """Sends once, if there is anything to be sent; gives whether it got through. To be called by one thread."""
        now = self._steady()
        with self._lock:
            self._pool.expire(now)
        parent = self._parents.choose(self._agents(), now)
        self._parent = parent.name if parent is not None else ""
        if parent is None:
            return True
        try:
            self._exchange(parent)
        except UpriverError as error:
            self._failed(parent, error)
            return False
        self._parents.answered()
        self._note(self._left_out)
        return True

    def _exchange(self, parent: Parent) -> None:
        due, submission = self._due(parent)
        if submission is None and not due.epoch:
            return
        messages = write_unchanged(self._me, due.epoch) if submission is None else write_submission(submission)
        self._has_pooled = True
        answer = self._sender.send(parent, messages)
        self._course.answered(parent.name, due, answer)
        self._standing = answer.standing
        with self._lock:
            before = self._pool.revision
            pass_on(self._pool, self._me, answer, self._steady())
            changed = self._pool.revision != before
        if changed or answer.standing in (Standing.UNKNOWN, Standing.STALE):
            self.stir()

    def _due(self, parent: Parent) -> tuple[Due, Submission[Parts] | None]:
        """What is to be sent now; epoch 0 when there is nothing yet."""
        marks = tuple(one.marks() for one in self._own)
        own = [part for one in self._own for part in one.parts()]
        with self._lock:
            counted, roster, revision = self._pool.counted(), self._pool.roster(), self._pool.revision
        if not own and not roster and not self._has_pooled:
            return Due(0, whole=False), None
        due = self._course.next(parent.name, (marks, revision))
        if not due.whole:
            return due, None
        parts = summed([*own, *(part for one in counted for part in one.content)])
        return due, Submission(self._me, {**roster, self._me: due.epoch}, self._sendable(parts, roster))

    def _sendable(self, parts: Sequence[PoolPart], roster: Iterable[str]) -> Parts:
        """The parts that a parent takes: of too many those of the most agents, which one child can't push out."""
        found: list[PoolPart] = []
        listed = sum(len(agent.encode()) + _WRITTEN_BYTES for agent in roster)
        room = MAX_BYTES + min(0, MESSAGE_BYTES - listed)
        self._left_out = ""
        for part in sorted(parts, key=lambda part: -part.agents):
            size = write_part(part).ByteSize()
            if size > MESSAGE_BYTES:
                self._left_out = f"the sums of {part.key.model} take {size} bytes: at most {MESSAGE_BYTES} can be sent"
            elif size > room or len(found) == MAX_PARTS:
                self._left_out = f"more sums than can be sent: at most {MAX_PARTS}, and {MAX_BYTES} bytes"
            else:
                found.append(part)
                room -= size
        return found

    def _failed(self, parent: Parent, error: UpriverError) -> None:
        now = self._steady()
        self._note(f"{parent.name}: {error}")
        if isinstance(error, NotSupported | NotAllowed):
            self._parents.leave(now, DEAF_S)
        elif isinstance(error, QueueFull | InvalidInput):
            self._parents.leave(now, AWAY_S)
        elif not isinstance(error, DiskTrouble):
            self._parents.failed(now)

    def _note(self, trouble: str) -> None:
        """Logs a trouble once, not at every attempt."""
        self._trouble = trouble
        if trouble and trouble != self._told:
            _LOG.warning("what is learnt here is not pooled: %s", trouble)
        self._told = trouble

    def _run(self) -> None:
        failures = 0
        while not self._over.is_set():
            rhythm_s = self._options.rhythm_s
            wait_s = rhythm_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            if failures:
                wait_s += full_jitter_s(failures, rhythm_s, _BACKOFF * rhythm_s, random.random)
            stirred = self._stirred.wait(wait_s)
            if self._over.is_set():
                return
            if stirred:  # soon, and not as often as somebody stirs
                self._stirred.clear()
                self._over.wait(min(1.0, rhythm_s / 10))
            if self._settles():
                continue
            failures = 0 if self.once() else failures + 1

    def _settles(self) -> bool:
        """Whether it is too early to tell a parent which children there are."""
        return self._may_have_children and self._steady() - self._began < _SETTLING * self._options.rhythm_s


def _size(submission: Submission[Parts]) -> int:
    """How much memory a submission takes, about."""
    return size_bytes(submission.content) + _ENTRY_BYTES * len(submission.roster)


def _forgotten(submission: Submission[Parts] | None) -> int:
    """How many lessons had to be forgotten, ever, by those in a submission."""
    return 0 if submission is None else sum(part.forgotten for part in submission.content)
