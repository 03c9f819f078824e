"""What operators are told of regions and their heads."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.control_plane.regional.test_region_heads import DEVICE, HEAD, TRIAL
from tests.unit.control_plane.regional.test_standing import VERSION, agent
from upriver.head_statistics import nothing
from upriver.policies import PolicyDocument, write_policy
from upriver.pool import Submission
from upriver.pool_sums import part_of
from upriver.scores import ScoreKind
from upriver.v1 import region_pb2 as pb
from upriver_control.observed import AgentFacts, Pair
from upriver_control.regional.model import TrialState
from upriver_control.services.regions import RegionServicer
from upriver_control.store.database import open_database
from upriver_control.store.pools import PoolTable
from upriver_control.store.trials import TrialTable

CONTEXT: Any = None


@pytest.fixture
def kept(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    yield PoolTable(database, 0.0), TrialTable(database)
    database.close()


def test_the_head_of_a_region_is_the_one_that_runs_there_whoever_rolled_it_out(kept) -> None:
    pools, trials = kept
    sums = nothing(3, ("a",))
    pools.submit(Submission("a", {"a": 1}, (part_of("m", VERSION, "north", sums),), "a"), 1.0)
    trials.add(replace(TRIAL, state=TrialState.PASSED, made="models/m/policies/new"))  # nobody has noted a rollout
    bare = PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.5, head=HEAD)
    agents = {"a": agent("a", "device", "north", DEVICE)}

    def told() -> list[tuple[str, str]]:
        servicer = RegionServicer(pools, trials, lambda: agents)
        found = asyncio.run(servicer.list_regions(pb.ListRegionsRequest(), CONTEXT))
        return [(one.head_digest, one.scope) for one in found.regions]

    assert told() == [("", "")]
    running: AgentFacts = agent("a", "device", "north", Pair(DEVICE.version, VERSION, write_policy(bare)))
    agents["a"] = running
    assert told() == [(HEAD, "region")]
    strange = write_policy(replace(bare, head="sha256:" + "e" * 64))
    agents["a"] = agent("a", "device", "north", Pair(DEVICE.version, VERSION, strange))
    assert told() == [("sha256:" + "e" * 64, "")]
