"""What heads are made of and where they go: priors of versions, heads, policies. Methods block."""

import io
import logging
import zipfile
from typing import Final

import numpy as np

from upriver.errors import BlobNotFound, ModelInvalid, NotFound
from upriver.head_statistics import HeadStatistics, read_statistics
from upriver.heads import Head, read_head
from upriver.listing import PRIOR
from upriver.listing import digest as digest_of
from upriver_control.artifacts import Artifacts, put_bytes
from upriver_control.policy_publishing import PolicyPublisher
from upriver_control.store.heads import HOLD_S, HeadTable
from upriver_control.store.registry import RegistryStore

_LOG: Final = logging.getLogger(__name__)
_MOST: Final = 32


class Library:
    """Reads and keeps in the registry and its artifacts; raises Unreachable and DiskTrouble."""

    def __init__(
        self, registry: RegistryStore, artifacts: Artifacts, heads: HeadTable, publisher: PolicyPublisher
    ) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._heads = heads
        self._publisher = publisher
        self._priors: dict[str, HeadStatistics | None] = {}

    def prior(self, version_digest: str) -> HeadStatistics | None:
        """A version's sums over what it was trained on; None when it has none, or is not published here."""
        if version_digest not in self._priors:
            while len(self._priors) >= _MOST:
                del self._priors[next(iter(self._priors))]
            self._priors[version_digest] = self._read_prior(version_digest)
        return self._priors[version_digest]

    def policy(self, version_digest: str) -> str:
        """The policy in a version's manifest, as a document; empty without one, or when it is not published here."""
        try:
            return self._registry.by_digest(version_digest).validation.policy_document
        except NotFound:
            return ""

    def head(self, digest: str) -> Head | None:
        """A head; None when it is not here."""
        try:
            return read_head(self._artifacts.read(digest))
        except (BlobNotFound, ModelInvalid):
            return None

    def lend(self, data: bytes, now: float, for_s: float) -> str:
        """Keeps a head that is to be tried, so that agents can fetch it, and no longer; gives its digest."""
        digest = digest_of(data)
        self._heads.hold(digest, now + for_s - HOLD_S)
        put_bytes(self._artifacts, digest, data)
        return digest

    def publish(self, model: str, tier: str, document: str, head: str) -> str:
        """Signs and keeps a policy with its head, if it has one; gives the policy's name."""
        return self._publisher.publish(model, tier, document, self._artifacts.read(head) if head else b"").name

    def _read_prior(self, version_digest: str) -> HeadStatistics | None:
        try:
            version = self._registry.by_digest(version_digest)
            file = next((one for one in version.files if one.name == PRIOR), None)
            if file is None:
                return None
            with np.load(io.BytesIO(self._artifacts.read(file.digest)), allow_pickle=False) as arrays:
                return read_statistics({name: arrays[name] for name in arrays.files})
        except NotFound:
            return None
        except (BlobNotFound, ModelInvalid, ValueError, EOFError, zipfile.BadZipFile) as error:
            _LOG.error("no heads are made of version %s: its %s: %s", version_digest[:19], PRIOR, error)
            return None
