"""Files of lessons at a URL of fsspec's: written aside, and moved to their place when a row says that they are there.

What is not in its place lies in `_staging`, which engines that read Parquet pass over, as all names with `_` in front.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import fsspec.core
from fsspec.implementations.local import LocalFileSystem

from upriver.errors import ConfigError, DiskTrouble, NotFound, RuntimeMissing, Unreachable, UpriverError
from upriver_control.store.lessons import Part

if TYPE_CHECKING:
    import pyarrow as pa

STAGING: Final = "_staging"
TRAININGS: Final = "_trainings"


class LessonFiles:
    """The files. Methods block; they raise DiskTrouble when a folder fails, Unreachable for a store."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` go to the file system. Raises ConfigError and RuntimeMissing as `FsspecArtifacts` does."""
        try:
            self._files, root = fsspec.core.url_to_fs(url, **{"use_listings_cache": False, **(options or {})})
        except ImportError as error:
            raise RuntimeMissing(f"lessons {url!r}: {error}; S3 needs: pip install 'upriver[s3]'") from error
        except ValueError as error:
            raise ConfigError("configuration", [f"lessons {url!r}: {error}; expected a folder or a URL"]) from error
        self.url = url
        self._root = root.rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)

    def stage(self, name: str, table: "pa.Table") -> int:
        """Writes rows aside, whole and on the disk; gives the bytes."""
        return self._write(f"{self._root}/{STAGING}/{name}.parquet", table)

    def place(self, part: Part) -> None:
        """Moves a file to its place; one that is there already stays."""
        aside, there = self._aside(part.name), self._place(part)
        try:
            with self._told():
                if self._local:
                    Path(there).parent.mkdir(parents=True, exist_ok=True)
                    Path(aside).replace(there)
                    _flush(Path(there).parent)
                else:
                    self._files.copy(aside, there)
                    self._files.rm_file(aside)
        except NotFound:
            with self._told():
                if not self._files.exists(there):  # else it was moved before, or by another process at this moment
                    raise

    def read(self, part: Part, columns: Sequence[str] | None = None) -> "pa.Table":
        """The rows of a file, wherever it is, with some columns or all.

        Raises NotFound when it has gone, DiskTrouble when it is damaged.
        """
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        for path in (self._place(part), self._aside(part.name)):
            try:
                with self._told(), self._files.open(path, "rb") as file:
                    data = file.read()
            except NotFound:
                continue
            try:
                return tables.decoded(data, columns)
            except tables.DAMAGED as error:
                raise DiskTrouble(f"the file of lessons {path} is damaged: bring a copy of it back") from error
        raise NotFound(f"the file of lessons {part.name} is gone")

    def delete(self, part: Part) -> None:
        """Deletes a file, wherever it is; one that is not there is no error."""
        self._delete(self._place(part))
        self._delete(self._aside(part.name))

    def drop(self, name: str) -> None:
        """Deletes a file that was written aside."""
        self._delete(self._aside(name))

    def staged(self, older_than_s: float) -> Iterator[str]:
        """The names of files that lie aside for so long."""
        folder = f"{self._root}/{STAGING}"
        with self._told():
            if not self._files.isdir(folder):
                return
            for path, info in self._files.find(folder, detail=True).items():
                changed = info["mtime"] if "mtime" in info else _stamp(info.get("LastModified"))
                if time.time() - changed > older_than_s:
                    yield path.rsplit("/", 1)[-1].removesuffix(".parquet")

    def for_training(self, training: str, rows: "Iterable[pa.Table]") -> str:
        """Writes rows for a training of another machine to read; gives their URL."""
        for number, table in enumerate(rows):
            self._write(f"{self._root}/{TRAININGS}/{training}/part-{number:05d}.parquet", table)
        return f"{self.url.rstrip('/')}/{TRAININGS}/{training}"

    def after_training(self, training: str) -> None:
        """Deletes those rows; none that are there is no error."""
        with suppress(NotFound), self._told():
            self._files.rm(f"{self._root}/{TRAININGS}/{training}", recursive=True)

    def trainings(self) -> list[str]:
        """The trainings that rows were written for and not deleted."""
        folder = f"{self._root}/{TRAININGS}"
        with self._told():
            found = self._files.ls(folder, detail=False) if self._files.isdir(folder) else ()
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in found]

    def _write(self, path: str, table: "pa.Table") -> int:
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        data = tables.encoded(table)
        with self._told():
            if self._local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            with self._files.open(path, "wb") as file:
                file.write(data)
                if self._local:
                    file.flush()
                    os.fsync(file.fileno())
            if self._local:
                _flush(Path(path).parent)
        return len(data)

    def _delete(self, path: str) -> None:
        try:
            with self._told():
                self._files.rm_file(path)
        except NotFound:
            return

    def _aside(self, name: str) -> str:
        return f"{self._root}/{STAGING}/{name}.parquet"

    def _place(self, part: Part) -> str:
        keys = (("model", part.model), ("region", part.region), ("date", part.date))
        folder = "/".join(f"{key}={quote(value, safe='')}" for key, value in keys)
        return f"{self._root}/{folder}/part-{part.name}.parquet"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except UpriverError:
            raise
        except FileNotFoundError as error:
            raise NotFound(f"there is no such file of lessons in {self._root}") from error
        except Exception as error:  # told below unless it is ours; object stores raise their libraries' own kinds
            if self._local and not isinstance(error, OSError):
                raise
            kind = DiskTrouble if self._local else Unreachable
            raise kind(f"lessons in {self._root}: {getattr(error, 'strerror', None) or error}") from error


def _stamp(value: Any) -> float:
    return float(value.timestamp()) if hasattr(value, "timestamp") else time.time()


def _flush(folder: Path) -> None:
    """Makes a rename inside the folder last."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
