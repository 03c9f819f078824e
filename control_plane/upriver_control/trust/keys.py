"""The private keys: Ed25519, one file each, readable by their owner alone.

The root key is needed only to make the repository and to rotate keys: it can be taken away and kept offline.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from upriver.errors import ConfigError

ONLINE = ("targets", "bins", "snapshot", "timestamp")


class Keys:
    """A folder of keys: `<role>.pem`, and `root-<start of its id>.pem`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, roots: int) -> None:
        """Makes the keys that are not there yet; raises ConfigError when the folder can't be written."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ONLINE:
                self._make(name)
            for _ in range(roots - len(self.roots())):
                self.add_root()
        except OSError as error:
            raise ConfigError(
                "can't keep keys", [f"trust.keys = {str(self._folder)!r}: {error.strerror}; expected a private folder"]
            ) from error

    def signer(self, role: str) -> CryptoSigner:
        """The signer of an online role; raises ConfigError naming the file when it is not there or no key."""
        return self._read(self._folder / f"{role}.pem")

    def signers(self, role: str) -> Sequence[CryptoSigner]:
        """The signers of an online role: its own, and while it gets a new key, that one too."""
        coming = self._folder / f"{role}.next.pem"
        return [self.signer(role), *([self._read(coming)] if coming.exists() else [])]

    def make_next(self, role: str) -> CryptoSigner:
        """Makes the key that an online role is to get, if it is not there yet; signs besides the present one."""
        self._make(f"{role}.next")
        return self._read(self._folder / f"{role}.next.pem")

    def adopt_next(self, role: str) -> None:
        """Puts the new key of an online role in the place of the old one, which is gone then."""
        (self._folder / f"{role}.next.pem").replace(self._folder / f"{role}.pem")
        _flush(self._folder)

    def roots(self) -> Sequence[CryptoSigner]:
        """The signers of the root keys that are here; none when they are kept offline."""
        return [self._read(path) for path in sorted(self._folder.glob("root-*.pem"))]

    def add_root(self) -> CryptoSigner:
        """Makes one more root key. It is named by its id: others, kept elsewhere, come back under their own names."""
        signer = CryptoSigner.generate_ed25519()
        path = self._root_path(signer)
        try:
            _write_private(path, signer.private_bytes)
        except OSError as error:
            raise ConfigError("can't keep keys", [f"{path}: {error.strerror or error}"]) from error
        return signer

    def discard_root(self, signer: CryptoSigner) -> None:
        """Removes a root key that did not come into force."""
        self._root_path(signer).unlink(missing_ok=True)

    def export_roots(self, folder: Path) -> Sequence[Path]:
        """Copies the root keys into a folder, read back and held against the originals; gives the copies.

        Raises ConfigError when it can't be written, or holds another key under the same name.
        """
        copies = []
        for path in sorted(self._folder.glob("root-*.pem")):
            copy = folder / path.name
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not copy.exists():
                    _write_private(copy, path.read_bytes())
                same = copy.read_bytes() == path.read_bytes()
            except OSError as error:
                raise ConfigError("can't export keys", [f"{copy}: {error.strerror or error}"]) from error
            if not same:
                raise ConfigError("can't export keys", [f"{copy} holds another key; expected an empty folder"])
            copies.append(copy)
        return copies

    def remove_roots(self) -> None:
        """Removes the root keys from this folder; raises ConfigError."""
        try:
            for path in self._folder.glob("root-*.pem"):
                path.unlink()
            _flush(self._folder)
        except OSError as error:
            raise ConfigError("can't remove keys", [f"{self._folder}: {error.strerror or error}"]) from error

    def _root_path(self, signer: CryptoSigner) -> Path:
        return self._folder / f"root-{signer.public_key.keyid[:16]}.pem"

    def _make(self, name: str) -> None:
        path = self._folder / f"{name}.pem"
        if path.exists():
            return
        _write_private(path, CryptoSigner.generate_ed25519().private_bytes)

    def _read(self, path: Path) -> CryptoSigner:
        try:
            return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError("can't sign", [f"{path}: {error}; expected a private key in PEM form"]) from error


def _write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all; raises OSError."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    _flush(path.parent)


def _flush(folder: Path) -> None:
    """Makes a rename inside the folder last."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
