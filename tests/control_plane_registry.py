"""A registry of real parts in a folder: SQLite, artifacts, a signed repository, and the child that tries versions."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from tuf.api.metadata import Targets

from upriver.services import handlers
from upriver.v1 import blob_pb2, registry_pb2
from upriver_control.artifacts import FsspecArtifacts
from upriver_control.publishing import Publisher, nobody
from upriver_control.services.authentication import OperatorTokens
from upriver_control.services.registry import RegistryServicer
from upriver_control.store.database import Database, open_database
from upriver_control.store.registry import RegistryStore
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository, TrustOptions
from upriver_control.validation import ChildValidation, Limits

REGISTRY = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"]


BLOBS = blob_pb2.DESCRIPTOR.services_by_name["BlobService"]


class Blobs:
    """Gives the artifacts' blobs, in small pieces."""

    def __init__(self, artifacts: FsspecArtifacts) -> None:
        self.artifacts = artifacts

    async def fetch(self, request, context):
        data = self.artifacts.read(request.digest)
        for at in range(0, len(data), 100):
            yield blob_pb2.FetchResponse(offset=at, data=data[at : at + 100], size_bytes=len(data))

    async def has(self, request, context):
        return blob_pb2.HasResponse(digests=[one for one in request.digests if self.artifacts.has(one)])

    async def find_delta(self, request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no deltas here")

    async def fetch_metadata(self, request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no metadata here")


@dataclass
class Registry:
    database: Database
    store: RegistryStore
    artifacts: FsspecArtifacts
    repository: Repository
    publisher: Publisher


def open_registry(folder: Path, url: str = "", validate=None, needed=nobody, clock=time.time) -> Registry:
    database = open_database(url or f"sqlite:///{folder}/control.db")
    store = RegistryStore(database)
    artifacts = FsspecArtifacts(str(folder / "artifacts"))
    repository = Repository(FolderMetadataStore(folder / "metadata"), Keys(folder / "keys"), TrustOptions(), time.time)
    repository.open()
    trying = validate or ChildValidation(Limits(timeout_s=60.0))
    publisher = Publisher(store, artifacts, repository, trying, needed, folder / "uploads", clock)
    return Registry(database, store, artifacts, repository, publisher)


def signed(registry: Registry, model: str, version: str) -> dict | None:
    """What is signed for a version: the target's custom facts and digest; None when it is not signed."""
    path = f"versions/{model}/{version}"
    current = registry.repository._current()
    name = registry.repository._bin_of(path)
    target = registry.repository._load(Targets, name, current.bins[name]).signed.targets.get(path)
    return None if target is None else {"sha256": target.hashes["sha256"], **target.custom}


@contextmanager
def serving(registry: Registry, token: str = "", idle_s: float = 10.0, uploads: int = 4) -> Iterator[str]:
    """Serves the registry on a free port from a thread of its own; gives the address."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready, ended = threading.Event(), asyncio.Event()

    async def run() -> None:
        server = grpc.aio.server(interceptors=[OperatorTokens(token)])
        servicer = RegistryServicer(registry.publisher, uploads, idle_s)
        server.add_generic_rpc_handlers((handlers(REGISTRY, servicer), handlers(BLOBS, Blobs(registry.artifacts))))
        started.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        ready.set()
        await ended.wait()
        await server.stop(1.0)
        await servicer.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(60)
        loop.close()
