"""PoolService of an agent, without a network."""

from contextlib import nullcontext
from unittest.mock import Mock

import pytest

from upriver_agent.transport.pooling import PoolServicer


def test_a_caller_that_could_stay_for_ever_gets_no_place():
    servicer = PoolServicer("edge", Mock(), trusts_network=True, blocking=nullcontext)
    context = Mock(time_remaining=lambda: 1e9, abort=Mock(side_effect=TimeoutError("refused")))
    with pytest.raises(TimeoutError):
        servicer.submit_pool(iter(()), context)
    assert "a deadline of 30 s" in context.abort.call_args.args[1]
