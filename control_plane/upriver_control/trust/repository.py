"""The signed repository: root, targets in hashed bins, snapshot, timestamp.

What is current is what the timestamp says, never what lies around: a process that dies while it publishes leaves files
that nothing refers to, and the next attempt writes them again. Publishing signs one bin, the snapshot and the
timestamp anew, however many versions there are.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from upriver.errors import NotFound, NotNow, VersionConflict
from upriver_control.trust.keys import ONLINE, Keys
from upriver_control.trust.metadata_store import MetadataStore, Write

FORMAT: Final = 1
_PREFIX: Final = "bin"


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


class Repository:
    """Signs and gives metadata. `clock` is a Unix time."""

    def __init__(self, store: MetadataStore, keys: Keys, options: TrustOptions, clock: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._options = options
        self._clock = clock

    def open(self) -> str:
        """Makes keys and metadata at the very first start; gives the root's fingerprint."""
        with self._store.change() as write:
            if self._store.read("timestamp.json") is None:
                self._make(write)
        return self.fingerprint()

    def fingerprint(self) -> str:
        """`sha256:` and 64 digits of the first root metadata: what agents pin."""
        root = self._store.read("1.root.json")
        if root is None:
            raise NotFound("there is no repository yet")
        return f"sha256:{hashlib.sha256(root).hexdigest()}"

    def read(self, name: str) -> bytes | None:
        """A metadata file for agents; None when there is none."""
        return self._store.read(name)

    def publish(self, model: str, version: str, listing: bytes, custom: Mapping[str, object]) -> None:
        """Signs a version. The same again changes nothing; another content is a VersionConflict."""
        self._add(f"versions/{model}/{version}", listing, custom)

    def publish_policy(self, model: str, document: str) -> None:
        """Signs a policy document for a model; the same again changes nothing."""
        data = document.encode()
        self._add(f"policies/{model}/{hashlib.sha256(data).hexdigest()}", data, {"format": FORMAT})

    def withdraw(self, model: str, version: str) -> None:
        """Signs that a version is no longer to be installed; agents that run it go on."""
        path = f"versions/{model}/{version}"
        with self._store.change() as write:
            current = self._current()
            name = self._bin_of(path)
            targets = self._load(Targets, name, current.bins[name])
            if targets.signed.targets.pop(path, None) is not None:
                self._sign_bin(write, current, name, targets)

    def refresh(self) -> bool:
        """Signs anew what would expire within half its time; to be called every hour or so. Says whether it did."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        with self._store.change() as write:
            current = self._current()
            soon = now + timedelta(days=self._options.targets_days / 2)
            stale = [
                (name, loaded)
                for name, version in current.bins.items()
                if (loaded := self._load(Targets, name, version)).signed.expires < soon
            ]
            for name, loaded in stale:
                loaded.signed.version += 1
                self._write_signed(write, name, loaded, "targets" if name == "targets" else "bins")
                current.snapshot.signed.meta[f"{name}.json"] = MetaFile(loaded.signed.version)
            half = timedelta(days=self._options.snapshot_days / 2)
            if stale or current.snapshot.signed.expires < now + half:
                self._sign_snapshot(write, current)
            elif current.timestamp.signed.expires < now + timedelta(days=self._options.timestamp_days / 2):
                self._sign_timestamp(write, current)
            else:
                return False
        return True

    def rotate_root(self, added: Sequence[CryptoSigner], removed: Sequence[str] = (), threshold: int = 0) -> int:
        """Makes the next root with keys added and others (key ids) removed, signed by the old and the new ones.

        Gives the new root's version; raises NotNow when fewer keys are here than the old or new threshold wants.
        """
        with self._store.change() as write:
            old = self._root()
            root: Metadata[Root] = Metadata.from_bytes(old.to_bytes())
            for signer in added:
                root.signed.add_key(signer.public_key, Root.type)
            for keyid in removed:
                root.signed.revoke_key(keyid, Root.type)
            role = root.signed.roles[Root.type]
            role.threshold = threshold or role.threshold
            signers = {signer.public_key.keyid: signer for signer in (*self._keys.roots(), *added)}
            for what, keyids, wanted in (
                ("old", old.signed.roles[Root.type].keyids, old.signed.roles[Root.type].threshold),
                ("new", role.keyids, role.threshold),
            ):
                here = len(signers.keys() & set(keyids))
                if here < wanted:
                    raise NotNow(f"{here} of the {what} root's keys are here; {wanted} must sign: bring more of them")
            root.signed.version += 1
            root.signed.expires = self._until(self._options.root_days)
            root.signatures.clear()
            for keyid in {*old.signed.roles[Root.type].keyids, *role.keyids} & signers.keys():
                root.sign(signers[keyid], append=True)
            write(f"{root.signed.version}.root.json", root.to_bytes(JSONSerializer(compact=True)))
            return int(root.signed.version)

    def _root(self) -> Metadata[Root]:
        version = 1
        while self._store.read(f"{version + 1}.root.json") is not None:
            version += 1
        return self._load(Root, "root", version)

    def _add(self, path: str, data: bytes, custom: Mapping[str, object]) -> None:
        target = TargetFile.from_data(path, data, ["sha256"])
        target.unrecognized_fields["custom"] = json.loads(json.dumps(custom))
        with self._store.change() as write:
            current = self._current()
            name = self._bin_of(path)
            targets = self._load(Targets, name, current.bins[name])
            known = targets.signed.targets.get(path)
            if known is not None:
                if known.hashes != target.hashes:
                    raise VersionConflict(
                        f"{path} is signed already as sha256:{known.hashes['sha256']}; versions never change: publish "
                        "this content under another name"
                    )
                if known == target:
                    return
            targets.signed.targets[path] = target
            self._sign_bin(write, current, name, targets)

    def _make(self, write: Write) -> None:
        options = self._options
        self._keys.make(options.roots)
        online = {role: self._keys.signer(role) for role in ONLINE}
        root = Metadata(Root(expires=self._until(options.root_days), consistent_snapshot=True))
        roots = self._keys.roots()
        for signer in roots:
            root.signed.add_key(signer.public_key, Root.type)
        root.signed.roles[Root.type].threshold = options.threshold
        for role in (Targets.type, Snapshot.type, Timestamp.type):
            root.signed.add_key(online[role].public_key, role)
        for signer in roots:
            root.sign(signer, append=True)
        bins = SuccinctRoles([], 1, options.bin_bits, _PREFIX)
        targets = Metadata(Targets(expires=self._until(options.targets_days)))
        targets.signed.delegations = Delegations({}, succinct_roles=bins)
        targets.signed.add_key(online["bins"].public_key, None)
        snapshot = Metadata(Snapshot())
        snapshot.signed.version = 0
        for name in bins.get_roles():
            self._write_signed(write, name, Metadata(Targets()), "bins")
            snapshot.signed.meta[f"{name}.json"] = MetaFile(1)
        self._write_signed(write, "targets", targets, "targets")
        write("1.root.json", root.to_bytes(JSONSerializer(compact=True)))
        timestamp = Metadata(Timestamp())
        timestamp.signed.version = 0
        self._sign_snapshot(write, _Current(timestamp, snapshot))

    def _bin_of(self, path: str) -> str:
        return str(SuccinctRoles([], 1, self._bits(), _PREFIX).get_role_for_target(path))

    def _bits(self) -> int:
        delegations = self._load(Targets, "targets", self._current().bins["targets"]).signed.delegations
        if delegations is None or delegations.succinct_roles is None:
            raise AssertionError("targets without bins")
        return int(delegations.succinct_roles.bit_length)

    def _current(self) -> "_Current":
        data = self._store.read("timestamp.json")
        if data is None:
            raise NotFound("there is no repository yet")
        timestamp: Metadata[Timestamp] = Metadata.from_bytes(data)
        return _Current(timestamp, self._load(Snapshot, "snapshot", timestamp.signed.snapshot_meta.version))

    def _load(self, kind: Any, name: str, version: int) -> Metadata[Any]:
        data = self._store.read(f"{version}.{name}.json")
        if data is None:
            raise NotFound(f"the repository refers to {version}.{name}.json, which is not there")
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        if not isinstance(metadata.signed, kind):
            raise NotFound(f"{version}.{name}.json is not of the kind {kind.type}")
        return metadata

    def _sign_bin(self, write: Write, current: "_Current", name: str, targets: Metadata[Targets]) -> None:
        targets.signed.version += 1
        self._write_signed(write, name, targets, "bins")
        current.snapshot.signed.meta[f"{name}.json"] = MetaFile(targets.signed.version)
        self._sign_snapshot(write, current)

    def _sign_snapshot(self, write: Write, current: "_Current") -> None:
        current.snapshot.signed.version += 1
        self._write_signed(write, "snapshot", current.snapshot, "snapshot")
        current.timestamp.signed.snapshot_meta = MetaFile(current.snapshot.signed.version)
        self._sign_timestamp(write, current)

    def _sign_timestamp(self, write: Write, current: "_Current") -> None:
        current.timestamp.signed.version += 1
        self._write_signed(write, "timestamp", current.timestamp, "timestamp")

    def _write_signed(self, write: Write, name: str, metadata: Metadata[Any], role: str) -> None:
        days = {
            "targets": self._options.targets_days,
            "bins": self._options.targets_days,
            "snapshot": self._options.snapshot_days,
            "timestamp": self._options.timestamp_days,
        }
        metadata.signed.expires = self._until(days[role])
        metadata.sign(self._keys.signer(role))
        file = "timestamp.json" if name == "timestamp" else f"{metadata.signed.version}.{name}.json"
        write(file, metadata.to_bytes(JSONSerializer(compact=True)))

    def _until(self, days: float) -> datetime:
        return datetime.fromtimestamp(int(self._clock()), UTC) + timedelta(seconds=int(days * 86_400))


class _Current:
    """The metadata that the timestamp refers to."""

    def __init__(self, timestamp: Metadata[Timestamp], snapshot: Metadata[Snapshot]) -> None:
        self.timestamp = timestamp
        self.snapshot = snapshot

    @property
    def bins(self) -> dict[str, int]:
        """Versions of `targets` and of every bin, by role."""
        return {name.removesuffix(".json"): meta.version for name, meta in self.snapshot.signed.meta.items()}
