"""Publishing policies that no calibration made, and the heads that policies name. Methods block.

In an order that makes it safe to end at any point: the head is kept, the policy is signed, and its row comes last, by
which rollouts can name it. A repetition finds each step done or does it again.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from upriver.errors import InvalidInput, ManifestError, ModelInvalid, NotFound
from upriver.heads import read_head
from upriver.listing import digest as digest_of
from upriver.policies import PolicyDocument, read_policy
from upriver_control.artifacts import Artifacts
from upriver_control.store.heads import HeadTable, StoredHead
from upriver_control.store.policies import PolicyTable, StoredPolicy
from upriver_control.store.registry import RegistryStore


class PolicySigner(Protocol):
    """Signs policies, for agents to believe."""

    def publish_policy(self, model: str, document: str) -> None:
        """Signs a policy document for a model; the same again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyPublisher:
    """Publishes policies and heads. `clock` gives Unix times. Methods raise DiskTrouble and Unreachable."""

    registry: RegistryStore
    artifacts: Artifacts
    heads: HeadTable
    policies: PolicyTable
    signer: PolicySigner
    clock: Callable[[], float] = time.time

    def publish_head(self, data: bytes) -> str:
        """Keeps a head's file for agents to fetch, and gives its digest.

        Raises InvalidInput when it is none, NotFound when its version is not published.
        """
        try:
            head = read_head(data)
        except ModelInvalid as error:
            raise InvalidInput(str(error)) from error
        self.registry.by_digest(head.version_digest)
        digest = digest_of(data)
        self.heads.hold(digest, self.clock())
        self.artifacts.put(digest, io.BytesIO(data))
        self.heads.keep(StoredHead(digest, head.version_digest, len(data), self.clock()))
        return digest

    def publish(self, model: str, tier: str, document: str, head: bytes = b"", source: str = "") -> StoredPolicy:
        """Signs and keeps a policy for a tier of a model, with the head that it names if that is given.

        `source` is the calibration that it comes from, empty for none. Raises InvalidInput for a policy or head that is
        not valid or not of each other or of the model, NotFound for a version or head that is not published.
        """
        try:
            policy = read_policy(document)
        except ManifestError as error:
            raise InvalidInput("; ".join(error.problems)) from error
        version = self.registry.by_digest(policy.version_digest)
        if version.model != model:
            raise InvalidInput(f"the policy is of {version.name}; expected one of a version of {model}")
        if head:
            if digest_of(head) != policy.head:
                raise InvalidInput(f"the head is {digest_of(head)}; the policy names {policy.head or 'none'}")
            self.publish_head(head)
        self._check(policy)
        stored = StoredPolicy(
            model, digest_of(document.encode()), version.name, version.digest, tier, source, document, self.clock()
        )
        self.signer.publish_policy(model, document)
        self.policies.add(stored)
        return self.policies.get(stored.name)

    def publish_policy(self, model: str, document: str) -> None:
        """Signs a policy that is kept elsewhere.

        Raises NotFound when no agent could fetch the head that it names, InvalidInput for one of another version.
        """
        self._check(read_policy(document))
        self.signer.publish_policy(model, document)

    def _check(self, policy: PolicyDocument) -> None:
        if not policy.head:
            return
        head = self.heads.get(policy.head)
        if head is None:
            raise NotFound(f"the policy names head {policy.head}, which was not published: publish it with the policy")
        if head.version_digest != policy.version_digest:
            raise InvalidInput(
                f"the policy is of version {policy.version_digest}; its head {policy.head} is of {head.version_digest}"
            )
