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
WAITING: Final = 256
IDLE_S: Final = 10.0


class LessonIntakeServicer:
    """Serves agents; some submissions at once, the others wait for their turn."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._places = asyncio.Semaphore(AT_ONCE)
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
            async with self._places:
                lessons, forgotten, strange = await _received(requests)
                done = await whole(self._keeper.submit, lessons, forgotten)
        finally:
            self._waiting -= 1
        return _written(done, strange)


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
