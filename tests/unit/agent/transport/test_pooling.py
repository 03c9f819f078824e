"""PoolService of an agent, without a network."""

from contextlib import nullcontext

import pytest

from tests.unit.agent.pooling.test_pooler import Own, World
from upriver_agent.transport.pooling import PoolServicer


class Refused(Exception):
    """A call was ended."""


class Call:
    """A call without a deadline, as a servicer sees it."""

    def time_remaining(self):
        return 1e18

    def set_trailing_metadata(self, metadata):
        pass

    def abort(self, code, message):
        raise Refused(message)


def test_a_caller_that_could_stay_for_ever_gets_no_place():
    servicer = PoolServicer("edge", World().add("edge", "edge", Own()), trusts_network=True, blocking=nullcontext)
    with pytest.raises(Refused, match="a deadline of 30 s"):
        servicer.submit_pool(iter(()), Call())
