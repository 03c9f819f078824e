"""Following questions as they come: one reader for all who look, and none while nobody does.

It is woken when spans are committed here, and looks every second for what other processes on the same database commit.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from upriver.errors import DiskTrouble, QueueFull, Unreachable
from upriver_control.spans.filters import Filter
from upriver_control.spans.intake import Intake
from upriver_control.spans.news import Latest, News, Wanted
from upriver_control.spans.rows import HopRow
from upriver_control.spans.store import SpanStore

_LOG = logging.getLogger(__name__)
MAX_WATCHERS: Final = 128
PAUSE_S: Final = 0.3
"""Between two messages of questions to one who looks: with the 0.4 s in which agents gather spans and what the way
takes, a question is seen within a second."""
ROUND_S: Final = 0.1
"""Between two reads: the spans of one question come from several agents, and the first must not delay the others."""
LOOK_S: Final = 1.0
"""How often is looked without being woken."""
QUIET_S: Final = 2.0
"""Without questions for so long, who looks is told that there are none."""
MAX_READ: Final = 2000


class _Watcher:
    def __init__(self, wanted: Filter) -> None:
        self.wanted = Wanted(wanted)
        self.round = asyncio.Event()


class Following:
    """Made and used on one event loop. `run` works until it is cancelled."""

    def __init__(self, store: SpanStore, intake: Intake) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._latest = Latest()
        self._watchers: set[_Watcher] = set()
        self._cursor = 0
        self._opened = 0
        self._woken = asyncio.Event()
        self._watched = asyncio.Event()
        self._trouble = ""
        intake.on_questions = self._wake

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks, as far as that is noticed."""
        return self._watched.is_set()

    async def follow(self, wanted: Filter) -> AsyncGenerator[News, None]:
        """What comes from now on: nothing at once, and then news whenever there are some, or that there are none.

        Raises QueueFull when too many look; Unreachable and DiskTrouble when it can't begin. Later, while the store
        can't be read, it tells nothing.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise QueueFull(f"questions are watched {MAX_WATCHERS} times here already; try again later")
        watcher = _Watcher(wanted)
        self._watchers.add(watcher)
        try:
            if not self._watched.is_set():
                newest = await asyncio.to_thread(self._store.newest)
                if not self._watched.is_set():  # else somebody was quicker, and reads are under way
                    self._cursor, self._opened = newest, self._store.database.opened
                    self._watched.set()
            yield News((), 0)
            told = pause_until = self._loop.time()
            while True:
                await watcher.round.wait()
                await asyncio.sleep(pause_until - self._loop.time())
                watcher.round.clear()
                news = watcher.wanted.take()
                if news.questions or news.skipped or self._loop.time() >= told + QUIET_S:
                    yield news
                    told = self._loop.time()
                    pause_until = told + PAUSE_S if news.questions else told
        finally:
            self._watchers.discard(watcher)

    def threshold(self, row: HopRow) -> float | None:
        """What who answered a question that came lately held its answer against, if that is known."""
        return self._latest.threshold(row)

    async def run(self) -> None:
        """Reads while somebody looks, at most every `ROUND_S`."""
        while True:
            await self._watched.wait()
            while self._watchers:
                await self._round()
                await asyncio.sleep(ROUND_S)
                try:
                    await asyncio.wait_for(self._woken.wait(), LOOK_S - ROUND_S)
                except TimeoutError:
                    continue  # others may have committed
            self._watched.clear()
            self._latest = Latest()

    async def _round(self) -> None:
        self._woken.clear()
        try:
            found = await asyncio.to_thread(self._store.fresh, self._cursor, MAX_READ)
            if self._opened != self._store.database.opened:  # another is in its place, and counts from 1 on
                self._cursor, self._opened = 0, self._store.database.opened
                found = await asyncio.to_thread(self._store.fresh, 0, MAX_READ)
        except (Unreachable, DiskTrouble) as error:
            self._tell(str(error))
            return
        self._tell("")
        self._cursor = found.last
        changed = self._latest.add(found.rows)
        for watcher in self._watchers:
            watcher.wanted.offer(changed, found.skipped)
            watcher.round.set()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _LOG.warning("questions can't be followed: %s", trouble)
        elif self._trouble and not trouble:
            _LOG.info("questions are followed again")
        self._trouble = trouble
