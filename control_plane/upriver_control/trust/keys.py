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
    """A folder of keys: `<role>.pem`, and `root-<n>.pem` from 1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, roots: int) -> None:
        """Makes the keys that are not there yet; raises ConfigError when the folder can't be written."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in (*ONLINE, *(f"root-{number}" for number in range(1, roots + 1))):
                self._make(name)
        except OSError as error:
            raise ConfigError(
                "can't keep keys", [f"trust.keys = {str(self._folder)!r}: {error.strerror}; expected a private folder"]
            ) from error

    def signer(self, role: str) -> CryptoSigner:
        """The signer of an online role; raises ConfigError naming the file when it is not there or no key."""
        return self._read(self._folder / f"{role}.pem")

    def roots(self) -> Sequence[CryptoSigner]:
        """The signers of the root keys that are here; none when they are kept offline."""
        return [self._read(path) for path in sorted(self._folder.glob("root-*.pem"))]

    def add_root(self) -> CryptoSigner:
        """Makes one more root key."""
        number = 1
        while (self._folder / f"root-{number}.pem").exists():
            number += 1
        self._make(f"root-{number}")
        return self._read(self._folder / f"root-{number}.pem")

    def _make(self, name: str) -> None:
        path = self._folder / f"{name}.pem"
        if path.exists():
            return
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(CryptoSigner.generate_ed25519().private_bytes)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    def _read(self, path: Path) -> CryptoSigner:
        try:
            return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError("can't sign", [f"{path}: {error}; expected a private key in PEM form"]) from error
