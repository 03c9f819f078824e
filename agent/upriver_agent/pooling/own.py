"""The sums over this agent's own lessons: what is in its journal, no more and no less.

Lessons are taken in many at a time: when the sums are asked for, and where so many wait that what tells of them has to.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from upriver.errors import DiskTrouble
from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver.heads import MAX_EMBEDDING, MAX_LABELS
from upriver.pool_sums import PoolPart, part_of
from upriver.scores import Floats
from upriver_agent.lessons.lesson import Choice, Lesson, State, Subscriber

_MOST_WAITING: Final = 2048
MAX_VERSIONS: Final = 16
MAX_EMPTY: Final = 4
"""Of so many versions that have no lessons any more it is still told how many had to go."""

_Key = tuple[str, str, int]
_Event = tuple[int, Lesson]
"""A lesson that came (1) or went (-1)."""


class Lessons(Protocol):
    """Where lessons are kept; see `LessonBook`."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Has somebody told of all changes from now on."""
        ...

    def every(self, choice: Choice) -> Iterator[Lesson]:
        """The lessons of a choice."""
        ...


@dataclass(frozen=True, slots=True)
class Clip:
    """How much of one lesson counts: an embedding longer than `norm` is made so long; 0 leaves all as they are."""

    norm: float = 0.0

    def __call__(self, embeddings: Floats) -> Floats:
        """Embeddings [lessons, embedding], clipped."""
        if not self.norm:
            return embeddings
        lengths = np.sqrt((embeddings**2).sum(axis=1, keepdims=True))
        found: Floats = embeddings * np.minimum(1.0, self.norm / np.maximum(lengths, 1e-300))
        return found


@dataclass(slots=True)
class _Sums:
    """Of one model's version. `own` are its labels, which stay what they were: else what is taken out would not be
    what was taken in. `mentions` counts the lessons that speak of each label."""

    sums: HeadStatistics
    own: Collection[str] = ()
    lessons: int = 0
    mentions: Counter[str] = field(default_factory=Counter)


class OwnSums:
    """A subscriber of the lessons' book. Safe to share between threads."""

    def __init__(
        self,
        clip: Clip | None = None,
        urgent: Callable[[], None] = lambda: None,
        labels_of: Callable[[str, str], Collection[str]] = lambda model, version_digest: (),
    ) -> None:
        """`urgent` is called, and must not wait, when something had to be forgotten: that is to be told soon.

        `labels_of` gives a version's own labels, by model and digest; none for one that does not answer here, and then
        its lessons' labels are all that is learnt of it.
        """
        self._labels_of = labels_of
        self._clip = clip or Clip()
        self._urgent = urgent
        self._lock = threading.Lock()
        self._waiting: list[_Event] = []
        self._meanwhile: list[_Event] | None = None
        """What was told while the journal is read; None when it is not."""
        self._sums: dict[_Key, _Sums] = {}
        self._revision = 0
        self._renewals = 0
        self._must_go: Counter[_Key] = Counter()
        self._stale = True

    def added(self, lesson: Lesson) -> None:
        """A lesson counts from now on."""
        with self._lock:
            self._wait([(1, lesson)])

    def removed(self, lessons: Sequence[Lesson]) -> None:
        """These do not count any more."""
        with self._lock:
            self._wait([(-1, lesson) for lesson in lessons])

    def must_go(self, lessons: Sequence[Lesson]) -> None:
        """Heads that learnt these must go."""
        with self._lock:
            self._must_go += Counter((one.model, one.version_digest, len(one.embedding)) for one in lessons)
            self._revision += 1
        self._urgent()

    def renewed(self) -> None:
        """What is kept is another than what was told."""
        with self._lock:
            self._stale = True
            self._renewals += 1

    def follow(self, lessons: Lessons, must_go: Mapping[_Key, int]) -> None:
        """Is told of changes from now on; what is kept is read by `catch_up`. To be called while nothing changes.

        `must_go` is how many lessons of each version had to go before.
        """
        self._must_go = Counter(must_go)
        lessons.subscribe(self)

    def catch_up(self, lessons: Lessons) -> None:
        """Reads what is kept, at first and where it is another than what was told; raises DiskTrouble."""
        if self._stale:
            self._read(lessons)

    def marks(self) -> tuple[int, int]:
        """Rise with every change, and with every journal that took the place of another."""
        with self._lock:
            return self._revision, self._renewals

    def parts(self, region: str) -> list[PoolPart]:
        """The sums by version, of their own; versions with the most lessons when there are too many."""
        with self._lock:
            self._take_in()
            empty = [key for key in self._must_go if key not in self._sums and 1 <= key[2] <= MAX_EMBEDDING]
            sums = self._sums | {key: _Sums(nothing(key[2])) for key in empty[-MAX_EMPTY:]}
            most = sorted(sums.items(), key=lambda entry: (-entry[1].lessons, entry[0]))[:MAX_VERSIONS]
            return [
                part_of(key[0], key[1], region, _written(kept), forgotten=self._must_go[key])
                for key, kept in sorted(most, key=lambda entry: entry[0])
            ]

    def _read(self, lessons: Lessons) -> None:
        """Reads what is kept, while lessons come and go: what is told meanwhile is held against what was read."""
        with self._lock:
            self._meanwhile, self._stale = [], False
        sums: dict[_Key, _Sums] = {}
        seen: set[int] = set()
        batch: list[_Event] = []
        try:
            for lesson in lessons.every(Choice(states=frozenset({State.TAKEN}))):
                seen.add(lesson.seq)
                batch.append((1, lesson))
                if len(batch) >= _MOST_WAITING:
                    self._add_all(sums, batch)
                    batch = []
            self._add_all(sums, batch)
        except DiskTrouble:
            self._stale = True
            raise
        finally:
            with self._lock:
                told, self._meanwhile = self._meanwhile or [], None
                self._sums, self._waiting = sums, _news(told, seen)
                self._revision += 1

    def _wait(self, changes: list[_Event]) -> None:
        self._revision += 1
        if self._meanwhile is not None:
            self._meanwhile += changes
            return
        self._waiting += changes
        if len(self._waiting) >= _MOST_WAITING:
            self._take_in()

    def _take_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._add_all(self._sums, waiting)

    def _add_all(self, sums: dict[_Key, _Sums], changes: Sequence[_Event]) -> None:
        by_key: dict[_Key, list[_Event]] = {}
        for sign, lesson in changes:
            width = len(lesson.embedding)
            if 1 <= width <= MAX_EMBEDDING:
                by_key.setdefault((lesson.model, lesson.version_digest, width), []).append((sign, lesson))
        for key, those in by_key.items():
            kept = sums.get(key) or _Sums(nothing(key[2]), frozenset(self._labels_of(key[0], key[1])))
            sums[key] = kept
            _add(kept, those, self._clip)
            if kept.lessons <= 0:  # what rounding leaves of lessons that are gone goes with the last of them
                del sums[key]


def _news(told: Sequence[_Event], seen: set[int]) -> list[_Event]:
    """Of what was told while lessons were read, what had not been read yet, or was read and is gone. Changes `seen`."""
    news = []
    for sign, lesson in told:
        if (sign > 0) != (lesson.seq in seen):
            news.append((sign, lesson))
            (seen.add if sign > 0 else seen.discard)(lesson.seq)
    return news


def _add(kept: _Sums, changes: Sequence[_Event], clip: Clip) -> None:
    shares = [shares_of(lesson.label, lesson.probabilities, kept.own) for _, lesson in changes]
    for (sign, _), spoken in zip(changes, shares, strict=True):
        kept.lessons += sign
        for label in spoken:
            kept.mentions[label] += sign
    kept.sums = kept.sums.widened(sorted(label for label in kept.mentions if label not in kept.sums.labels))
    labels = kept.sums.labels
    signs = np.array([sign for sign, _ in changes], np.float64)
    h = clip(np.stack([lesson.embedding for _, lesson in changes]).astype(np.float64))
    h = np.hstack([h, np.ones((len(h), 1))])
    targets = np.stack([target_of(labels, one) for one in shares])
    kept.sums.outer += (h * signs[:, np.newaxis]).T @ h
    kept.sums.toward += (h * signs[:, np.newaxis]).T @ targets
    if min(kept.mentions.values()) <= 0:  # nobody speaks of such a label any more: it is as if it had never been
        kept.mentions = Counter({label: count for label, count in kept.mentions.items() if count > 0})
        those = [at for at, label in enumerate(labels) if label in kept.mentions]
        kept.sums = HeadStatistics(tuple(labels[at] for at in those), kept.sums.outer, kept.sums.toward[:, those])


def _written(kept: _Sums) -> HeadStatistics:
    """The sums with the labels that lessons speak of, by name; of too many those that most speak of."""
    labels = tuple(sorted(label for label, _ in kept.mentions.most_common(MAX_LABELS)))
    columns = [kept.sums.labels.index(label) for label in labels]
    return HeadStatistics(labels, kept.sums.outer.copy(), kept.sums.toward[:, columns])
