"""What looks at the mesh goes on, or begins anew, whatever befalls it."""

import asyncio
import logging

from upriver_control.watching import kept_up


def test_what_fails_is_told_and_begins_anew(caplog):
    async def run():
        begun, third = [], asyncio.Event()

        async def work():
            begun.append(len(begun))
            if len(begun) < 3:
                raise OverflowError("too large")
            third.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(kept_up("spans are swept", work, pause_s=0.0))
        await asyncio.wait_for(third.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(run())
    assert [record.message for record in caplog.records] == ["spans are swept no more; that begins anew in 0 s"] * 2
