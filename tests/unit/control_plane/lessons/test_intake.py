"""How the control plane takes submissions in: those that come slowly are in nobody's way, and end."""

import asyncio
from types import SimpleNamespace

import pytest

from tests.handed_lessons import lesson
from upriver.errors import InvalidInput
from upriver.v1 import train_pb2 as pb
from upriver_control.lessons.keeper import Submission
from upriver_control.services.lessons import AT_ONCE, RECEIVING, LessonIntakeServicer

KEEPER = SimpleNamespace(submit=lambda lessons, forgotten: Submission(kept=[*(one.id for one in lessons), *forgotten]))
SLOW = object()


async def sent(*names):
    """A submission; one that is slow never goes on."""
    for name in names:
        if name is SLOW:
            await asyncio.Event().wait()
        yield pb.SubmitLessonsRequest(lesson=lesson(name))


async def submit(servicer, *names):
    """What the method gives or raises, without the status that it becomes."""
    return await LessonIntakeServicer.submit_lessons.__wrapped__(servicer, sent(*names), None)


def test_agents_whose_link_is_slow_keep_nobody_else_from_handing_up():
    async def go():
        servicer = LessonIntakeServicer(KEEPER)
        slow = [asyncio.create_task(submit(servicer, "a", SLOW)) for _ in range(RECEIVING - 1)]
        await asyncio.sleep(0)
        assert len(slow) > AT_ONCE
        assert list((await submit(servicer, "b", "c")).kept) == ["b", "c"]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(asyncio.wait_for(go(), 60))


def test_a_submission_that_takes_too_long_ends_and_makes_room():
    async def go():
        servicer = LessonIntakeServicer(KEEPER, whole_s=0.05)
        slow = [asyncio.create_task(submit(servicer, "a", SLOW)) for _ in range(RECEIVING)]
        await asyncio.sleep(0)
        with pytest.raises(InvalidInput, match=r"did not come within 0.05 s"):
            await submit(servicer, SLOW)
        for task in slow:
            with pytest.raises(InvalidInput):
                await task
        assert list((await submit(LessonIntakeServicer(KEEPER), "b")).kept) == ["b"]

    asyncio.run(asyncio.wait_for(go(), 60))
