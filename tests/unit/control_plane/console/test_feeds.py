"""Feeds: one source while somebody looks, whatever the number of those who do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from upriver.errors import Unreachable
from upriver_control.console.feeds import Feed

WAIT_S = 30


class Source:
    """News by hand; counts how often it was opened, and how often it is open."""

    def __init__(self) -> None:
        self.opened = self.open = 0
        self.queue: asyncio.Queue[int | Exception] = asyncio.Queue()

    async def __call__(self) -> AsyncIterator[int]:
        self.opened += 1
        self.open += 1
        try:
            while True:
                news = await self.queue.get()
                if isinstance(news, Exception):
                    raise news
                yield news
        finally:
            self.open -= 1


async def next_of(news: AsyncIterator[int]) -> int:
    return await asyncio.wait_for(anext(news), WAIT_S)


def test_two_who_look_have_one_source_and_the_second_has_the_last_news_at_once() -> None:
    async def look() -> None:
        source = Source()
        feed = Feed(source, pace_s=0)
        first, second = feed.follow(), feed.follow()
        source.queue.put_nowait(1)
        assert await next_of(first) == 1
        assert await next_of(second) == 1
        assert source.opened == 1
        await first.aclose()
        await second.aclose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert source.open == 0

    asyncio.run(look())


def test_who_is_slow_gets_what_came_meanwhile_as_one() -> None:
    async def look() -> None:
        source = Source()
        feed = Feed(source, merge=lambda old, new: old + new, pace_s=0.05)
        news = feed.follow()
        source.queue.put_nowait(1)
        assert await next_of(news) == 1
        for number in (2, 3, 4):
            source.queue.put_nowait(number)
        assert await next_of(news) == 9

    asyncio.run(look())


def test_a_source_that_fails_is_opened_again_and_says_why_meanwhile() -> None:
    async def look() -> None:
        now = [100.0]
        source = Source()
        feed = Feed(source, clock=lambda: now[0], pace_s=0)
        news = feed.follow()
        source.queue.put_nowait(Unreachable("gone"))
        waiting = asyncio.ensure_future(anext(news))
        await asyncio.wait_for(feed.failed.wait(), WAIT_S)
        assert (feed.trouble, feed.at, feed.stale(102), feed.stale(104)) == ("gone", 100.0, False, True)
        source.queue.put_nowait(5)
        assert await asyncio.wait_for(waiting, WAIT_S) == 5
        assert (feed.trouble, source.opened, feed.stale(1e9)) == ("", 2, False)

    asyncio.run(look())


def test_a_fault_that_nobody_foresaw_reaches_those_who_look() -> None:
    async def look() -> None:
        source = Source()
        feed = Feed(source, pace_s=0)
        source.queue.put_nowait(KeyError("a bug"))
        with pytest.raises(KeyError):
            await next_of(feed.follow())

    asyncio.run(look())


def test_who_joins_as_the_last_one_leaves_gets_news_though_the_old_source_ends_late() -> None:
    async def source() -> AsyncIterator[int]:
        while True:
            await asyncio.gather(asyncio.sleep(0.01))  # takes some turns of the loop to be cancelled
            yield 1

    async def look() -> None:
        feed = Feed(source, pace_s=0)
        leaves = asyncio.ensure_future(anext(feed.follow()))
        await asyncio.sleep(0)
        leaves.cancel()
        assert await next_of(feed.follow()) == 1

    asyncio.run(look())
