"""Services made from their descriptors, on real servers of both kinds."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import pytest

from upriver.services import Stub, handlers, snake
from upriver.v1 import blob_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["BlobService"]


class Plain:
    """Blobs of zeros."""

    def fetch(self, request, context):
        for offset in range(request.offset, 3):
            yield pb.FetchResponse(offset=offset, data=b"\0", size_bytes=3)

    def has(self, request, context):
        return pb.HasResponse(digests=request.digests)

    def find_delta(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no delta")

    def fetch_metadata(self, request, context):
        return pb.FetchMetadataResponse(data=request.name.encode())


class Waiting(Plain):
    """The same, in coroutines."""

    async def fetch(self, request, context):
        for message in super().fetch(request, context):
            yield message

    async def has(self, request, context):
        return super().has(request, context)

    async def fetch_metadata(self, request, context):
        return super().fetch_metadata(request, context)


def test_names_follow_the_rpcs() -> None:
    assert [snake(method.name) for method in SERVICE.methods] == ["fetch", "has", "find_delta", "fetch_metadata"]
    assert snake("RollBackRollout") == "roll_back_rollout"


def test_a_service_answers_on_a_plain_server() -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handlers(SERVICE, Plain()),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel, SERVICE)
        assert stub.Has(pb.HasRequest(digests=["a"]), timeout=60).digests == ["a"]
        assert [chunk.offset for chunk in stub.Fetch(pb.FetchRequest(offset=1), timeout=60)] == [1, 2]
        with pytest.raises(grpc.RpcError, match="no delta"):
            stub.FindDelta(pb.FindDeltaRequest(), timeout=60)
        with pytest.raises(AttributeError, match="Nonsense"):
            stub.Nonsense(pb.HasRequest())
    server.stop(None)


def test_a_service_answers_on_an_asyncio_server() -> None:
    async def ask() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers(SERVICE, Waiting()),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = Stub(channel, SERVICE)
            assert (await stub.FetchMetadata(pb.FetchMetadataRequest(name="root"), timeout=60)).data == b"root"
            assert [chunk.offset async for chunk in stub.Fetch(pb.FetchRequest(), timeout=60)] == [0, 1, 2]
        await server.stop(None)

    asyncio.run(ask())


def test_a_servicer_that_lacks_a_method_is_told_at_once() -> None:
    with pytest.raises(AttributeError, match="fetch"):
        handlers(SERVICE, object())
