"""Reads and writes signed metadata in the order that makes it safe to end at any point.

What is current is what the timestamp says, never what lies around: a process that dies while it signs leaves files
that nothing refers to, and the next attempt writes them again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, SuccinctRoles, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from upriver.errors import NotFound
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import MetadataStore, Write

PREFIX: Final = "bin"
SUPERSEDED: Final = 32
"""So many older versions of a file stay, for agents that are just fetching."""


@dataclass(frozen=True, slots=True)
class TrustOptions:
    """`roots` root keys are made, of which `threshold` must sign; 2^`bin_bits` bins; how long signatures hold."""

    roots: int = 1
    threshold: int = 1
    bin_bits: int = 4
    root_days: float = 365.0
    targets_days: float = 90.0
    snapshot_days: float = 7.0
    timestamp_days: float = 1.0


@dataclass(slots=True)
class Current:
    """The metadata that the timestamp refers to."""

    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]

    @property
    def bins(self) -> dict[str, int]:
        """Versions of `targets` and of every bin, by role."""
        return {name.removesuffix(".json"): meta.version for name, meta in self.snapshot.signed.meta.items()}


class Signing:
    """Signed files of one repository. `clock` is a Unix time."""

    def __init__(self, store: MetadataStore, keys: Keys, options: TrustOptions, clock: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._options = options
        self._clock = clock

    def _current(self) -> Current:
        data = self._store.read("timestamp.json")
        if data is None:
            raise NotFound("there is no repository yet")
        timestamp: Metadata[Timestamp] = Metadata.from_bytes(data)
        return Current(timestamp, self._load(Snapshot, "snapshot", timestamp.signed.snapshot_meta.version))

    def _root(self) -> Metadata[Root]:
        version = 1
        while self._store.read(f"{version + 1}.root.json") is not None:
            version += 1
        return self._load(Root, "root", version)

    def _load(self, kind: Any, name: str, version: int) -> Metadata[Any]:
        data = self._store.read(f"{version}.{name}.json")
        if data is None:
            raise NotFound(f"the repository refers to {version}.{name}.json, which is not there")
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        if not isinstance(metadata.signed, kind):
            raise NotFound(f"{version}.{name}.json is not of the kind {kind.type}")
        return metadata

    def _targets(self, current: Current) -> Metadata[Targets]:
        return self._load(Targets, "targets", current.bins["targets"])

    def _bins(self, targets: Metadata[Targets]) -> SuccinctRoles:
        delegations = targets.signed.delegations
        if delegations is None or delegations.succinct_roles is None:
            raise NotFound("the repository's targets delegate to no bins")
        return delegations.succinct_roles

    def _bin_of(self, path: str) -> str:
        return str(self._bins(self._targets(self._current())).get_role_for_target(path))

    def _sign_again(self, write: Write, current: Current, changed: Mapping[str, Metadata[Targets]]) -> None:
        """Signs `targets` or bins that have changed, then the snapshot and the timestamp that bring them into force."""
        for name, metadata in changed.items():
            metadata.signed.version += 1
            data = self._write_signed(write, name, metadata, "targets" if name == "targets" else "bins")
            current.snapshot.signed.meta[f"{name}.json"] = _meta(metadata.signed.version, data)
        self._sign_snapshot(write, current)
        for name, metadata in changed.items():
            self._prune(name, metadata.signed.version)

    def _sign_snapshot(self, write: Write, current: Current) -> None:
        current.snapshot.signed.version += 1
        data = self._write_signed(write, "snapshot", current.snapshot, "snapshot")
        current.timestamp.signed.snapshot_meta = _meta(current.snapshot.signed.version, data)
        self._sign_timestamp(write, current)
        self._prune("snapshot", current.snapshot.signed.version)

    def _sign_timestamp(self, write: Write, current: Current) -> None:
        current.timestamp.signed.version += 1
        self._write_signed(write, "timestamp", current.timestamp, "timestamp")

    def _write_signed(self, write: Write, name: str, metadata: Metadata[Any], role: str) -> bytes:
        days = {
            "targets": self._options.targets_days,
            "bins": self._options.targets_days,
            "snapshot": self._options.snapshot_days,
            "timestamp": self._options.timestamp_days,
        }
        metadata.signed.expires = self._until(days[role])
        metadata.signatures.clear()
        for signer in self._keys.signers(role):
            metadata.sign(signer, append=True)
        data = _written(metadata)
        write("timestamp.json" if name == "timestamp" else f"{metadata.signed.version}.{name}.json", data)
        return data

    def _write_root(self, write: Write, root: Metadata[Root]) -> None:
        write(f"{root.signed.version}.root.json", _written(root))

    def _prune(self, name: str, version: int) -> None:
        if version > SUPERSEDED:
            self._store.remove(f"{version - SUPERSEDED}.{name}.json")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock()), UTC)

    def _until(self, days: float) -> datetime:
        return self._now() + timedelta(seconds=int(days * 86_400))


def _written(metadata: Metadata[Any]) -> bytes:
    return metadata.to_bytes(JSONSerializer(compact=True))


def _meta(version: int, data: bytes) -> MetaFile:
    """How a file is spoken of by the one above it: with its length and digest, so that nothing else passes for it."""
    return MetaFile.from_data(version, data, ["sha256"])
