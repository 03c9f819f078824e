"""The floor: the same server with the same threads, which parses the request and gives a ready-made answer."""

import sys

import grpc

from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as pb
from upriver_agent.transport.server import make_executor
from upriver_agent.tuning import settle, tune


def main() -> None:
    """Serves on the port that the first argument names, with the answer in the file that the second names."""
    port, answer_file = sys.argv[1:]
    with open(answer_file, "rb") as file:  # noqa: PTH123 - a script of one screen
        answer = pb.ModelInferResponse.FromString(file.read())

    def infer(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        del request, context
        return answer

    tune()
    handler = grpc.unary_unary_rpc_method_handler(
        infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
    )
    server = grpc.server(make_executor(256), maximum_concurrent_rpcs=256)  # type: ignore[arg-type]  # any Executor does
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(names.SERVICE, {"ModelInfer": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    settle()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
