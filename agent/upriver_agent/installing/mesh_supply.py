"""Pairs from the mesh: what is signed says what to fetch, the device says whether it may be, digests say what came."""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from upriver.errors import DeviceUnfit, DiskTrouble, ManifestError, ModelInvalid
from upriver.heads import MAX_BYTES, Head, read_head
from upriver.listing import MANIFEST, MODEL
from upriver.policies import PolicyDocument, read_policy
from upriver_agent.installing.fit import Device, Needs, unfit
from upriver_agent.installing.supply import Staged
from upriver_agent.slot import Pair
from upriver_agent.versions import Version, assemble, open_stored
from upriver_agent.versions.head_store import HeadStore
from upriver_agent.versions.store import files_of, folder_of, remove, stored


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file as it was signed: digest `sha256:<hex>`, size, and the digest of its chunk list, empty for none.

    A size of -1 was not signed: then it has at most `most_bytes`.
    """

    digest: str
    size_bytes: int
    chunks: str = ""
    most_bytes: int = 1 << 31


@dataclass(frozen=True, slots=True)
class SignedVersion:
    """A version as it was signed: its files by name, and what a device needs."""

    files: Mapping[str, SignedFile]
    needs: Needs


class Signatures(Protocol):
    """Says what was signed. Both raise Untrusted, and Unreachable when it can't be asked and is not known."""

    def version(self, name: str, digest: str) -> SignedVersion:
        """The version `models/{model}/versions/{version}`, if it was signed with this digest."""
        ...

    def policy(self, model: str, document: str) -> None:
        """Returns if this policy document was signed for the model."""
        ...


class Fetcher(Protocol):
    """Brings blobs here."""

    def fetch(self, file: SignedFile, bases: Sequence[str], cancelled: threading.Event) -> Path:
        """The path of a blob, fetched if it is not here; `bases` are digests that a delta may start from.

        Raises Unreachable (also when cancelled) and DiskTrouble.
        """
        ...


class MeshSupply:
    """Brings pairs: judged, fetched, assembled under their digests in the state folder."""

    def __init__(
        self,
        state_dir: Path,
        signatures: Signatures,
        fetcher: Fetcher,
        device: Device,
        heads: HeadStore,
        configured: Iterable[str] = (),
    ) -> None:
        """`configured` are digests of versions that configuration names: their folders stay."""
        self._state_dir = state_dir
        self._heads = heads
        self._signatures = signatures
        self._fetcher = fetcher
        self._device = device
        self._configured = frozenset(configured)
        self._working: dict[str, int] = {}
        self._coming: dict[str, frozenset[str]] = {}
        self._kept: frozenset[str] = frozenset()
        self._kept_heads: frozenset[str] = frozenset()
        self._made_of: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        heads.hold(lambda: self._kept_heads)

    def blobs(self) -> frozenset[str]:
        """The blobs that kept versions, and those on their way, are made of, and their heads: they must not be deleted.

        What comes next may be told as the change from a head.
        """
        with self._lock:
            coming = [blobs for digest, blobs in self._coming.items() if self._working.get(digest)]
            return self._kept.union(self._kept_heads, *coming)

    def obtain(self, model: str, pair: Pair, bases: Iterable[Pair], cancelled: threading.Event) -> Staged:
        """Fetches what is not here yet; see `Supply`."""
        signed = self._signatures.version(pair.version, pair.digest)
        problem = unfit(signed.needs, self._device)
        if problem:
            raise DeviceUnfit(problem)
        if pair.policy:
            self._signatures.policy(model, pair.policy)
        policy = _policy(pair)
        near = tuple(bases)
        have = [base for one in near if (base := self._model_file(one)) is not None]
        with self._lock:
            self._working[pair.digest] = self._working.get(pair.digest, 0) + 1
            self._coming[pair.digest] = frozenset(file.digest for file in signed.files.values())
        try:
            version = self._assemble(pair, signed, have, cancelled)
            return Staged(version, policy, self._head(policy, _heads_of(near), cancelled))
        finally:
            with self._lock:
                self._working[pair.digest] -= 1
                if not self._working[pair.digest]:
                    del self._working[pair.digest], self._coming[pair.digest]

    def reopen(self, pair: Pair) -> Staged:
        """Gives a pair that was obtained before; raises ModelInvalid when it is not whole."""
        policy = _policy(pair)
        head = self._heads.get(policy.head) if policy is not None and policy.head else None
        return Staged(open_stored(pair.digest, self._state_dir), policy, head)

    def release(self, kept: Iterable[Pair]) -> None:
        """Removes the folders of other versions; their blobs stay until the room is needed."""
        pairs = tuple(kept)
        with self._lock:
            working = {digest for digest, count in self._working.items() if count}
            self._kept_heads = frozenset(_heads_of(pairs))
        wanted = {pair.digest for pair in pairs}
        keep = wanted | self._configured | working
        self._pin(wanted)
        for digest in stored(self._state_dir):
            if digest not in keep:
                try:
                    remove(digest, self._state_dir)
                except OSError as error:
                    raise DiskTrouble(f"can't remove version {digest}: {error.strerror or error}") from error
        self._heads.prune()

    def _pin(self, digests: Set[str]) -> None:
        for digest in digests - self._made_of.keys():
            found = files_of(digest, self._state_dir)
            if found:
                self._made_of[digest] = frozenset(found)
        for digest in self._made_of.keys() - digests:
            del self._made_of[digest]
        with self._lock:
            self._kept = frozenset().union(*self._made_of.values())

    def _assemble(self, pair: Pair, signed: SignedVersion, bases: Sequence[str], cancelled: threading.Event) -> Version:
        try:
            return open_stored(pair.digest, self._state_dir)
        except ModelInvalid:
            pass  # not here yet, or damaged: it is made of its blobs
        paths = {}
        for name in (MANIFEST, *(name for name in signed.files if name != MANIFEST)):
            file = signed.files[name]
            paths[name] = self._fetcher.fetch(file, bases if name == MODEL else (), cancelled)
        try:
            return assemble(pair.digest, paths, self._state_dir)
        except OSError as error:
            raise DiskTrouble(f"can't assemble version {pair.digest}: {error.strerror or error}") from error

    def _head(self, policy: PolicyDocument | None, bases: Sequence[str], cancelled: threading.Event) -> Head | None:
        """The head that a signed policy names, fetched if it is not here."""
        if policy is None or not policy.head:
            return None
        try:
            return self._heads.get(policy.head)
        except ModelInvalid:
            pass  # not here yet, or damaged
        file = SignedFile(policy.head, -1, most_bytes=MAX_BYTES)
        path = self._fetcher.fetch(file, bases, cancelled)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DiskTrouble(f"can't read head {policy.head}: {error.strerror or error}") from error
        self._heads.put(data)
        return read_head(data)

    def _model_file(self, pair: Pair) -> str | None:
        """The digest of the model file of a version that is here; None when it is not."""
        try:
            with (folder_of(pair.digest, self._state_dir) / MODEL).open("rb") as file:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None


def _heads_of(pairs: Iterable[Pair]) -> list[str]:
    """The digests of the heads that pairs' policies name, each once."""
    found = []
    for pair in pairs:
        try:
            policy = _policy(pair)
        except (ManifestError, ModelInvalid):  # what is kept of it has no head that could be read
            continue
        if policy is not None and policy.head and policy.head not in found:
            found.append(policy.head)
    return found


def _policy(pair: Pair) -> PolicyDocument | None:
    if not pair.policy:
        return None
    document = read_policy(pair.policy)
    if document.version_digest != pair.digest:
        raise ModelInvalid(f"the policy is for version {document.version_digest}; the pair's is {pair.digest}")
    return document
