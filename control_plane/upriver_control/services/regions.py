"""RegionService: operators look at what is pooled and at the heads that came of it."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.pool_sums import PoolLine
from upriver.v1 import region_pb2 as pb
from upriver_control.observed import AgentFacts
from upriver_control.regional.model import RegionTrial, Scope
from upriver_control.regional.standing import standing
from upriver_control.services.refusals import Context, refusing
from upriver_control.store.pools import PoolTable
from upriver_control.store.trials import TrialTable

MAX_HEADS: Final = 1000


class RegionServicer:
    """Serves operators."""

    def __init__(self, pools: PoolTable, trials: TrialTable, agents: Callable[[], Mapping[str, AgentFacts]]) -> None:
        """`agents` gives all agents."""
        self._pools = pools
        self._trials = trials
        self._agents = agents

    @refusing
    async def list_regions(self, request: pb.ListRegionsRequest, context: Context) -> pb.ListRegionsResponse:
        """What is pooled, and the heads that run."""
        model, agents = _model(request.model), list(self._agents().values())
        return pb.ListRegionsResponse(regions=await asyncio.to_thread(self._regions, model, agents))

    @refusing
    async def list_region_heads(
        self, request: pb.ListRegionHeadsRequest, context: Context
    ) -> pb.ListRegionHeadsResponse:
        """Heads that are, or were, tried."""
        model, region = _model(request.model), request.region or None
        found = await asyncio.to_thread(self._trials.all, model, region)
        return pb.ListRegionHeadsResponse(heads=map(_head, found[:MAX_HEADS]))

    def _regions(self, model: str, agents: Sequence[AgentFacts]) -> list[pb.RegionSummary]:
        running = standing(agents, {})  # of all agents, with their policies read: nothing for the event loop
        heads = {(one.model, one.pair.version_digest, one.region): one.policy.head for one in running}
        scopes = {(one.region, one.trial.head): one.scope for one in self._trials.all(model)}
        lines = [one for one in self._pools.lines() if not one.key.trial and model in ("", one.key.model)]
        return [self._region(line, heads, scopes) for line in lines]

    def _region(
        self,
        line: PoolLine,
        heads: Mapping[tuple[str, str, str], str],
        scopes: Mapping[tuple[str, str], Scope],
    ) -> pb.RegionSummary:
        key = line.key
        of = (key.model, key.version_digest, key.region)
        head = heads.get(of, "")
        return pb.RegionSummary(
            model=f"models/{key.model}",
            version_digest=key.version_digest,
            region=key.region,
            agents=line.agents,
            lessons=line.amount,
            forgotten=line.forgotten,
            embedding=key.width,
            attempts=self._trials.attempts(*of),
            head_digest=head,
            scope=scopes.get((key.region, head), ""),
        )


def _model(name: str) -> str:
    if name and not name.startswith("models/"):
        raise InvalidInput(f"model is {name[:80]!r}; expected models/MODEL, or nothing")
    return name.removeprefix("models/")


def _head(trial: RegionTrial) -> pb.RegionHead:
    head = pb.RegionHead(
        model=f"models/{trial.trial.model}",
        version=trial.version,
        region=trial.region,
        scope=trial.scope,
        head_digest=trial.trial.head,
        state=trial.state,
        reason=trial.why,
        lessons=trial.lessons,
        agents=trial.agents,
        create_time=Timestamp(seconds=math.floor(trial.created)),
        head_size_bytes=trial.head_bytes,
        delta_size_bytes=trial.delta_bytes,
        epsilon=trial.promise.epsilon,
        counted_by=trial.counted_by,
        policy=trial.made,
        rollouts=trial.rollouts,
    )
    verdict = trial.verdict
    if verdict is not None:
        head.attempt, head.delta, head.questions = verdict.attempt, verdict.delta, verdict.questions
        head.losses, head.coverage = verdict.losses, verdict.coverage
        head.gained, head.given_up = verdict.gained, verdict.given_up
    return head
