"""The leader lock beside a SQLite file: an exclusive flock, which the kernel gives back when the process ends."""

import fcntl
import os
from pathlib import Path

from upriver.errors import DiskTrouble


class FileLock:
    """Exclusive among the processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    async def acquire(self) -> bool:
        """Tries to take it; raises DiskTrouble when the file can't be made."""
        if self._file is not None:
            return await self.held()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DiskTrouble(f"leader lock {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError as error:
            os.close(file)
            raise DiskTrouble(f"leader lock {self._path}: {error.strerror}") from error
        self._file = file
        return await self.held()

    async def held(self) -> bool:
        """Whether it is still ours: a lock on a file that was deleted or replaced keeps nobody out."""
        if self._file is None:
            return False
        try:
            there, ours = self._path.stat(), os.fstat(self._file)
        except OSError:
            await self.release()
            return False
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            await self.release()
            return False
        return True

    async def release(self) -> None:
        """Gives it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
