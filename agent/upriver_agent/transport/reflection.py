"""Server reflection that shows the protocol under its wire name.

Our messages live in our own proto package, but clients such as grpcurl ask for `inference.GRPCInferenceService`. The
same file is shown to them from a descriptor pool of its own, with the package renamed; the process's default pool is
not touched, so other vendors' stubs can live in it.
"""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from upriver import parameters as names
from upriver.oip.v2 import inference_pb2


def enable(server: grpc.Server) -> None:
    """Adds the reflection service to a server that is not started yet."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_renamed())
    for known in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        copy = descriptor_pb2.FileDescriptorProto()
        known.CopyToProto(copy)
        pool.Add(copy)
    services = [names.SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME]
    reflection.enable_server_reflection(services, server, pool=pool)


def _renamed() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    inference_pb2.DESCRIPTOR.CopyToProto(file)
    ours = f".{file.package}."
    file.package = names.SERVICE.rpartition(".")[0]
    theirs = f".{file.package}."
    for message in file.message_type:
        _retype(message, ours, theirs)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(ours, theirs, 1)
            method.output_type = method.output_type.replace(ours, theirs, 1)
    return file


def _retype(message: descriptor_pb2.DescriptorProto, ours: str, theirs: str) -> None:
    for field in message.field:
        if field.type_name:
            field.type_name = field.type_name.replace(ours, theirs, 1)
    nested: Iterable[descriptor_pb2.DescriptorProto] = message.nested_type
    for inner in nested:
        _retype(inner, ours, theirs)
