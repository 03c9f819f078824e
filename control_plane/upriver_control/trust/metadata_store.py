"""Where signed metadata is kept: whoever changes it does so alone, and what is written first is there first."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from upriver.errors import DiskTrouble

Write = Callable[[str, bytes], None]


class MetadataStore(Protocol):
    """Files by name. Methods raise DiskTrouble when the place fails."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        ...

    def change(self) -> AbstractContextManager[Write]:
        """Holds off every other writer, in all processes; gives what writes a file whole or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it is there; only while changing."""
        ...


class FolderMetadataStore:
    """A folder, for processes on one machine or one shared file system with locks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        if "/" in name or name.startswith("."):
            return None
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble(error) from error

    @contextmanager
    def change(self) -> Iterator[Write]:
        """Holds the folder's lock; the kernel frees it when its holder dies."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._write
        except OSError as error:
            raise self._trouble(error) from error

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> DiskTrouble:
        return DiskTrouble(f"signed metadata in {self._folder}: {error.strerror or error}")

    def _write(self, name: str, data: bytes) -> None:
        aside = self._folder / f".{name}.new"
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._folder / name)
        directory = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
