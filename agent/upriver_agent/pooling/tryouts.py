"""Heads that are tried here: each is fetched and answers the questions that are held out, and it is counted how well.

Only counts leave the agent. A head is counted anew when more was held out; heads are fetched one after the other, on a
thread of their own.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from upriver.errors import UpriverError
from upriver.heads import Head
from upriver.pool_sums import PoolPart, part_of
from upriver.trials import HeldOut, Trial, count

_LOG = logging.getLogger(__name__)
AGAIN_S: Final = 60.0
"""A head that could not be fetched is asked for again after so long."""


class Holdout(Protocol):
    """The questions that are held out."""

    def mark(self, model: str, version_digest: str) -> object:
        """Differs when `held_out` would."""
        ...

    def held_out(self, model: str, version_digest: str, top: str) -> HeldOut | None:
        """Those of a version that were audited by `top`; None when there are none."""
        ...


class Nothing:
    """Nothing is held out."""

    def mark(self, model: str, version_digest: str) -> object:
        """Always the same."""
        return 0

    def held_out(self, model: str, version_digest: str, top: str) -> HeldOut | None:
        """None."""
        return None


class Tryouts:
    """The trials of one agent; see `Contribution`. Safe to share between threads."""

    def __init__(self, region: str, fetch: Callable[[Trial], Head], stir: Callable[[], None]) -> None:
        """`fetch` gives the head of a trial, or raises UpriverError; `stir` is called when there is more to tell."""
        self.holdout: Holdout = Nothing()
        self._region = region
        self._fetch = fetch
        self._stir = stir
        self._trials: Mapping[str, Trial] = {}
        self._heads: dict[str, Head] = {}
        self._counted: dict[str, tuple[object, PoolPart | None]] = {}
        self._changed = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, trials: Sequence[Trial]) -> None:
        """Takes in what is to be tried here, all of it; never waits."""
        self._trials = {trial.digest: trial for trial in trials if trial.region == self._region}
        self._changed.set()
        self._stir()

    def start(self) -> None:
        """Begins to fetch heads, in the background; again is nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="upriver-tryouts", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._over.set()
        self._changed.set()

    def marks(self) -> object:
        """Differs whenever `parts` would."""
        return tuple(
            (digest, self.holdout.mark(trial.model, trial.version_digest), trial.head in self._heads)
            for digest, trial in sorted(self._trials.items())
        )

    def parts(self) -> Sequence[PoolPart]:
        """What was counted, by trial."""
        trials = self._trials
        self._counted = {digest: kept for digest, kept in self._counted.items() if digest in trials}
        found = (self._part(digest, trial) for digest, trial in sorted(trials.items()))
        return [part for part in found if part is not None]

    def fetch(self) -> bool:
        """Fetches the heads that are not here; False when one of them could not be."""
        wanted = {trial.head: trial for trial in self._trials.values()}
        self._heads = {digest: head for digest, head in self._heads.items() if digest in wanted}
        whole = True
        for digest, trial in wanted.items():
            if digest in self._heads or self._over.is_set():
                continue
            try:
                head = self._fetch(trial)
            except UpriverError as error:
                _LOG.warning("a head of %s can't be tried yet: %s", trial.model, error)
                whole = False
                continue
            if head.version_digest != trial.version_digest:
                _LOG.error("head %s of %s is of another version than its trial says", digest, trial.model)
                continue
            self._heads[digest] = head
            self._stir()
        return whole

    def _part(self, digest: str, trial: Trial) -> PoolPart | None:
        head = self._heads.get(trial.head)
        if head is None:
            return None
        mark = self.holdout.mark(trial.model, trial.version_digest)
        kept = self._counted.get(digest)
        if kept is None or kept[0] != mark:
            kept = self._counted[digest] = (mark, self._count(digest, trial, head))
        return kept[1]

    def _count(self, digest: str, trial: Trial, head: Head) -> PoolPart | None:
        held = self.holdout.held_out(trial.model, trial.version_digest, trial.top)
        if held is None or not len(held.labels):
            return None
        try:
            counts = count(trial, head, held)
        except ValueError as error:
            _LOG.error("a head of %s can't be tried: %s", trial.model, error)
            return None
        return part_of(trial.model, trial.version_digest, self._region, counts, digest)

    def _run(self) -> None:
        while not self._over.is_set():
            self._changed.wait()
            self._changed.clear()
            if not self.fetch() and not self._over.is_set():
                self._changed.wait(AGAIN_S)
                self._changed.set()
