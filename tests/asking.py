"""Questions to agents that serve versions of `tests.versions`, as any Open Inference Protocol client asks them."""

import grpc
import numpy as np

from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

RNG = np.random.default_rng(17)


def question(model="pattern"):
    message = pb.ModelInferRequest(
        model_name=model, raw_input_contents=[encode_raw(RNG.random((1, 14, 14, 1), dtype=np.float32), "FP32")]
    )
    message.inputs.add(name="image", datatype="FP32", shape=(1, 14, 14, 1))
    return message


def ask(agent, model="pattern", timeout=20):
    return send(agent, question(model), timeout)


def send(agent, message, timeout=20):
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        return call(message, timeout=timeout)


def version_of(agent):
    """The version that answers now; empty while none does."""
    try:
        return ask(agent).model_version
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
            raise
        return ""
