"""News that several pages show: fetched once while somebody looks, and given to each of them at their pace."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from upriver.errors import UpriverError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
PACE_S: Final = 0.5
STALE_S: Final = 3.0
_AGAIN_S: Final = (0.5, 5.0)


class Feed(Generic[T]):
    """News of one kind. Used on the event loop only.

    `source` is called whenever somebody begins to look, and again after it ended or failed with an UpriverError.
    """

    def __init__(
        self,
        source: Callable[[], AsyncIterator[T]],
        merge: Callable[[T, T], T] = lambda _, new: new,
        clock: Callable[[], float] = time.time,
        pace_s: float = PACE_S,
    ) -> None:
        """`merge` makes one of two that a follower has not seen yet; by itself, the newer stands for both."""
        self._source, self._merge, self._clock, self._pace_s = source, merge, clock, pace_s
        self._followers: set[_Follower[T]] = set()
        self._latest: list[T] = []
        self._task: asyncio.Task[None] | None = None
        self.at = 0.0
        """When it was last known to be well, in seconds since 1970."""
        self.trouble = ""
        """Why no news come; empty while they may."""
        self.failed = asyncio.Event()
        """Set while it is in trouble."""

    @property
    def followed(self) -> bool:
        """Whether anybody follows it now."""
        return bool(self._followers)

    def stale(self, now: float) -> bool:
        """Whether what is shown may be old: it is in trouble, and for longer than `STALE_S`."""
        return bool(self.trouble) and now - self.at > STALE_S

    async def follow(self) -> AsyncIterator[T]:
        """News as they come, at most one in `pace_s`; the last ones that others got, at once.

        Raises what `source` raised, if that is no UpriverError.
        """
        follower: _Follower[T] = _Follower()
        for news in self._latest:
            follower.put(news, self._merge)
        self._followers.add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="the console follows news")
        try:
            while True:
                await follower.came.wait()
                if self._task.done():
                    self._task.result()
                yield follower.take()
                await asyncio.sleep(self._pace_s)
        finally:
            self._followers.discard(follower)
            if not self._followers:
                self._task.cancel()
                self._task, self._latest = None, []

    async def _run(self) -> None:
        wait_s = _AGAIN_S[0]
        try:
            while True:
                try:
                    async for news in self._source():
                        self._well()
                        wait_s = _AGAIN_S[0]
                        self._latest = [news]
                        for follower in self._followers:
                            follower.put(news, self._merge)
                    self._well()
                except UpriverError as error:
                    if not self.trouble:
                        _LOG.warning("the console has no news: %s", error)
                        self.at = self._clock()
                    self.trouble = str(error)
                    self.failed.set()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _AGAIN_S[1])
        finally:
            if self._task is asyncio.current_task():  # else these followers wait for another's news
                for follower in self._followers:
                    follower.came.set()

    def _well(self) -> None:
        self.at, self.trouble = self._clock(), ""
        self.failed.clear()


class _Follower(Generic[T]):
    """What one follower has not seen yet."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self._waiting: list[T] = []

    def put(self, news: T, merge: Callable[[T, T], T]) -> None:
        self._waiting = [merge(self._waiting[0], news) if self._waiting else news]
        self.came.set()

    def take(self) -> T:
        self.came.clear()
        return self._waiting.pop()


async def polled(fetch: Callable[[], Awaitable[T]], every_s: float) -> AsyncIterator[T]:
    """A source that asks again and again."""
    while True:
        yield await fetch()
        await asyncio.sleep(every_s)
