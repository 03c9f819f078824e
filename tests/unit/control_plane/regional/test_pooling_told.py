from upriver.v1 import sync_pb2 as pb
from upriver_agent.pooling.pooler import PoolFacts
from upriver_agent.sync.wire import write_pooling
from upriver_control.cli.pooling import pooling_document
from upriver_control.observed import PoolingFacts
from upriver_control.sync_wire import read_pooling
from upriver_control.sync_wire import write_pooling as told_again
from upriver_control.telling.fleet import pooling


def test_how_an_agent_pools_reaches_the_operator() -> None:
    facts = PoolFacts("edge-1", "counted", 2, 3, 700, "")
    status = pb.Status(pooling=write_pooling(facts, 2.25, 1e-6))
    read = read_pooling(status)
    assert read == PoolingFacts("edge-1", "counted", 2, 3, "", 2.25, 1e-6)
    assert told_again(read) == status.pooling
    assert pooling(status.pooling) == (
        "with edge-1, for 3 agents (counted), lessons hidden by noise: epsilon 2.25 at delta 1e-06"
    )
    assert pooling_document(status.pooling)["agents"] == 3


def test_an_agent_that_pools_with_nobody_says_so() -> None:
    assert "with nobody" in pooling(write_pooling(PoolFacts("", "", 0, 1, 0, ""), 0.0, 0.0))
    trouble = write_pooling(PoolFacts("edge-1", "", 0, 1, 0, "edge-1: gone"), 0.0, 0.0)
    assert pooling(trouble) == "with edge-1 (nothing was sent yet); edge-1: gone"
