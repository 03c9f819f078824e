"""What rollouts need of the registry: the version that a name or alias stands for, and signed policies."""

import asyncio
from typing import Protocol

from upriver_control.services.rollouts import NamedPolicy, PublishedVersion
from upriver_control.store.policies import PolicyTable
from upriver_control.store.records import read_version_name
from upriver_control.store.registry import RegistryStore


class PolicySigner(Protocol):
    """Signs policies, for agents to believe."""

    def publish_policy(self, model: str, document: str) -> None:
        """Signs a policy document for a model; the same again changes nothing."""
        ...


class RegistryVersions:
    """The registry's versions for RolloutService; blocking work is done on threads."""

    def __init__(self, store: RegistryStore, policies: PolicyTable, signer: PolicySigner) -> None:
        self._store = store
        self._policies = policies
        self._signer = signer

    async def resolve(self, version: str) -> PublishedVersion:
        """The version called `models/{model}/versions/{version or @alias}`; raises NotFound and InvalidInput."""
        found = await asyncio.to_thread(self._store.version, *read_version_name(version))
        return PublishedVersion(found.name, found.digest, found.validation.policy_document)

    async def policy(self, name: str) -> NamedPolicy:
        """The policy called `models/{model}/policies/{policy}`; raises InvalidInput and NotFound."""
        found = await asyncio.to_thread(self._policies.get, name)
        return NamedPolicy(found.name, found.version, found.version_digest, found.document)

    async def sign_policy(self, model: str, document: str) -> None:
        """Has a policy document signed."""
        await asyncio.to_thread(self._signer.publish_policy, model, document)
