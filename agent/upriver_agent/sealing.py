"""Inputs sealed on the disk with a key from a file: AES-256-GCM. The one module that imports `cryptography`.

It comes with the extra `fleet`, and is loaded when a key is first used. What a sealed input belongs to is bound to it,
so that one can't be put in another's place.
"""

import importlib
import importlib.util
import re
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from upriver.errors import DiskTrouble, RuntimeMissing

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HEX: Final = re.compile(rb"\s*([0-9A-Fa-f]{64})\s*")


def available() -> bool:
    """Whether anything can be sealed here; loads nothing."""
    try:
        return importlib.util.find_spec("cryptography.hazmat.primitives.ciphers.aead") is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def key_problem(path: Path) -> str:
    """What is wrong with a key file; empty when nothing is."""
    if not available():
        return "sealing inputs needs cryptography: pip install 'upriver[fleet]'"
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if _key_of(data) is None:
        return f"it has {len(data)} bytes: expected {_KEY_BYTES} bytes of chance, or 64 hexadecimal digits"
    return ""


class Seal:
    """One key. Raises RuntimeMissing without `cryptography`, DiskTrouble for a file that holds no key."""

    def __init__(self, path: Path) -> None:
        if not available():
            raise RuntimeMissing(key_problem(path))
        problem = key_problem(path)
        key = None if problem else _key_of(path.read_bytes())
        if key is None:
            raise DiskTrouble(f"can't use the key {path}: {problem}")
        ciphers: Any = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        self._invalid: Any = importlib.import_module("cryptography.exceptions").InvalidTag
        self._cipher: Any = ciphers.AESGCM(key)
        self.name = sha256(b"upriver lessons " + key).hexdigest()[:16]
        """Names the key, and does not give it away."""

    def seal(self, data: bytes, of: str) -> bytes:
        """Seals what belongs to `of`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed: bytes = self._cipher.encrypt(nonce, data, of.encode())
        return nonce + sealed

    def open(self, sealed: bytes, of: str) -> bytes:
        """Opens what was sealed; raises DiskTrouble for what was not sealed with this key, for this."""
        try:
            data: bytes = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], of.encode())
        except (self._invalid, ValueError) as error:
            raise DiskTrouble(
                f"the input of lesson {of} is damaged: it does not open with the key that it names"
            ) from error
        return data


def open_input(data: bytes, sealed: str, of: str, seal: Seal | None) -> bytes:
    """An input as it was before it was kept; `sealed` names the key that it was sealed with, empty for none.

    Raises DiskTrouble when that key is not this agent's any more.
    """
    if not sealed:
        return data
    if seal is None:
        raise DiskTrouble(f"the input of lesson {of} is sealed with the key {sealed}; set learning.encrypt_key_file")
    if sealed != seal.name:
        raise DiskTrouble(
            f"the input of lesson {of} is sealed with the key {sealed}; learning.encrypt_key_file holds {seal.name}"
        )
    return seal.open(data, of)


def _key_of(data: bytes) -> bytes | None:
    written = _HEX.fullmatch(data)
    if written is not None:
        return bytes.fromhex(written[1].decode("ascii"))
    return data if len(data) == _KEY_BYTES else None
