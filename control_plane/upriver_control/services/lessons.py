"""LessonIntakeService of the control plane: agents bring lessons, each of which is kept once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from upriver.errors import InvalidInput, QueueFull
from upriver.v1 import train_pb2 as pb
from upriver_control.lessons.keeper import Keeper, Submission
from upriver_control.services.refusals import Context, refusing
from upriver_control.working.threads import whole

MOST: Final = 1000
MOST_BYTES: Final = 16 << 20
AT_ONCE: Final = 4
RECEIVING: Final = 32
"""Each takes `MOST_BYTES` of memory at most."""
WAITING: Final = 256
IDLE_S: Final = 10.0
WHOLE_S: Final = 60.0
"""Agents wait as long for what is said of it."""


class LessonIntakeServicer:
    """Serves agents; some submissions are kept at once, more of them received, the others wait for their turn."""

    def __init__(self, keeper: Keeper, whole_s: float = WHOLE_S) -> None:
        """A submission must have come within `whole_s`."""
        self._keeper = keeper
        self._whole_s = whole_s
        self._receiving = asyncio.Semaphore(RECEIVING)
        self._keeping = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @refusing
    async def submit_lessons(
        self, requests: AsyncIterator[pb.SubmitLessonsRequest], _: Context
    ) -> pb.SubmitLessonsResponse:
        """Keeps lessons and forgets others; of one submission as much as one file should have."""
        if self._waiting >= WAITING:
            raise QueueFull(f"{WAITING} agents hand lessons up here already; try again later")
        self._waiting += 1
        try:
            async with self._receiving:
                lessons, forgotten, strange = await self._received(requests)
                async with self._keeping:
                    done = await whole(self._keeper.submit, lessons, forgotten)
        finally:
            self._waiting -= 1
        return _written(done, strange)

    async def _received(
        self, requests: AsyncIterator[pb.SubmitLessonsRequest]
    ) -> tuple[list[pb.HandedLesson], list[str], int]:
        try:
            async with asyncio.timeout(self._whole_s):
                return await _received(requests)
        except TimeoutError as error:
            raise InvalidInput(f"it did not come within {self._whole_s:g} s; submit less at once") from error


async def _received(
    requests: AsyncIterator[pb.SubmitLessonsRequest],
) -> tuple[list[pb.HandedLesson], list[str], int]:
    lessons: list[pb.HandedLesson] = []
    forgotten: list[str] = []
    strange, size, count = 0, 0, 0
    while (request := await _next(requests)) is not None:
        part = request.WhichOneof("part")
        if part == "lesson":
            lessons.append(request.lesson)
        elif part == "forgotten":
            forgotten.append(request.forgotten.id)
        else:
            strange += 1
        size += request.ByteSize()
        count += 1
        if count >= MOST or size >= MOST_BYTES:
            break
    return lessons, forgotten, strange


async def _next(requests: AsyncIterator[pb.SubmitLessonsRequest]) -> pb.SubmitLessonsRequest | None:
    try:
        return await asyncio.wait_for(anext(requests), IDLE_S)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise InvalidInput(f"nothing came for {IDLE_S:g} s; submit again") from error


def _written(done: Submission, strange: int) -> pb.SubmitLessonsResponse:
    refused = [pb.RefusedLesson(id=id_, reason=reason) for id_, reason in done.refused.items()]
    if strange:
        refused.append(pb.RefusedLesson(reason=f"{strange} parts were neither a lesson nor a forgotten one"))
    return pb.SubmitLessonsResponse(kept=done.kept, refused=refused)
