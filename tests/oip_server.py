"""A server of the Open Inference Protocol that answers as a test says, for what no agent can be made to do."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from upriver.oip.v2 import inference_pb2 as pb
from upriver.rpc import MODEL_INFER, MODEL_METADATA, MODEL_STREAM_INFER, REPOSITORY_INDEX, SERVER_READY

MESSAGES = {
    SERVER_READY.name: (pb.ServerReadyRequest, pb.ServerReadyResponse),
    MODEL_METADATA.name: (pb.ModelMetadataRequest, pb.ModelMetadataResponse),
    MODEL_INFER.name: (pb.ModelInferRequest, pb.ModelInferResponse),
    REPOSITORY_INDEX.name: (pb.RepositoryIndexRequest, pb.RepositoryIndexResponse),
}


def metadata(datatype="FP32", shape=(-1, 2), name="x"):
    """A model with one input."""
    reply = pb.ModelMetadataResponse(name="m", versions=["1"], platform="test")
    reply.inputs.add(name=name, datatype=datatype, shape=shape)
    return reply


@contextmanager
def serving(infer=None, stream=None, model=None, credentials=None, ready=True) -> Iterator[str]:
    """Serves on a free port; gives the address. `infer` and `stream` take (request or requests, context)."""
    behaviours = {
        SERVER_READY.name: lambda *_: pb.ServerReadyResponse(ready=ready),
        MODEL_METADATA.name: lambda *_: model or metadata(),
        MODEL_INFER.name: infer or (lambda *_: pb.ModelInferResponse(model_name="m")),
        REPOSITORY_INDEX.name: lambda *_: pb.RepositoryIndexResponse(models=[{"name": "m", "state": "READY"}]),
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(behaviours[name], request.FromString, response.SerializeToString)
        for name, (request, response) in MESSAGES.items()
    }
    if stream is not None:
        handlers[MODEL_STREAM_INFER.name] = grpc.stream_stream_rpc_method_handler(
            stream, pb.ModelInferRequest.FromString, pb.ModelStreamInferResponse.SerializeToString
        )
    with ThreadPoolExecutor(8) as executor:
        server = grpc.server(executor, options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),)
        )
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait(60)
