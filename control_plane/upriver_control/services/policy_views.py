"""Policies as operators see them: who runs them, and whether their certificates still speak of what runs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from upriver.errors import NotFound, NotNow
from upriver.listing import digest as digest_of
from upriver.policies import read_policy
from upriver.v1 import policy_pb2 as pb
from upriver_control.jobs.ladder import Rung
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
        tops = {model: self._top(model) for model in {policy.model for policy in found}}
        names = await asyncio.to_thread(self._names, [policy.document for policy in found])
        return [
            write_stored(
                policy, running[policy.digest], _stale(policy, tops[policy.model], names), names.get(_top(policy), "")
            )
            for policy in found
        ]

    def _top(self, model: str) -> Rung | None:
        try:
            rungs = self.rungs(model)
        except NotNow:  # agents tell different ladders: then nothing can be said
            return None
        return rungs[-1] if rungs else None

    def _names(self, documents: Sequence[str]) -> dict[str, str]:
        """The names of the versions that certificates were made against, by digest, where they are still published."""
        names = {}
        for document in documents:
            certificate = read_policy(document).certificate
            if certificate is None or certificate.top in names:
                continue
            try:
                names[certificate.top] = self.registry.by_digest(certificate.top).name
            except NotFound:
                names[certificate.top] = ""
        return names


def stale(policy: StoredPolicy, top: Rung | None, certified: str = "") -> str:
    """Why a policy's certificate says nothing of what runs now; empty when it does, or nothing is known.

    `certified` is the name of the version that it was made against.
    """
    digest = _top(policy)
    if not digest or top is None or top.pair.version_digest == digest:
        return ""
    runs = top.pair.version.rpartition("/")[2] or top.pair.version_digest[:19]
    return f"{top.tier} runs {runs}; it was certified against {certified.rpartition('/')[2] or digest[:19]}"


def _stale(policy: StoredPolicy, top: Rung | None, names: Mapping[str, str]) -> str:
    return stale(policy, top, names.get(_top(policy), ""))


def _top(policy: StoredPolicy) -> str:
    certificate = read_policy(policy.document).certificate
    return "" if certificate is None else certificate.top


@lru_cache(maxsize=4096)
def _digest(document: str) -> str:
    return digest_of(document.encode()) if document else ""
