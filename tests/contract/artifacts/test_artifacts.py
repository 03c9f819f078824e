"""Artifacts: the same promises in a folder, in another file system of fsspec's, and over S3's protocol.

The last where moto is installed, whose server speaks it.
"""

import errno
import hashlib
import io
import os
import subprocess
import sys
from importlib.util import find_spec

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upriver.errors import (
    BlobNotFound,
    ConfigError,
    DiskTrouble,
    InvalidInput,
    ModelInvalid,
    RuntimeMissing,
    Unreachable,
)
from upriver_control.artifacts import FsspecArtifacts, put_bytes
from upriver_control.config import load_config


def name(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def artifacts(url):
    return FsspecArtifacts(url)


def path_of(url: str, digest: str) -> str:
    digits = digest.removeprefix("sha256:")
    return f"{url}/{digits[:2]}/{digits}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=5000), offset=st.integers(0, 6000), size=st.none() | st.integers(0, 6000))
def test_any_range_reads_as_it_was_put(artifacts, data, offset, size):
    digest = name(data)
    assert artifacts.put(digest, io.BytesIO(data)) == len(data)
    assert artifacts.read(digest, offset, size) == data[offset : None if size is None else offset + size]
    assert (artifacts.has(digest), artifacts.size(digest)) == (True, len(data))


def test_blobs_are_listed_and_deleted(artifacts):
    assert list(artifacts.digests()) == []
    blobs = {name(bytes([index])): bytes([index]) for index in range(20)}
    for digest, data in blobs.items():
        put_bytes(artifacts, digest, data)
    assert set(artifacts.digests()) == set(blobs)
    for digest in blobs:
        artifacts.delete(digest)
        artifacts.delete(digest)
    assert list(artifacts.digests()) == []


def test_what_is_not_there_is_told(artifacts):
    digest = name(b"never put")
    assert not artifacts.has(digest)
    for ask in (artifacts.read, artifacts.size):
        with pytest.raises(BlobNotFound, match=digest):
            ask(digest)


def test_bytes_with_another_digest_are_not_kept(artifacts):
    digest = name(b"expected")
    with pytest.raises(ModelInvalid, match=f"expected {digest}"):
        put_bytes(artifacts, digest, b"came")
    assert list(artifacts.digests()) == []


def test_a_stream_that_breaks_leaves_nothing(artifacts, url, tmp_path):
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise OSError(errno.EIO, "broken")

    with pytest.raises((DiskTrouble, Unreachable), match="broken"):
        artifacts.put(name(b"x"), Broken())
    assert list(artifacts.digests()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_blob_damaged_at_rest_is_told_when_read_whole_and_mended_when_put_again(artifacts, url):
    data = os.urandom(3000)
    digest = name(data)
    put_bytes(artifacts, digest, data)
    with fsspec.open(path_of(url, digest), "wb") as file:
        file.write(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DiskTrouble, match="damaged"):
        artifacts.read(digest)
    put_bytes(artifacts, digest, data)
    assert artifacts.read(digest) == data


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "A" * 64])
def test_names_that_are_no_digests_are_refused(artifacts, digest):
    with pytest.raises(InvalidInput):
        artifacts.read(digest)


def test_a_large_blob_goes_through(artifacts):
    data = os.urandom(9 << 20)
    digest = name(data)
    put_bytes(artifacts, digest, data)
    assert artifacts.read(digest, 5 << 20, 1 << 20) == data[5 << 20 : 6 << 20]
    assert artifacts.read(digest) == data


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskTrouble, match="artifacts in"):
        put_bytes(FsspecArtifacts(str(tmp_path / "file" / "below")), name(b"x"), b"x")


OUT_OF_ROOM = """
import hashlib, resource, signal, sys
from upriver.errors import DiskTrouble
from upriver_control.artifacts import FsspecArtifacts, put_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
data = bytes(1_000_000)
try:
    put_bytes(FsspecArtifacts(sys.argv[1]), "sha256:" + hashlib.sha256(data).hexdigest(), data)
except DiskTrouble as error:
    print(error)
"""


def test_a_disk_without_room_is_told_and_nothing_is_left(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_ROOM, tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert "File too large" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Unplugged(MemoryFileSystem):
    """An object store that can't be reached, with an error of its library's own kind."""

    protocol = "unplugged"

    def info(self, path, **options):
        raise LookupError("no route to the store")

    def _open(self, path, mode="rb", **options):
        raise LookupError("no route to the store")


def test_a_store_that_cannot_be_reached_is_not_taken_for_an_empty_one():
    fsspec.register_implementation("unplugged", Unplugged, clobber=True)
    artifacts = FsspecArtifacts("unplugged://x")
    digest = name(b"x")
    for ask in (artifacts.has, artifacts.size, artifacts.read, lambda digest: put_bytes(artifacts, digest, b"x")):
        with pytest.raises(Unreachable, match="no route"):
            ask(digest)


def test_urls_that_nothing_serves_are_refused():
    with pytest.raises(ConfigError):
        FsspecArtifacts("nonsense://x")


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_package_is_named():
    with pytest.raises(RuntimeMissing, match=r"upriver\[s3\]"):
        FsspecArtifacts("s3://bucket/prefix")


@pytest.mark.skipif(not (find_spec("moto") and find_spec("s3fs")), reason="moto and s3fs are not installed")
def test_an_endpoint_of_the_configuration_is_used(s3, monkeypatch):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    fsspec.filesystem("s3", endpoint_url=s3).mkdir("s3://configured")
    config = load_config(
        None, {"UPRIVER_CONTROL_STATE_ARTIFACTS": "s3://configured/x", "UPRIVER_CONTROL_STATE_S3_ENDPOINT": s3}
    )
    artifacts = FsspecArtifacts(config.artifacts_url, config.artifacts_options)
    put_bytes(artifacts, name(b"there"), b"there")
    assert artifacts.read(name(b"there")) == b"there"
