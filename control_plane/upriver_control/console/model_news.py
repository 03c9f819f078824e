"""What is known of a model's versions: themselves, trainings that made them, and how many agents answer with each."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.v1 import audit_pb2, fleet_pb2, mesh_pb2, registry_pb2, train_pb2
from upriver_control.console.drawing.comparison import RANGES, Choice, Counted
from upriver_control.console.remote import Remote

AGENTS: Final = 500
"""So many agents are looked at, at most."""
_VERSIONS: Final = 100
_LINES: Final = 8
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Versions:
    """A model's newest versions, newest first; trainings and agents by a version's name, and the agents' regions."""

    versions: Sequence[registry_pb2.Version]
    trainings: Mapping[str, train_pb2.Training]
    agents: Mapping[str, int]
    before: Mapping[str, str]
    """What agents that run a version, or are to, ran or run before it: versions by their names."""
    regions: frozenset[str]
    looked_at: int
    """How many agents were looked at ..."""
    fleet: int
    """... of so many."""


class ModelNews:
    """Asks for one model; what can't change is asked for once."""

    def __init__(self, remote: Remote, model: str) -> None:
        """Asks nothing yet."""
        self._remote, self._model = remote, model
        self._known: frozenset[str] = frozenset()
        self._trainings: dict[str, train_pb2.Training] = {}

    async def versions(self) -> Versions:
        """The versions as they are now; raises UpriverError, NotFound where there is no such model."""
        name = f"models/{self._model}"
        asked, agents, _ = await asyncio.gather(
            self._remote.registry.ListVersions(registry_pb2.ListVersionsRequest(parent=name, page_size=_VERSIONS)),
            self._remote.fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=AGENTS)),
            self._remote.registry.GetModel(registry_pb2.GetModelRequest(name=name)),
        )
        await self._learn(asked.versions)
        slots = [slot for agent in agents.agents for slot in agent.slots if slot.model == self._model]
        runs = Counter(slot.reported.active.version for slot in slots if slot.reported.HasField("active"))
        before = dict(pair for slot in slots if (pair := _before(slot)) is not None)
        regions = frozenset(agent.region for agent in agents.agents)
        return Versions(asked.versions, self._trainings, runs, before, regions, len(agents.agents), agents.total_size)

    async def counted(self, choice: Choice) -> Counted:
        """What was counted of a model over the range of a choice, until now; raises UpriverError."""
        length = RANGES[choice.span][1]
        end = (int(time.time()) // _MINUTE + 1) * _MINUTE
        request = mesh_pb2.ListRatesRequest(
            model=self._model,
            region=choice.region,
            from_time=Timestamp(seconds=end - length),
            until_time=Timestamp(seconds=end),
        )
        whole = mesh_pb2.ListRatesRequest(step=Duration(seconds=length))
        whole.MergeFrom(request)
        told, steps, audits = await asyncio.gather(
            self._remote.mesh.ListRates(whole),
            self._remote.mesh.ListRates(request),
            self._remote.audits.SummarizeAudits(audit_pb2.SummarizeAuditsRequest(parent=f"models/{self._model}")),
        )
        return Counted(told.rates, steps.rates, audits.summaries, float(end - length), float(end))

    async def _learn(self, versions: Sequence[registry_pb2.Version]) -> None:
        """Asks which trainings made versions, once for each set of versions; a line of them is told as a whole."""
        names = frozenset(one.name for one in versions)
        if names == self._known:
            return
        parents = {one.lineage.parent for one in versions}
        ends = [one.name for one in versions if one.name not in parents][:_LINES]
        asked = [self._remote.train.GetLineage(train_pb2.GetLineageRequest(name=name)) for name in ends]
        for line in await asyncio.gather(*asked):
            for one in line.ancestors:
                if one.HasField("training"):
                    self._trainings[one.version] = one.training
        self._known = names


def _before(slot: fleet_pb2.AgentSlot) -> tuple[str, str] | None:
    active, desired, previous = slot.reported.active.version, slot.desired.version, slot.reported.previous.version
    if active and desired and desired != active:
        return desired, active
    return (active, previous) if active and previous and previous != active else None
