"""Policies as operators see them: who runs them, and whether their certificates still speak of what runs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from upriver.errors import NotFound, NotNow
from upriver.listing import digest as digest_of
from upriver.v1 import policy_pb2 as pb
from upriver_control.jobs.ladder import Rung
from upriver_control.jobs.staleness import stale, top_of
from upriver_control.observed import AgentFacts
from upriver_control.policy_wire import write_stored
from upriver_control.store.policies import StoredPolicy
from upriver_control.store.registry import RegistryStore


@dataclass(frozen=True, slots=True)
class PolicyViews:
    """Writes policies. `rungs` gives a model's ladder as it runs, `agents` all agents; both on the event loop."""

    registry: RegistryStore
    rungs: Callable[[str], tuple[Rung, ...]]
    agents: Callable[[], Mapping[str, AgentFacts]]

    async def written(self, found: Sequence[StoredPolicy]) -> list[pb.Policy]:
        """The policies as messages."""
        running = Counter(
            digest
            for facts in self.agents().values()
            for slot in facts.slots.values()
            if slot.active is not None and (digest := _digest(slot.active.policy_document))
        )
        ladders = {model: self._ladder(model) for model in {policy.model for policy in found}}
        names = await asyncio.to_thread(self._names, {top_of(policy.document) for policy in found} - {""})
        certified = [names.get(top_of(policy.document), "") for policy in found]
        return [
            write_stored(policy, running[policy.digest], stale(policy.document, ladders[policy.model], name), name)
            for policy, name in zip(found, certified, strict=True)
        ]

    def stale(self, model: str, document: str) -> str:
        """Why a policy's certificate says nothing of what runs now; empty when it does, or nothing is known."""
        return stale(document, self._ladder(model)) if top_of(document) else ""

    def _ladder(self, model: str) -> tuple[Rung, ...]:
        try:
            return self.rungs(model)
        except NotNow:  # agents tell different ladders: then nothing can be said
            return ()

    def _names(self, digests: Iterable[str]) -> dict[str, str]:
        """The names of versions by digest, those that are still published."""
        names = {}
        for digest in digests:
            try:
                names[digest] = self.registry.by_digest(digest).name
            except NotFound:
                continue
        return names


@lru_cache(maxsize=4096)
def _digest(document: str) -> str:
    return digest_of(document.encode()) if document else ""
