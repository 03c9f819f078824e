"""Takes in what versions are trained from: written aside, held against its digest, and kept among the artifacts."""

import asyncio
import hashlib
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble, InvalidInput, NotNow, QueueFull
from upriver.listing import is_digest
from upriver.questions import read_index
from upriver.v1 import train_pb2 as pb
from upriver_control.publishing import Publisher
from upriver_control.store.records import StoredVersion, read_version_name
from upriver_control.store.trainings import Source, SourceKind, SourceTable
from upriver_control.working.threads import whole

MAX_DATA: Final = 1 << 20
MAX_BYTES: Final = 16 << 30
IDLE_S: Final = 30.0
AT_ONCE: Final = 2
KINDS: Final = {pb.SOURCE_KIND_KERAS: SourceKind.KERAS, pb.SOURCE_KIND_REPLAY: SourceKind.REPLAY}


class SourceUploads:
    """Takes uploads, a few at a time."""

    def __init__(self, publisher: Publisher, sources: SourceTable, clock: Callable[[], float]) -> None:
        self._publisher = publisher
        self._sources = sources
        self._clock = clock
        self._places = asyncio.Semaphore(AT_ONCE)

    async def receive(self, requests: AsyncIterator[pb.UploadSourceRequest]) -> bool:
        """Takes one upload; False when it was there already. Raises InvalidInput, NotFound, QueueFull, DiskTrouble."""
        if self._places.locked():
            raise QueueFull("other sources are being uploaded; try again in a moment")
        async with self._places:
            first = await _next(requests)
            if first is None or first.WhichOneof("part") != "header":
                raise InvalidInput("an upload begins with its header")
            header = first.header
            _check(header)
            version = await asyncio.to_thread(self._publisher.store.version, *read_version_name(header.version))
            incoming = self._publisher.incoming()
            try:
                path = await whole(incoming.__enter__) / "source"
                await _write(requests, header, path)
                return await whole(self._keep, version, header, path)
            finally:
                await whole(incoming.__exit__, None, None, None)

    def _keep(self, version: StoredVersion, header: pb.SourceHeader, path: Path) -> bool:
        kind = KINDS[header.kind]
        _look_over(kind, path)
        known = self._sources.of(version.digest).get(kind)
        if known is not None and known.digest != header.digest:
            raise NotNow(
                f"{version.name} has another {kind.value} beside it, {known.digest}; what a version is trained from"
                " never changes: publish this one with a version of its own"
            )
        # First: from here on the blob is held, and not swept between the two.
        found = {kind: Source(header.digest, header.size_bytes)}
        self._sources.keep(version.digest, found, self._clock())
        with path.open("rb") as stream:
            self._publisher.artifacts.put(header.digest, stream)
        return known is None


def _look_over(kind: SourceKind, path: Path) -> None:
    if kind is SourceKind.REPLAY:
        if not read_index(path).has_labels:
            raise InvalidInput("what is replayed has no labels; give each question its label")
    elif not zipfile.is_zipfile(path):
        raise InvalidInput("the source is no Keras file (.keras); save the model with model.save('model.keras')")


def _check(header: pb.SourceHeader) -> None:
    if header.kind not in KINDS:
        raise InvalidInput("kind is unknown; expected keras or replay")
    if not is_digest(header.digest):
        raise InvalidInput(f"digest is {header.digest[:80]!r}; expected sha256: and 64 digits")
    if not 0 < header.size_bytes <= MAX_BYTES:
        raise InvalidInput(f"{header.size_bytes} bytes; expected 1 to {MAX_BYTES}")


async def _write(requests: AsyncIterator[pb.UploadSourceRequest], header: pb.SourceHeader, path: Path) -> None:
    found, left = hashlib.sha256(), header.size_bytes
    try:
        with await asyncio.to_thread(path.open, "xb") as out:
            while (message := await _next(requests)) is not None:
                if message.WhichOneof("part") != "data" or not 0 < len(message.data) <= min(MAX_DATA, left):
                    raise InvalidInput(f"expected data, at most {MAX_DATA} bytes a message and as many as announced")
                found.update(message.data)
                left -= len(message.data)
                await asyncio.to_thread(out.write, message.data)
    except OSError as error:
        raise DiskTrouble(f"can't keep the upload: {error.strerror or error}") from error
    if left:
        raise InvalidInput(f"{left} of {header.size_bytes} bytes did not come; upload again")
    if f"sha256:{found.hexdigest()}" != header.digest:
        raise InvalidInput(f"the bytes have the digest sha256:{found.hexdigest()}, not {header.digest}")


async def _next(requests: AsyncIterator[pb.UploadSourceRequest]) -> pb.UploadSourceRequest | None:
    try:
        return await asyncio.wait_for(anext(requests), IDLE_S)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise InvalidInput(f"nothing came for {IDLE_S:g} s; upload again") from error
