"""Our copy of the Open Inference Protocol, under another package name, is the same on the wire as a stock client's."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from tritonclient.grpc import model_config_pb2, service_pb2

from upriver.oip.v2 import inference_pb2


def _messages(file: FileDescriptor) -> Iterator[tuple[str, Descriptor]]:
    pending = list(file.message_types_by_name.values())
    while pending:
        message = pending.pop()
        pending.extend(message.nested_types)
        yield message.full_name.removeprefix(f"{file.package}."), message


def _type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return field.message_type.full_name.removeprefix(f"{field.message_type.file.package}.")
    if field.enum_type is not None:
        return field.enum_type.name
    return f"type {field.type}"


def _fields(message: Descriptor) -> dict[int, tuple[str, str, bool]]:
    return {field.number: (field.name, _type(field), field.is_repeated) for field in message.fields}


OURS = dict(_messages(inference_pb2.DESCRIPTOR))
STOCK = dict(_messages(model_config_pb2.DESCRIPTOR)) | dict(_messages(service_pb2.DESCRIPTOR))
BOTH = sorted(OURS.keys() & STOCK.keys())


def test_the_messages_that_clients_send_are_in_both() -> None:
    assert {"ModelInferRequest", "ModelInferResponse", "ModelInferRequest.InferInputTensor", "InferParameter"} <= set(
        BOTH
    )


@pytest.mark.parametrize("name", BOTH)
def test_every_field_has_the_number_name_and_type_of_the_stock_client(name: str) -> None:
    stock = _fields(STOCK[name])
    assert {number: field for number, field in _fields(OURS[name]).items() if stock.get(number) != field} == {}


def test_every_method_takes_and_gives_messages_of_the_same_names() -> None:
    (ours,) = inference_pb2.DESCRIPTOR.services_by_name.values()
    (stock,) = service_pb2.DESCRIPTOR.services_by_name.values()
    for method in ours.methods:
        other = stock.methods_by_name[method.name]
        assert (method.input_type.name, method.output_type.name) == (other.input_type.name, other.output_type.name)


def test_ours_is_registered_under_a_package_of_its_own() -> None:
    assert inference_pb2.DESCRIPTOR.package == "upriver.oip.v2"
    assert inference_pb2.DESCRIPTOR.name == "upriver/oip/v2/inference.proto"
