"""Takes questions files in: written aside, held against their digest, looked over, and kept among the artifacts."""

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from upriver.errors import DiskTrouble, InvalidInput, QueueFull
from upriver.listing import is_digest
from upriver.questions import INPUTS, Index, read_index
from upriver.v1 import policy_pb2 as pb
from upriver_control.artifacts import Artifacts
from upriver_control.policy_wire import read_parent
from upriver_control.store.questions import QuestionTable, StoredQuestions
from upriver_control.working.threads import whole

MAX_DATA: Final = 1 << 20
IDLE_S: Final = 30.0
AT_ONCE: Final = 2
ABANDONED_S: Final = 86_400.0
_WRITE: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class KeptQuestions:
    """A questions file that is kept, and whether it was there before."""

    stored: StoredQuestions
    created: bool


class QuestionUploads:
    """Takes uploads, a few at a time, and keeps them for `keep_s`; at most `max_bytes` each."""

    def __init__(
        self,
        table: QuestionTable,
        artifacts: Artifacts,
        folder: Path,
        max_bytes: int,
        keep_s: float,
        clock: Callable[[], float],
    ) -> None:
        """`folder` is for uploads that are not whole yet."""
        self._table = table
        self._artifacts = artifacts
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._places = asyncio.Semaphore(AT_ONCE)

    async def receive(self, requests: AsyncIterator[pb.UploadCalibrationDataRequest]) -> KeptQuestions:
        """Takes one upload; raises InvalidInput, QueueFull, DiskTrouble."""
        if self._places.locked():
            raise QueueFull("other calibration data is being uploaded; try again in a moment")
        async with self._places:
            first = await _next(requests)
            if first is None or first.WhichOneof("part") != "header":
                raise InvalidInput("an upload begins with its header")
            header = first.header
            self._check(header)
            folder = self._folder / f"upload-{uuid.uuid4().hex}"
            try:
                await whole(self._make, folder)
                await self._write(requests, header, folder / "questions")
                return await whole(self._keep, header, folder / "questions")
            finally:
                await whole(shutil.rmtree, folder, ignore_errors=True)

    def use(self, digest: str) -> StoredQuestions:
        """A file that is about to be used, kept for longer from now on; raises NotFound. Blocks."""
        found = self._table.get(digest)
        self._artifacts.size(digest)
        self._table.keep(StoredQuestions(digest, found.questions, found.has_labels, found.size_bytes, self._until()))
        return found

    def clean(self) -> None:
        """Removes uploads that a process left behind when it was killed. Blocks."""
        for folder in self._folder.glob("upload-*"):
            try:
                old = self._clock() - folder.stat().st_mtime > ABANDONED_S
            except FileNotFoundError:  # another process was faster
                continue
            if old:
                shutil.rmtree(folder, ignore_errors=True)  # tried again at the next start

    def _until(self) -> float:
        return self._clock() + self._keep_s

    def _check(self, header: pb.CalibrationDataHeader) -> None:
        read_parent(header.parent, "parent")
        if not is_digest(header.digest):
            raise InvalidInput(f"digest is {header.digest[:80]!r}; expected sha256: and 64 digits")
        if not 0 < header.size_bytes <= self._max_bytes:
            raise InvalidInput(
                f"{header.size_bytes} bytes of calibration data; expected 1 to {self._max_bytes}"
                " (policies.max_data_bytes): use fewer questions"
            )

    def _make(self, folder: Path) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise DiskTrouble(f"can't take uploads in {self._folder}: {error.strerror or error}") from error

    async def _write(
        self, requests: AsyncIterator[pb.UploadCalibrationDataRequest], header: pb.CalibrationDataHeader, path: Path
    ) -> None:
        found, left, waiting = hashlib.sha256(), header.size_bytes, bytearray()
        try:
            with await asyncio.to_thread(path.open, "xb") as out:
                while (message := await _next(requests)) is not None:
                    if message.WhichOneof("part") != "data" or not 0 < len(message.data) <= min(MAX_DATA, left):
                        raise InvalidInput(
                            f"expected data, at most {MAX_DATA} bytes a message and as many as announced"
                        )
                    waiting += message.data
                    left -= len(message.data)
                    if len(waiting) >= _WRITE:
                        await asyncio.to_thread(_add, out, found, bytes(waiting))
                        waiting.clear()
                await asyncio.to_thread(_add, out, found, bytes(waiting))
        except OSError as error:
            raise DiskTrouble(f"can't keep the upload: {error.strerror or error}") from error
        if left:
            raise InvalidInput(f"{left} of {header.size_bytes} bytes did not come; upload again")
        if f"sha256:{found.hexdigest()}" != header.digest:
            raise InvalidInput(f"the bytes have the digest sha256:{found.hexdigest()}, not {header.digest}")

    def _keep(self, header: pb.CalibrationDataHeader, path: Path) -> KeptQuestions:
        index = _looked_over(path)
        created = not self._artifacts.has(header.digest)
        stored = StoredQuestions(header.digest, index.rows, index.has_labels, header.size_bytes, self._until())
        self._table.keep(stored)  # first: from here on the blob is held, and not swept between the two
        try:
            with path.open("rb") as stream:
                self._artifacts.put(header.digest, stream)
        except OSError as error:
            raise DiskTrouble(f"can't read the upload: {error.strerror or error}") from error
        return KeptQuestions(stored, created)


def _looked_over(path: Path) -> Index:
    index = read_index(path)
    if not index.rows or not any(name.startswith(INPUTS) for name in index.arrays):
        raise InvalidInput("the data has no questions")
    return index


def _add(out: IO[bytes], found: "hashlib._Hash", data: bytes) -> None:
    found.update(data)
    out.write(data)


async def _next(requests: AsyncIterator[pb.UploadCalibrationDataRequest]) -> pb.UploadCalibrationDataRequest | None:
    try:
        return await asyncio.wait_for(anext(requests), IDLE_S)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise InvalidInput(f"nothing came for {IDLE_S:g} s; upload again") from error
