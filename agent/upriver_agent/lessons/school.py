"""Takes lessons, in the background: from what was heard to what is kept, on one thread, or says why not.

Callers have their answers before any of it begins.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from upriver.errors import DiskTrouble, InvalidInput, UpriverError
from upriver_agent.giving_way import pause
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.inbox import Inbox
from upriver_agent.lessons.lesson import Lesson
from upriver_agent.lessons.making import LessonMaker, Told, read_told
from upriver_agent.merge import AnswerInvalid
from upriver_agent.place import Place
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.pupil import Heard, Pupil
from upriver_agent.telemetry import NOWHERE, Origin
from upriver_agent.versions.manifest import TaskKind

_LOG = logging.getLogger(__name__)
OFF: Final = "learning is off"
TOP: Final = "the top of the ladder: there is nobody to learn from"
NO_EMBEDDING: Final = "its model gives out no embedding: see `upriver model inspect`"
NO_CLASSES: Final = "only models that classify learn on the device"
UNTRUSTED: Final = (
    "nobody above proves who it is: set tls.upstream_ca, or learning.trust = 'network' to learn from anybody upstream"
)
_TICK_S: Final = 60.0
_BATCH: Final = 64
_MOST: Final = 16 * _BATCH
"""Of what was heard so much is looked at, however few lessons that makes, before they are kept and audits are heard."""
_GATHER_S: Final = 0.05
"""So long it is waited for more after the first: what is kept together costs a fraction of what it does one by one."""
_PREDICT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SchoolRules:
    """`trusted` says whether those above may teach, `trusts_people` whether those may who answer tickets; `keeps`
    whether inputs are kept with consent."""

    enabled: bool
    trusted: bool
    trusts_people: bool
    keeps: bool


class School:
    """The lessons of the agent at `place`, as they come in."""

    def __init__(
        self,
        place: Place,
        rules: SchoolRules,
        book: LessonBook,
        maker: LessonMaker,
        active: Callable[[str], LoadedVersion],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`active` gives the version that answers for a model, or raises UpriverError."""
        self._rules = rules
        self._book = book
        self._maker = maker
        self._active = active
        self._steady = steady
        self._inbox = Inbox()
        self._refused: Counter[str] = Counter()
        self._audits: list[tuple[str, str, bool]] = []
        self._counting = threading.Lock()
        self._told = ""
        self._over = threading.Event()
        self._ticked = -_TICK_S
        self._thread = threading.Thread(target=self._run, name="upriver-lessons", daemon=True)
        self._off = "" if rules.enabled else OFF
        if rules.enabled and place.rank == len(place.tiers) - 1:
            self._off = TOP

    @property
    def off(self) -> str:
        """Why there are no lessons at all; empty when there are."""
        return self._off

    def attend(self, loaded: LoadedVersion) -> None:
        """Has a version's escalations heard from now on, or says why not; before it answers."""
        loaded.untaught = self._off or _cannot(loaded)
        if loaded.untaught:
            return
        self._book.attend(loaded.model, loaded.version.digest)
        if self._rules.trusted:
            loaded.pupil = Pupil(self._inbox.hear, self._rules.keeps)
        else:
            loaded.untaught = UNTRUSTED

    def answered(self, ticket: str, model: str, question: bytes, reply: bytes, origin: Origin = NOWHERE) -> None:
        """A person has answered a ticket; never waits."""
        if not self._off and self._rules.trusts_people:
            self._inbox.tell(Told(ticket, model, question, reply, origin))

    def audited(self, teacher: str, policy: str, agreed: bool) -> None:
        """An audit has held a teacher's answer, by this pair of it, against the top's; never waits."""
        with self._counting:
            if len(self._audits) < _MOST:
                self._audits.append((teacher, policy, agreed))
        self._inbox.wake()

    def start(self) -> None:
        """Begins, in the background."""
        if not self._off:
            self._thread.start()

    def close(self) -> None:
        """Ends; what was heard is kept first."""
        self._over.set()
        self._inbox.wake()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def counters(self) -> Mapping[str, int]:
        """What has become of answers from above since the start, by name; see Outcome and Refusal."""
        with self._counting:
            return {**self._refused, "dropped": self._inbox.dropped + self._refused["dropped"]}

    # On the thread.

    def step(self, timeout_s: float) -> bool:
        """Waits so long for something heard, and takes in what there is; gives whether there was anything."""
        first = self._inbox.get(timeout_s)
        if first is not None and timeout_s > 0:
            self._over.wait(_GATHER_S)
        lessons: list[Lesson] = []
        items = 0
        while first is not None:
            made: list[Lesson] = []
            self._safely(partial(self._make, first, made), rows=1 if isinstance(first, Told) else len(first.escalated))
            lessons += made
            items += 1
            pause()
            first = self._inbox.get(0.0) if len(lessons) < _BATCH and items < _MOST else None
        if lessons:
            self._safely(partial(self._offer, lessons), rows=len(lessons))
        for _ in range(len(self._audits)):
            with self._counting:
                teacher, policy, agreed = self._audits.pop(0)
            self._safely(partial(self._book.contradicted, teacher, policy, agreed), rows=0)
        if self._steady() - self._ticked >= _TICK_S:
            self._ticked = self._steady()
            self._safely(self._book.tick, rows=0)
        return items > 0

    def _run(self) -> None:
        while not self._over.is_set():
            self.step(_TICK_S)
        while self.step(0.0):
            pass

    def _make(self, item: Heard | Told, made: list[Lesson]) -> None:
        refused: Counter[str] = Counter()
        heard = self._heard(item) if isinstance(item, Told) else item
        if heard is not None:
            made += self._maker.make(heard, refused)
        self._count(refused)

    def _offer(self, lessons: list[Lesson]) -> None:
        outcomes = self._book.offer(lessons)
        self._count(Counter("quarantine" if outcome is None else outcome.value for outcome in outcomes))
        self._told = ""

    def _heard(self, told: Told) -> Heard | None:
        """A late answer as if it had come at once: the version that answers now is asked what it makes of it."""
        request, answers = read_told(told)
        loaded = self._active(told.model)
        if _cannot(loaded):
            return None
        rows, arrays = loaded.contract.check(request.inputs)
        found = loaded.predict(arrays, rows)
        try:
            prediction = found.result(_PREDICT_S) if isinstance(found, Future) else found
        except TimeoutError as error:
            raise InvalidInput(f"the question of ticket {told.ticket} took the model too long") from error
        return Heard(
            loaded=loaded,
            question=told.ticket,
            numbers=(),
            escalated=np.arange(rows),
            prediction=prediction,
            confidence=loaded.score(prediction),
            answers=answers,
            request=request if self._rules.keeps and request.options.learn else None,
            source="(tickets)",
            origin=told.origin,
        )

    def _count(self, counts: Mapping[str, int]) -> None:
        with self._counting:
            self._refused.update(counts)

    def _safely(self, work: Callable[[], None], rows: int) -> None:
        """Does something whose failure must end neither the thread nor go unseen."""
        why = ""
        try:
            work()
        except DiskTrouble as error:  # the journal has logged it
            why = str(error)
        except (UpriverError, AnswerInvalid) as error:
            why = str(error)
            if why != self._told:
                _LOG.warning("lessons: %s", error)
        except Exception:  # noqa: BLE001 - one question must not end all lessons
            why = "it failed"
            _LOG.exception("a lesson failed")
        if why:
            self._told = why
            self._count({"dropped": rows})


def _cannot(loaded: LoadedVersion) -> str:
    """Why a version can't be taught; empty when it can."""
    manifest = loaded.version.manifest
    if manifest.task.kind is not TaskKind.CLASSIFY:
        return NO_CLASSES
    return "" if manifest.outputs.embedding is not None else NO_EMBEDDING
