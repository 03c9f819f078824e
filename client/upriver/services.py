"""Upriver's own services, from their descriptors: handlers for a server, callables for a channel, of either kind.

grpcio's generated stubs are untyped and one file more for each service; all that they know is in the descriptor.
A servicer's methods are named as the RPCs in snake_case, and may be plain functions or coroutines, as the server is.
"""

import re
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

_FORMS = {(False, False): "unary_unary", (False, True): "unary_stream", (True, False): "stream_unary",
          (True, True): "stream_stream"}  # fmt: skip


def handlers(service: ServiceDescriptor, servicer: object) -> Any:
    """The generic handler of a service, for `add_generic_rpc_handlers` of a plain or an asyncio server.

    Raises AttributeError when the servicer lacks one of the methods.
    """
    return grpc.method_handlers_generic_handler(service.full_name, method_handlers(service, servicer))


def method_handlers(service: ServiceDescriptor, servicer: object) -> dict[str, Any]:
    """A service's handlers by method, for `add_registered_method_handlers`: such a method has a queue of its own.

    Raises AttributeError when the servicer lacks one of the methods.
    """
    return {method.name: _handler(method, getattr(servicer, snake(method.name))) for method in service.methods}


class Stub:
    """The service's methods on a channel, by their own names: `Stub(channel, service).GetAgent(request, timeout=5)`."""

    def __init__(self, channel: Any, service: ServiceDescriptor) -> None:
        """`channel` is a grpc.Channel or a grpc.aio.Channel."""
        for method in service.methods:
            open_method = getattr(channel, _form(method))
            path = f"/{service.full_name}/{method.name}"
            asked, answered = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            setattr(self, method.name, open_method(path, asked.SerializeToString, answered.FromString))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the service has no method {name!r}")


def snake(name: str) -> str:
    """An RPC's name as a method's: `RollBackRollout` is `roll_back_rollout`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _form(method: MethodDescriptor) -> str:
    return _FORMS[method.client_streaming, method.server_streaming]


def _handler(method: MethodDescriptor, function: Any) -> Any:
    asked, answered = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    make = getattr(grpc, f"{_form(method)}_rpc_method_handler")
    return make(function, asked.FromString, answered.SerializeToString)
