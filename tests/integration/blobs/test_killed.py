"""Downloads whose process is killed, and sources that lie."""

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from upriver.chunks import CHUNK, chunk_list
from upriver.errors import NotFound, Unreachable
from upriver.listing import digest
from upriver_agent.blobs.download import Downloader, DownloadOptions
from upriver_agent.blobs.sources import Delta, Piece
from upriver_agent.blobs.store import BlobStore
from upriver_agent.installing.mesh_supply import SignedFile

DATA = np.random.default_rng(6).bytes(4 * CHUNK + 9)
SUMS = chunk_list(io.BytesIO(DATA))
FILE = SignedFile(digest(DATA), len(DATA), digest(SUMS))
STEP = 100_000


class Memory:
    """A source in memory; `wrong` is a byte that it sends otherwise."""

    is_agent = True

    def __init__(self, name: str, wrong: int = -1) -> None:
        self.name, self.wrong, self.asked = name, wrong, 0

    def fetch(self, name: str, offset: int) -> "Sending":
        self.asked += 1
        data = bytearray({FILE.digest: DATA, FILE.chunks: SUMS}[name])
        if 0 <= self.wrong < len(data) and name == FILE.digest:
            data[self.wrong] ^= 1
        return Sending(bytes(data), offset)

    def find_delta(self, name: str, bases: Sequence[str]) -> Delta | None:
        return None

    def metadata(self, name: str) -> bytes:
        raise NotFound(name)


class Sending:
    def __init__(self, data: bytes, offset: int) -> None:
        self.data, self.offset = data, offset

    def __iter__(self) -> Iterator[Piece]:
        for start in range(self.offset, len(self.data), STEP):
            yield start, self.data[start : start + STEP], len(self.data)

    def cancel(self) -> None:
        """Ends with its reader."""


def fetch(folder: Path, *sources: Memory, file: SignedFile = FILE) -> bytes:
    options = DownloadOptions(rounds=2, first_backoff_s=0.01)
    return (
        Downloader(BlobStore(folder, 64 << 20), lambda: sources, options)
        .fetch(file, (), threading.Event())
        .read_bytes()
    )


@pytest.mark.parametrize("chunks", [FILE.chunks, ""])
def test_a_lying_source_is_left_for_an_honest_one(tmp_path: Path, chunks: str) -> None:
    file = SignedFile(FILE.digest, FILE.size_bytes, chunks)
    assert fetch(tmp_path, Memory("liar", 2 * CHUNK + 5), Memory("honest"), file=file) == DATA


def test_with_liars_only_nothing_is_kept_under_the_digest(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        fetch(tmp_path, Memory("liar", 2 * CHUNK + 5))
    assert BlobStore(tmp_path, 1 << 30).path(FILE.digest) is None


CHILD = """
import os, signal, sys
from pathlib import Path
from upriver_agent.blobs.store import BlobStore
from tests.integration.blobs import test_killed as t
store, end = BlobStore(Path(sys.argv[1]), 1 << 30), int(sys.argv[2])
partial = store.partial(t.FILE.digest, len(t.DATA), t.SUMS)
for start, data, _ in t.Sending(t.DATA, partial.offset):
    if start + len(data) > end:
        os.kill(os.getpid(), signal.SIGKILL)
    partial.add(data)
partial.finish()
"""


def test_after_kill_9_at_any_point_the_download_goes_on(tmp_path: Path) -> None:
    for end in np.random.default_rng(7).integers(0, len(DATA), 20):
        child = subprocess.run([sys.executable, "-c", CHILD, tmp_path, str(end)], timeout=30, check=False)
        assert child.returncode == -signal.SIGKILL
        assert not (tmp_path / FILE.digest.removeprefix("sha256:")).exists()
    assert fetch(tmp_path, Memory("honest")) == DATA
