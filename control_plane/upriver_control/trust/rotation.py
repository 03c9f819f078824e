"""The next root: keys added and taken away, signed by enough of the old ones and enough of the new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from upriver.errors import InvalidInput, NotNow


@dataclass(frozen=True, slots=True)
class RootChange:
    """Root keys to add and to remove (by key id), a new threshold (0: as it is), and online roles that get a new key.

    `online` is {role: its new signer} for `targets`, `snapshot` and `timestamp`.
    """

    added: Sequence[CryptoSigner] = ()
    removed: Sequence[str] = ()
    threshold: int = 0
    online: Mapping[str, CryptoSigner] | None = None


def next_root(
    old: Metadata[Root], change: RootChange, here: Sequence[CryptoSigner], expires: datetime
) -> Metadata[Root]:
    """Makes the next root, signed by every key that is here and counts.

    Raises InvalidInput for a change that makes no sense, NotNow when too few of the old or new keys are here.
    """
    root: Metadata[Root] = Metadata.from_bytes(old.to_bytes())
    role = root.signed.roles[Root.type]
    for signer in change.added:
        root.signed.add_key(signer.public_key, Root.type)
    for keyid in change.removed:
        if keyid not in role.keyids:
            raise InvalidInput(
                f"{keyid} is no root key; the root keys are {', '.join(old.signed.roles['root'].keyids)}"
            )
        root.signed.revoke_key(keyid, Root.type)
    role.threshold = change.threshold or role.threshold
    if not 1 <= role.threshold <= len(role.keyids):
        raise InvalidInput(f"threshold {role.threshold} with {len(role.keyids)} root keys; expected 1 to their number")
    for name, signer in (change.online or {}).items():
        for keyid in [keyid for keyid in root.signed.roles[name].keyids if keyid != signer.public_key.keyid]:
            root.signed.revoke_key(keyid, name)
        root.signed.add_key(signer.public_key, name)
    signers = {signer.public_key.keyid: signer for signer in (*here, *change.added)}
    _check(signers, "old", old)
    _check(signers, "new", root)
    root.signed.version += 1
    root.signed.expires = expires
    root.signatures.clear()
    for keyid in dict.fromkeys((*old.signed.roles[Root.type].keyids, *role.keyids)):
        if keyid in signers:
            root.sign(signers[keyid], append=True)
    return root


def enough(root: Metadata[Root], here: Sequence[CryptoSigner]) -> bool:
    """Whether the keys that are here can sign for this root."""
    role = root.signed.roles[Root.type]
    return len({signer.public_key.keyid for signer in here} & set(role.keyids)) >= role.threshold


def _check(signers: Mapping[str, CryptoSigner], what: str, root: Metadata[Root]) -> None:
    role = root.signed.roles[Root.type]
    count = len(signers.keys() & set(role.keyids))
    if count < role.threshold:
        raise NotNow(f"{count} of the {what} root's keys are here; {role.threshold} must sign: bring more of them")
