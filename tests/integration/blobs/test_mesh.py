"""Blobs through a control plane, a relay and a device: real gRPC servers on ports of this machine."""

import asyncio
import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest

from upriver.chunks import CHUNK, chunk_list
from upriver.errors import DiskTrouble, Unreachable
from upriver.heads import MAX_BYTES, closest_within, head_of, write_head
from upriver.listing import digest
from upriver.services import handlers
from upriver_agent.blobs.download import Downloader, DownloadOptions
from upriver_agent.blobs.servicer import BlobServicer
from upriver_agent.blobs.sources import SERVICE, BlobSource, GrpcSource
from upriver_agent.blobs.store import BlobStore
from upriver_agent.installing.mesh_supply import SignedFile
from upriver_agent.transport.executor import ServingExecutor
from upriver_control.artifacts import FsspecArtifacts
from upriver_control.blobs import servicer as control
from upriver_control.blobs.deltas import Deltas

DATA = np.random.default_rng(5).bytes(5 * CHUNK + 77)
NEVER = threading.Event()
QUICK = DownloadOptions(stall_s=5.0, rounds=2, first_backoff_s=0.05)


class NoMetadata:
    def read(self, name: str) -> bytes | None:
        return b"signed" if name == "timestamp.json" else None


@contextmanager
def control_plane(artifacts: FsspecArtifacts) -> Iterator[tuple[str, control.BlobServicer]]:
    loop = asyncio.new_event_loop()
    deltas = Deltas(artifacts)
    servicer = control.BlobServicer(artifacts, deltas, NoMetadata())

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers(SERVICE, servicer),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{port}", servicer
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        deltas.close()
        loop.close()


def agent(folder: Path, sources: list[BlobSource], budget: int = 64 << 20) -> tuple[BlobStore, Downloader]:
    store = BlobStore(folder, budget)
    return store, Downloader(store, lambda: sources, QUICK)


@contextmanager
def relay(folder: Path, above: list[BlobSource]) -> Iterator[tuple[str, BlobStore, grpc.Server]]:
    store, downloader = agent(folder, above)
    executor = ServingExecutor(2, 40)
    server = grpc.server(executor)  # type: ignore[arg-type]  # any Executor does
    servicer = BlobServicer(store, downloader, lambda: above, executor.blocking)
    server.add_generic_rpc_handlers((handlers(SERVICE, servicer),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", store, server
    finally:
        server.stop(0).wait(10)
        executor.shutdown()


def published(folder: Path, data: bytes) -> tuple[FsspecArtifacts, SignedFile]:
    artifacts = FsspecArtifacts(str(folder / "artifacts"))
    sums = chunk_list(io.BytesIO(data))
    for blob in (data, sums):
        artifacts.put(digest(blob), io.BytesIO(blob))
    return artifacts, SignedFile(digest(data), len(data), digest(sums))


def source(address: str, is_agent: bool) -> GrpcSource:
    return GrpcSource(address, grpc.insecure_channel(address), is_agent)


def test_devices_fetch_through_a_relay_and_the_control_plane_sends_once(tmp_path: Path) -> None:
    artifacts, file = published(tmp_path, DATA)
    with (
        control_plane(artifacts) as (address, counted),
        relay(tmp_path / "edge", [source(address, False)]) as (edge, store, _),
    ):
        devices = [agent(tmp_path / f"device{n}", [source(edge, True), source(address, False)])[1] for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            paths = list(pool.map(lambda device: device.fetch(file, (), NEVER), devices))
        assert [path.read_bytes() == DATA for path in paths] == [True] * 4
        assert counted.sent[file.digest] == len(DATA)
        assert store.path(file.digest) is not None
        assert all(device.traffic.from_control_plane == 0 for device in devices)


def test_a_delta_travels_and_another_head_costs_little(tmp_path: Path) -> None:
    artifacts, old = published(tmp_path, DATA)
    data = DATA[:-50_000] + bytes(reversed(DATA[-50_000:]))
    _, new = published(tmp_path, data)
    with (
        control_plane(artifacts) as (address, counted),
        relay(tmp_path / "edge", [source(address, False)]) as (edge, _, _),
    ):
        _, device = agent(tmp_path / "device", [source(edge, True)])
        device.fetch(old, (), NEVER)
        assert device.fetch(new, (old.digest,), NEVER).read_bytes() == data
        assert counted.sent.get(new.digest, 0) == 0
        assert device.traffic.saved_by_deltas > 0.97 * len(data)


def test_a_heads_update_travels_as_some_hundred_bytes_to_the_bit(tmp_path: Path) -> None:
    version, labels = "sha256:" + "7" * 64, tuple("0123456789")
    random = np.random.default_rng(2)
    old = head_of(version, labels, random.normal(size=(129, 10)))
    new = closest_within(old, labels, old.weights() + random.normal(0, 0.02, (129, 10)), 900)
    artifacts = FsspecArtifacts(str(tmp_path / "artifacts"))
    for head in (old, new):
        artifacts.put(digest(write_head(head)), io.BytesIO(write_head(head)))
    first, second = (SignedFile(digest(write_head(head)), -1, most_bytes=MAX_BYTES) for head in (old, new))
    with (
        control_plane(artifacts) as (address, counted),
        relay(tmp_path / "edge", [source(address, False)]) as (edge, _, _),
    ):
        _, device = agent(tmp_path / "device", [source(edge, True)])
        device.fetch(first, (), NEVER)
        before = device.traffic.from_agents
        assert device.fetch(second, (first.digest,), NEVER).read_bytes() == write_head(new)
        assert 0 < device.traffic.from_agents - before <= 1024
        assert counted.sent.get(second.digest, 0) == 0, "nobody was sent the whole"
        _, other = agent(tmp_path / "other", [source(edge, True)])
        assert other.fetch(second, (), NEVER).read_bytes() == write_head(new), "who has no base gets the whole"


def test_a_blob_whose_size_was_not_signed_may_not_be_larger_than_it_can_be(tmp_path: Path) -> None:
    artifacts, file = published(tmp_path, DATA)
    with control_plane(artifacts) as (address, _):
        _, device = agent(tmp_path / "device", [source(address, False)])
        with pytest.raises(Unreachable, match="expected at most 1000"):
            device.fetch(SignedFile(file.digest, -1, most_bytes=1000), (), NEVER)


def test_when_the_relay_is_gone_the_control_plane_is_asked(tmp_path: Path) -> None:
    artifacts, file = published(tmp_path, DATA)
    with control_plane(artifacts) as (address, _):
        with relay(tmp_path / "edge", [source(address, False)]) as (edge, _, server):
            server.stop(0).wait(10)
            _, device = agent(tmp_path / "device", [source(edge, True), source(address, False)])
            assert device.fetch(file, (), NEVER).read_bytes() == DATA
        assert device.traffic.from_control_plane > len(DATA)


def test_what_is_damaged_at_rest_is_fetched_anew_and_a_partial_is_resumed(tmp_path: Path) -> None:
    artifacts, file = published(tmp_path, DATA)
    with control_plane(artifacts) as (address, counted):
        _, device = agent(tmp_path / "device", [source(address, False)])
        path = device.fetch(file, (), NEVER)
        path.write_bytes(b"x" + DATA[1:])
        assert device.fetch(file, (), NEVER).read_bytes() == DATA
        before = counted.sent[file.digest]
        path.rename(path.with_name(path.name + ".partial"))
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(DATA[: 3 * CHUNK] + b"torn")
        assert device.fetch(file, (), NEVER).read_bytes() == DATA
        assert counted.sent[file.digest] - before == len(DATA) - 3 * CHUNK


def test_no_room_and_no_folder_are_told_and_nobody_having_it_too(tmp_path: Path) -> None:
    artifacts, file = published(tmp_path, DATA)
    with control_plane(artifacts) as (address, _):
        _, small = agent(tmp_path / "small", [source(address, False)], CHUNK)
        with pytest.raises(DiskTrouble, match="no room"):
            small.fetch(file, (), NEVER)
        (tmp_path / "file").write_bytes(b"")
        _, broken = agent(tmp_path / "file", [source(address, False)])
        with pytest.raises(DiskTrouble):
            broken.fetch(file, (), NEVER)
        unknown = SignedFile("sha256:" + hashlib.sha256(b"?").hexdigest(), 1)
        with pytest.raises(Unreachable):
            small.fetch(unknown, (), NEVER)
