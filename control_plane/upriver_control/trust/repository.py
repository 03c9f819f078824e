"""The signed repository: root, targets in hashed bins, snapshot, timestamp.

Publishing signs one bin, the snapshot and the timestamp anew, however many versions there are.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Delegations, Metadata, Root, Snapshot, SuccinctRoles, TargetFile, Targets, Timestamp

from upriver.errors import InvalidInput, NotFound, VersionConflict
from upriver_control.trust.keys import ONLINE
from upriver_control.trust.metadata_store import Write
from upriver_control.trust.rotation import RootChange, enough, next_root
from upriver_control.trust.signing import PREFIX, Current, Signing, TrustOptions

__all__ = ["FORMAT", "Repository", "RootFacts", "TrustOptions"]
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class RootFacts:
    """The root that is in force. `keys` are the root keys' ids, `here` those whose private half is on this machine."""

    fingerprint: str
    version: int
    threshold: int
    keys: Sequence[str]
    here: Sequence[str]
    expires: datetime
    online: Mapping[str, Sequence[str]]


class Repository(Signing):
    """Signs and gives metadata. `clock` is a Unix time."""

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
                self._sign_again(write, current, {name: targets})

    def refresh(self) -> bool:
        """Signs anew what has less than half its time left; to be called every hour or so. Says whether it did.

        The root is signed anew only where enough root keys are on this machine; `facts` tells when it expires.
        """
        now = self._now()
        with self._store.change() as write:
            renewed = self._refresh_root(write, now)
            current = self._current()
            soon = now + timedelta(days=self._options.targets_days / 2)
            loaded = {name: self._load(Targets, name, version) for name, version in current.bins.items()}
            stale = {name: metadata for name, metadata in loaded.items() if metadata.signed.expires < soon}
            if stale or current.snapshot.signed.expires < now + timedelta(days=self._options.snapshot_days / 2):
                self._sign_again(write, current, stale)
            elif current.timestamp.signed.expires < now + timedelta(days=self._options.timestamp_days / 2):
                self._sign_timestamp(write, current)
            else:
                return renewed
        return True

    def rotate_root(
        self,
        added: Sequence[CryptoSigner] = (),
        removed: Sequence[str] = (),
        threshold: int = 0,
        brought: Sequence[CryptoSigner] = (),
    ) -> int:
        """Makes the next root with keys added and others (key ids) removed, signed by the old and the new ones.

        `brought` are root keys that are kept elsewhere. Gives the new root's version; raises NotNow when fewer keys
        are here than the old or new threshold wants, InvalidInput when the change makes no sense.
        """
        with self._store.change() as write:
            change = RootChange(added, removed, threshold)
            here = (*self._keys.roots(), *brought)
            root = next_root(self._root(), change, here, self._until(self._options.root_days))
            self._write_root(write, root)
            return int(root.signed.version)

    def rotate_online(self, role: str, brought: Sequence[CryptoSigner] = ()) -> int:
        """Gives an online role (`targets`, `bins`, `snapshot`, `timestamp`) a new key; the version of the root then.

        Everything of the role is signed with both keys before the root speaks of the new one, and the old one goes
        last: whenever this ends half way, agents are served, and a repetition finishes it. Raises as `rotate_root`.
        """
        if role not in ONLINE:
            raise InvalidInput(f"{role!r} has no online key; expected one of {', '.join(ONLINE)}")
        with self._store.change() as write:
            here = (*self._keys.roots(), *brought)
            old = self._root()
            version = int(old.signed.version)
            root = None
            signer = self._keys.make_next(role)
            if role != "bins" and old.signed.roles[role].keyids != [signer.public_key.keyid]:
                change = RootChange(online={role: signer})
                root = next_root(old, change, here, self._until(self._options.root_days))
            self._sign_with_next(write, role, signer)
            if root is not None:
                self._write_root(write, root)
                version = int(root.signed.version)
            self._keys.adopt_next(role)
        return version

    def facts(self) -> RootFacts:
        """The root in force; raises NotFound when there is no repository yet."""
        root = self._root()
        role = root.signed.roles[Root.type]
        here = {signer.public_key.keyid for signer in self._keys.roots()}
        delegations = self._targets(self._current()).signed.delegations
        online = {name: tuple(root.signed.roles[name].keyids) for name in ("targets", "snapshot", "timestamp")}
        online["bins"] = tuple(delegations.keys) if delegations is not None else ()
        return RootFacts(
            fingerprint=self.fingerprint(),
            version=int(root.signed.version),
            threshold=role.threshold,
            keys=tuple(role.keyids),
            here=tuple(keyid for keyid in role.keyids if keyid in here),
            expires=root.signed.expires,
            online=online,
        )

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
            self._sign_again(write, current, {name: targets})

    def _make(self, write: Write) -> None:
        options = self._options
        self._keys.make(options.roots)
        root = Metadata(Root(expires=self._until(options.root_days), consistent_snapshot=True))
        roots = self._keys.roots()
        for signer in roots:
            root.signed.add_key(signer.public_key, Root.type)
        root.signed.roles[Root.type].threshold = options.threshold
        for role in (Targets.type, Snapshot.type, Timestamp.type):
            root.signed.add_key(self._keys.signer(role).public_key, role)
        for signer in roots:
            root.sign(signer, append=True)
        self._write_root(write, root)
        bins = SuccinctRoles([], 1, options.bin_bits, PREFIX)
        targets = Metadata(Targets())
        targets.signed.delegations = Delegations({}, succinct_roles=bins)
        targets.signed.add_key(self._keys.signer("bins").public_key, None)
        made = {"targets": targets, **{name: Metadata(Targets()) for name in bins.get_roles()}}
        current = Current(Metadata(Timestamp()), Metadata(Snapshot()))
        # The first that is signed is 1.
        current.timestamp.signed.version = current.snapshot.signed.version = 0
        for metadata in made.values():
            metadata.signed.version = 0
        self._sign_again(write, current, made)

    def _refresh_root(self, write: Write, now: datetime) -> bool:
        root = self._root()
        here = self._keys.roots()
        if root.signed.expires >= now + timedelta(days=self._options.root_days / 2) or not enough(root, here):
            return False
        self._write_root(write, next_root(root, RootChange(), here, self._until(self._options.root_days)))
        return True

    def _sign_with_next(self, write: Write, role: str, signer: CryptoSigner) -> None:
        current = self._current()
        targets = self._targets(current)
        changed = {"targets": targets} if role in ("targets", "bins") else {}
        if role == "bins":
            bins = self._bins(targets)
            for keyid in [keyid for keyid in bins.keyids if keyid != signer.public_key.keyid]:
                targets.signed.revoke_key(keyid)
            targets.signed.add_key(signer.public_key)
            changed |= {name: self._load(Targets, name, current.bins[name]) for name in bins.get_roles()}
        self._sign_again(write, current, changed)
