"""Where signed metadata is kept: whoever changes it does so alone, and what is written first is there first."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from upriver.errors import DiskTrouble, NotNow

Write = Callable[[str, bytes], None]
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,120}\.json")
_LOOK_S: Final = 0.01


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

    def __init__(self, folder: Path, timeout_s: float = 30.0) -> None:
        """`timeout_s` bounds the wait for another writer; NotNow is raised after it."""
        self._folder = folder
        self._timeout_s = timeout_s

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        if _NAME.fullmatch(name) is None:
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
                self._lock(lock.fileno())
                yield self._write
        except OSError as error:
            raise self._trouble(error) from error

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def _lock(self, file: int) -> None:
        ends = time.monotonic() + self._timeout_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > ends:
                    raise NotNow(
                        f"signed metadata in {self._folder} has been in another process's hands for "
                        f"{self._timeout_s:g} s; try again"
                    ) from error
                time.sleep(_LOOK_S)
            else:
                return

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
