"""Questions are read for who looks, and not at all while nobody does: by a clock that goes on when all wait for it."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

from upriver_control.spans.filters import Filter
from upriver_control.spans.following import LOOK_S, QUIET_S, Following
from upriver_control.spans.intake import Intake
from upriver_control.spans.looking import Fresh
from upriver_control.spans.store import SpanStore


class Hurry(selectors.DefaultSelector):
    """Waits for nothing: what an event loop would wait for is added to its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everything waits for something that does not come"
        self.now += max(0.0, timeout)
        return super().select(0)


class Here(ThreadPoolExecutor):
    """Does at once what it is asked for, so that the clock does not go on meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*arguments, **named))
        return done


class Store:
    """Nothing comes to it; it notes when it is looked at."""

    database = SimpleNamespace(opened=1, is_sqlite=True)

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.looked: list[float] = []

    def newest(self) -> int:
        return 0

    def fresh(self, after: int, most: int) -> Fresh:
        self.looked.append(self._clock())
        return Fresh((), after, 0)


def hurried(work: Coroutine[Any, Any, None]) -> None:
    """Runs something on a loop whose clock goes on by itself."""
    selector = Hurry()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]  # its clock is to be this one
    loop.set_default_executor(Here())
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def test_questions_are_looked_for_while_somebody_looks_and_never_when_nobody_does() -> None:
    async def look() -> None:
        loop = asyncio.get_running_loop()
        store, intake = Store(loop.time), SimpleNamespace(on_questions=None)
        following = Following(cast("SpanStore", store), cast("Intake", intake))
        running = asyncio.create_task(following.run())

        async def some_come() -> None:
            intake.on_questions()
            await asyncio.sleep(60)

        await some_come()
        assert store.looked == [], "before anybody looked"
        watch = following.follow(Filter())
        for _ in range(4):
            assert await anext(watch) == ((), 0)
        assert loop.time() >= 60 + 3 * QUIET_S
        assert len(store.looked) >= 3 * QUIET_S / LOOK_S
        await watch.aclose()
        await asyncio.sleep(2 * LOOK_S)
        assert not following.is_watched
        store.looked.clear()
        await some_come()
        assert store.looked == [], "after the last one has gone"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    hurried(look())
