"""Asks many agents the same at once, within a time; who could not be reached is let alone for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from upriver.errors import NotSupported, Unreachable, UpriverError

T = TypeVar("T")
AWAY_S: Final = 30.0
LONGEST_AWAY_S: Final = 600.0
MAX_AWAY: Final = 4096


class Replies(NamedTuple, Generic[T]):
    """What agents answered, and why others did not; one that does not know what it was asked is in neither."""

    answers: dict[str, T]
    problems: dict[str, str]


class _Away(NamedTuple):
    """An agent that could not be called, since which stream of its, how long it is let alone, until when, and why."""

    connected_since: float
    for_s: float
    until: float
    why: str


class Rounds:
    """Remembers who could not be called: behind address translation every try takes its time, and there may be many.

    Each time in vain an agent is let alone for twice as long, until it connects anew.
    """

    def __init__(self, all_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """A round takes `all_s` at most."""
        self._all_s = all_s
        self._clock = clock
        self._away: dict[str, _Away] = {}

    async def ask(self, agents: Mapping[str, float], call: Callable[[str], Awaitable[T]]) -> Replies[T]:
        """Asks agents, each by `call` with its name; with each comes since when it is connected.

        An error that is none of ours is raised.
        """
        replies: Replies[T] = Replies({}, {})
        tasks: dict[str, asyncio.Task[T]] = {}
        for agent, since in agents.items():
            away = self._away.get(agent)
            if away is not None and away.connected_since == since and away.until > self._clock():
                replies.problems[agent] = away.why
            else:
                tasks[agent] = asyncio.create_task(_run(call, agent))
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=self._all_s)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        for agent, task in tasks.items():
            self._take(agent, agents[agent], task, replies)
        return replies

    def _take(self, agent: str, since: float, task: "asyncio.Task[T]", replies: Replies[T]) -> None:
        before = self._away.pop(agent, None)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            replies.answers[agent] = task.result()
        elif isinstance(error, NotSupported):
            return
        elif error is None or isinstance(error, UpriverError):
            why = str(error) if error is not None else f"there was no answer within {self._all_s:g} s"
            replies.problems[agent] = why
            if isinstance(error, Unreachable):  # and not one that is only slow
                while len(self._away) >= MAX_AWAY:
                    del self._away[next(iter(self._away))]
                for_s = AWAY_S
                if before is not None and before.connected_since == since:
                    for_s = min(LONGEST_AWAY_S, 2 * before.for_s)
                self._away[agent] = _Away(since, for_s, self._clock() + for_s, why)
        else:
            raise error


async def _run(call: Callable[[str], Awaitable[T]], agent: str) -> T:
    return await call(agent)
