"""Which targets were taken in while their metadata was in force: those are still trusted when it has expired offline.

Without this record, whoever cuts an agent off could have it take in anything that was ever signed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble
from upriver.whole import write_whole

_FORMAT: Final = 1
_MOST: Final = 512


class Accepted:
    """A file of {target path: digest}; the oldest are forgotten beyond 512."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def digest(self, path: str) -> str:
        """The digest that a target was taken in with; empty when it was not."""
        return self._read().get(path, "")

    def add(self, path: str, digest: str) -> None:
        """Notes a target; raises DiskTrouble."""
        known = self._read()
        if known.get(path) == digest:
            return
        known.pop(path, None)
        known[path] = digest
        self._write(dict(list(known.items())[-_MOST:]))

    def remove(self, path: str) -> None:
        """Forgets a target that is no longer signed; raises DiskTrouble."""
        known = self._read()
        if known.pop(path, None) is not None:
            self._write(known)

    def _read(self) -> dict[str, str]:
        try:
            document = json.loads(self._file.read_bytes())
            if document["format"] != _FORMAT:
                return {}
            return {str(path): str(digest) for path, digest in document["targets"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}  # none yet, or damaged: then expired metadata counts for nothing

    def _write(self, targets: Mapping[str, str]) -> None:
        data = json.dumps({"format": _FORMAT, "targets": targets}).encode()
        try:
            write_whole(self._file, data)
        except OSError as error:
            raise DiskTrouble(f"can't write {self._file}: {error.strerror or error}") from error
