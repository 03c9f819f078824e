"""A signed repository in a folder, and an agent that trusts it, for the tests."""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from upriver.errors import Unreachable
from upriver.listing import format_listing, version_digest
from upriver.services import handlers
from upriver.v1 import blob_pb2 as pb
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository, TrustOptions

SERVICE = pb.DESCRIPTOR.services_by_name["BlobService"]
CHUNK: Final = 1 << 20
DAY: Final = 86_400.0
NAME: Final = "models/digits/versions/{}"


class ControlPlane:
    """A repository in a folder, with a clock that the test sets."""

    def __init__(self, folder: Path, options: TrustOptions | None = None, store=FolderMetadataStore) -> None:
        self.folder = folder
        self.now = time.time()
        self.metadata = folder / "metadata"
        self.keys = Keys(folder / "keys")
        self.repository = Repository(store(self.metadata), self.keys, options or TrustOptions(), lambda: self.now)
        self.fingerprint = self.repository.open()

    def publish(self, version: str, content: str = "") -> str:
        """Signs a version made up of its name; gives its digest."""
        listing, custom, digest = made_up(content or version)
        self.repository.publish("digits", version, listing, custom)
        return digest

    def snapshot(self) -> Path:
        """A copy of all metadata as it is now."""
        copy = self.folder / f"copy-{len(list(self.folder.iterdir()))}"
        shutil.copytree(self.metadata, copy)
        return copy


def made_up(content: str) -> tuple[bytes, dict[str, object], str]:
    files = {
        name: content.encode().hex().ljust(64, end)[:64]
        for name, end in (("model.tflite", "0"), ("manifest.toml", "1"))
    }
    custom = {
        "format": 1,
        "files": {name: {"sha256": sha, "size": 10} for name, sha in files.items()},
        "requires": {"memory_bytes": 1000, "min_runtime": "1.14.0", "operators": ["CONV_2D"]},
        "parent": "",
    }
    return format_listing(files), custom, version_digest(files)


class Nobody:
    """A source that is never there."""

    def fetch(self, name: str) -> bytes:
        raise Unreachable("nobody answers")

    def release(self) -> None:
        pass


def agent(control: ControlPlane, folder: Path, metadata: Path | None = None) -> Trust:
    """An agent's view of it, by the control plane's clock."""
    return Trust(folder, FolderMetadata(metadata or control.metadata), control.fingerprint, lambda: control.now)


class Blobs:
    """BlobService of a control plane, as much as trust needs: metadata of a folder, blobs of a mapping.

    `spoil` changes what is sent, by metadata name or blob digest; `cut` ends a blob's stream once after so many bytes.
    """

    def __init__(self, metadata: Path, blobs: dict[str, bytes]) -> None:
        self.metadata = metadata
        self.blobs = blobs
        self.spoil: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.asked: list[str] = []

    async def fetch_metadata(self, request, context):
        self.asked.append(request.name)
        path = self.metadata / request.name
        if request.name not in self.spoil and not path.exists():
            await context.abort(grpc.StatusCode.NOT_FOUND, request.name)
        return pb.FetchMetadataResponse(data=self.spoil.get(request.name) or path.read_bytes())

    async def fetch(self, request, context):
        data = self.spoil.get(request.digest, self.blobs.get(request.digest))
        if data is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, request.digest)
        end = self.cut.pop(request.digest, None)
        for offset in range(request.offset, len(data) if end is None else end, CHUNK):
            yield pb.FetchResponse(offset=offset, data=data[offset : offset + CHUNK], size_bytes=len(data))
        if end is not None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")

    async def has(self, request, context):
        return pb.HasResponse(digests=[digest for digest in request.digests if digest in self.blobs])

    async def find_delta(self, request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no delta")


@contextmanager
def serving(servicer: Blobs) -> Iterator[str]:
    """A real grpc.aio server on a free port, in a thread with a loop of its own; gives its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=[("grpc.max_send_message_length", 64 << 20)])
        server.add_generic_rpc_handlers((handlers(SERVICE, servicer),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
