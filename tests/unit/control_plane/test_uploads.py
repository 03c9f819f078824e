"""Uploads that are broken off leave nothing, at whatever point."""

import asyncio
from threading import Event

import pytest

from tests.control_plane_registry import open_registry
from upriver.v1 import policy_pb2
from upriver_control.services.question_uploads import QuestionUploads
from upriver_control.store.questions import QuestionTable
from upriver_control.working.threads import whole

HEADER = policy_pb2.CalibrationDataHeader(parent="models/m", digest="sha256:" + "a" * 64, size_bytes=9)


def test_who_is_cancelled_while_a_thread_works_is_so_when_it_has_ended_however_often():
    begun, go_on, seen = Event(), Event(), []

    def work(what):
        begun.set()
        go_on.wait(60)
        seen.append(what)
        raise ValueError("nobody hears of it")

    async def cancelled_twice():
        task = asyncio.create_task(whole(work, "done"))
        await asyncio.to_thread(begun.wait, 60)
        for _ in range(2):
            task.cancel()
            assert await asyncio.wait({task}, timeout=0.05) == (set(), {task})
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return list(seen)

    assert asyncio.run(cancelled_twice()) == ["done"]
    assert asyncio.run(whole(lambda: 5)) == 5


def test_an_upload_that_is_broken_off_while_its_folder_is_made_leaves_none(tmp_path):
    registry = open_registry(tmp_path / "control")
    uploads = QuestionUploads(
        QuestionTable(registry.store), registry.artifacts, tmp_path / "uploads", 99, 9.0, lambda: 1.0
    )
    making, go_on, make = Event(), Event(), uploads._make

    def slowly(folder):
        making.set()
        go_on.wait(60)
        make(folder)

    uploads._make = slowly

    async def requests():
        yield policy_pb2.UploadCalibrationDataRequest(header=HEADER)

    async def broken_off():
        task = asyncio.create_task(uploads.receive(requests()))
        await asyncio.to_thread(making.wait, 60)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(broken_off())
    assert list((tmp_path / "uploads").iterdir()) == []
    registry.database.close()
