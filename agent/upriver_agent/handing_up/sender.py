"""Hands up what waits, in the background: bounded in its rate, one call at a time, patient with who is away.

What was handed over and whether it arrived is known only when the answer comes; until then it stays, and is handed up
again after a kill, a lost answer or another way. The last who takes it keeps each id once.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from upriver.backoff import full_jitter_s
from upriver.errors import DiskTrouble, NotAllowed, NotSupported, UpriverError
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.route import Route, Way
from upriver_agent.handing_up.spool import Entry
from upriver_agent.handing_up.submitting import Submit, Taken
from upriver_agent.journal import Journal

_LOG: Final = logging.getLogger(__name__)
MOST: Final = 200
MOST_BYTES: Final = 2 << 20
FIRST_S: Final = 1.0
LONGEST_S: Final = 120.0
_GATHER_S: Final = 1.0


class Own(Protocol):
    """The lessons that are learnt here."""

    def collect(self, most_bytes: int) -> bool:
        """Puts lessons that may be handed up and are not there yet into what waits; says whether there may be more."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """What waits takes at most `most_bytes`; it goes up with `bytes_per_s`, 0 for no bound."""

    most_bytes: int = 64 << 20
    bytes_per_s: float = 256 << 10


class Sender:
    """Hands up until it is closed; `ways` gives where to, best first."""

    def __init__(
        self,
        journal: Journal,
        own: Own | None,
        ways: Callable[[], Sequence[Way]],
        submit: Submit,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.failures = 0
        """Tries that have failed since the last one that did not."""
        self._journal = journal
        self._own = own
        self._ways = ways
        self._submit = submit
        self._pace = pace
        self._clock = clock
        self._chance = chance
        self._route = Route()
        self._stirred = threading.Event()
        self._stirred.set()  # what an earlier run has left
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-handing-up", daemon=True)

    def start(self) -> None:
        """Begins, in the background."""
        self._thread.start()

    def stir(self) -> None:
        """There is something to hand up; never waits."""
        self._stirred.set()

    def close(self) -> None:
        """Ends; what waits is handed up after the next start."""
        self._over.set()
        self._stirred.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def step(self) -> float | None:
        """Collects and hands up once; gives the seconds to wait before the next step, None when nothing is left."""
        more = self._own is not None and self._own.collect(self._pace.most_bytes)
        found = self._journal.read(lambda connection: spool.waiting(connection, MOST, MOST_BYTES))
        if not found:
            return 0.0 if more else None
        ways = self._ways()
        way = self._route.choose(ways)
        if way is None:
            return self._failed()
        entries = self._journal.write(lambda connection: spool.trying(connection, found)).result()
        started = self._clock()
        try:
            taken = self._submit(way, entries)
        except UpriverError as error:
            _LOG.debug("lessons wait: %s", error)
            self._route.failed(way)
            if isinstance(error, NotSupported | NotAllowed) and self._route.has_other(ways):
                return 0.0  # it takes none whenever it is asked
            return self._failed()
        self._settle(entries, taken)
        if entries and not taken.kept and not taken.refused:
            self._route.failed(way)  # it has no room now
            return self._failed()
        self._route.took(way)
        self.failures = 0
        return self._due_s(entries, self._clock() - started)

    def _settle(self, entries: Sequence[Entry], taken: Taken) -> None:
        kept = [entry for entry in entries if entry.id in taken.kept]
        refused = [entry for entry in entries if entry.id in taken.refused and entry.id not in taken.kept]
        for entry in refused:
            _LOG.warning("lesson %s will not be taken above: %s", entry.id, taken.refused[entry.id])
        self._journal.write(lambda connection: spool.settle(connection, kept, refused)).result()

    def _failed(self) -> float:
        self.failures += 1
        return full_jitter_s(self.failures, FIRST_S, LONGEST_S, self._chance)

    def _due_s(self, entries: Sequence[Entry], took_s: float) -> float:
        if not self._pace.bytes_per_s:
            return 0.0
        size = sum(len(entry.body) + spool.OVERHEAD for entry in entries)
        return max(0.0, size / self._pace.bytes_per_s - took_s)

    def _run(self) -> None:
        while self._stirred.wait() and not self._over.wait(_GATHER_S):
            self._stirred.clear()
            wait_s: float | None = 0.0
            while wait_s is not None and not self._over.wait(wait_s):
                try:
                    wait_s = self.step()
                except (DiskTrouble, UpriverError) as error:
                    _LOG.warning("lessons can't be handed up now: %s", error)
                    wait_s = self._failed()
