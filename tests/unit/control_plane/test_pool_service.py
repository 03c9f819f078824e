"""PoolService of the control plane, on an event loop of the test's own."""

import asyncio
import threading
from unittest.mock import AsyncMock, Mock

import numpy as np
import pytest

from upriver.pool import Pool, Submission
from upriver.pool_sums import part_of
from upriver.pool_wire import TIMEOUT_S, write_submission
from upriver.v1 import pool_pb2 as pb
from upriver_control.services import pool as pool_module
from upriver_control.services.pool import PoolServicer

VERSION, TRIAL = (f"sha256:{digit * 64}" for digit in "ab")
SUBMISSION = Submission("edge", {"edge": 1}, (part_of("m", VERSION, "north", np.ones(3), TRIAL),))


class Table:
    """What is pooled, in memory."""

    def __init__(self):
        self.pool = Pool()

    def submit(self, submission, now):
        return self.pool.offer(submission, now)


def calling(left_s):
    return Mock(time_remaining=lambda: left_s, abort=AsyncMock(side_effect=TimeoutError("refused")))


async def sent(messages):
    for message in messages:
        yield message


def test_sums_are_read_and_kept_off_the_event_loop(monkeypatch):
    threads = []

    class Assembly(pool_module.Assembly):
        def take(self, message):
            threads.append(threading.current_thread())
            super().take(message)

        def whole(self):
            threads.append(threading.current_thread())
            return super().whole()

    monkeypatch.setattr(pool_module, "Assembly", Assembly)
    table = Table()
    servicer = PoolServicer(table, lambda: 0.0)
    answer = asyncio.run(servicer.submit_pool(sent(write_submission(SUBMISSION)), calling(TIMEOUT_S)))
    assert answer.standing == pb.POOL_STANDING_COUNTED
    assert table.pool.roster() == {"edge": 1}
    assert len(threads) > 1
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("left_s", [None, 1e9])
def test_a_caller_that_could_stay_for_ever_gets_no_place(left_s):
    context = calling(left_s)
    with pytest.raises(TimeoutError):
        asyncio.run(PoolServicer(Table()).submit_pool(sent(()), context))
    assert "a deadline of 30 s" in context.abort.await_args.args[1]
