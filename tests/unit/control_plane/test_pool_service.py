"""PoolService of the control plane, on an event loop of the test's own."""

import asyncio
import threading

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


class Refused(Exception):
    """A call was ended."""


class Call:
    """A call with so long to its deadline, as a servicer sees it."""

    def __init__(self, left_s):
        self.left_s = left_s

    def time_remaining(self):
        return self.left_s

    def set_trailing_metadata(self, metadata):
        pass

    async def abort(self, code, message):
        raise Refused(message)


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
    answer = asyncio.run(servicer.submit_pool(sent(write_submission(SUBMISSION)), Call(TIMEOUT_S)))
    assert answer.standing == pb.POOL_STANDING_COUNTED
    assert table.pool.roster() == {"edge": 1}
    assert len(threads) > 1
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("left_s", [None, 1e9])
def test_a_caller_that_could_stay_for_ever_gets_no_place(left_s):
    with pytest.raises(Refused, match="a deadline of 30 s"):
        asyncio.run(PoolServicer(Table()).submit_pool(sent(()), Call(left_s)))
