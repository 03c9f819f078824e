"""A model's rollouts as they go: listed every second, and each that is under way watched in between."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from upriver.errors import UpriverError
from upriver.v1 import rollout_pb2 as pb
from upriver_control.console.remote import Calls
from upriver_control.telling.rollouts import ENDED, state_name

PAGE: Final = 50
_EVERY_S: Final = 1.0
_WATCHED: Final = 8


async def follow(calls: Calls, model: str) -> AsyncIterator[tuple[pb.Rollout, ...]]:
    """A model's newest rollouts, newest first: now, and again at every change. Raises UpriverError."""
    watches: dict[str, asyncio.Task[None]] = {}
    changes: asyncio.Queue[pb.Rollout] = asyncio.Queue()
    request = pb.ListRolloutsRequest(model=f"models/{model}", page_size=PAGE)
    try:
        while True:
            known = {one.name: one for one in (await calls.ListRollouts(request)).rollouts}
            yield tuple(known.values())
            _watch(calls, known, watches, changes)
            until = asyncio.get_running_loop().time() + _EVERY_S
            while (changed := await _next(changes, until)) is not None:
                if changed.name in known and changed.revision > known[changed.name].revision:
                    known[changed.name] = changed
                    yield tuple(known.values())
    finally:
        for watch in watches.values():
            watch.cancel()


def _watch(
    calls: Calls,
    known: dict[str, pb.Rollout],
    watches: dict[str, asyncio.Task[None]],
    changes: asyncio.Queue[pb.Rollout],
) -> None:
    """Begins to watch what is under way and is not watched yet."""
    for name in [name for name, watch in watches.items() if watch.done()]:
        del watches[name]
    for name, rollout in known.items():
        if name not in watches and state_name(rollout) not in ENDED and len(watches) < _WATCHED:
            watches[name] = asyncio.create_task(_tell(calls, name, changes), name="a rollout is watched")


async def _tell(calls: Calls, name: str, changes: asyncio.Queue[pb.Rollout]) -> None:
    try:
        async for answer in calls.WatchRollout(pb.WatchRolloutRequest(name=name)):
            changes.put_nowait(answer.rollout)
    except UpriverError:
        return  # the list tells the same within a second, or says why nothing can be told


async def _next(changes: asyncio.Queue[pb.Rollout], until: float) -> pb.Rollout | None:
    try:
        async with asyncio.timeout_at(until):
            return await changes.get()
    except TimeoutError:
        return None
