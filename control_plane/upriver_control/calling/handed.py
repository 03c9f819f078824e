"""One row as it is handed on: its inputs, read from a request of the inference protocol, written, drawn; its label."""

from collections.abc import Iterable
from typing import Final

from upriver.answer import Answer
from upriver.errors import InvalidInput, RuntimeMissing
from upriver.images import open_image, to_png
from upriver.oip.v2 import inference_pb2 as oip
from upriver.tensors import Datatype, decode_raw, element_count
from upriver.v1 import train_pb2
from upriver_control.calling.pictures import MAX_BYTES, MAX_PIXELS, picture_of

MAX_INPUTS: Final = 64


def handed_inputs(request: oip.ModelInferRequest) -> list[train_pb2.HandedInput]:
    """The inputs of a request of one row; raises InvalidInput when they can't be read as such."""
    if len(request.raw_input_contents) != len(request.inputs) or len(request.inputs) > MAX_INPUTS:
        raise InvalidInput(f"{len(request.inputs)} inputs with {len(request.raw_input_contents)} raw contents")
    found = []
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        shape, data = list(tensor.shape), raw
        if not shape or shape[0] != 1:
            raise InvalidInput(f"input {tensor.name[:80]!r} has shape {shape}: expected one row")
        if tensor.datatype == Datatype.BYTES:
            if element_count(tensor.name, shape) != 1:
                raise InvalidInput(f"input {tensor.name[:80]!r} has shape {shape}: expected one text or file")
            data = decode_raw(tensor.name, tensor.datatype, tuple(shape), raw).reshape(-1)[0]
        found.append(train_pb2.HandedInput(name=tensor.name, datatype=tensor.datatype, shape=shape[1:], data=data))
    return found


def label_of(answer: Answer) -> str:
    """What was answered: the label, or the column where labels have no names; empty where it is neither."""
    return answer.label or ("" if answer.index is None else str(answer.index))


def request_of(model: str, inputs: Iterable[train_pb2.HandedInput]) -> oip.ModelInferRequest:
    """A request that asks this one row."""
    request = oip.ModelInferRequest(model_name=model)
    for one in inputs:
        request.inputs.add(name=one.name, datatype=one.datatype, shape=[1, *one.shape])
        is_text = one.datatype == Datatype.BYTES
        request.raw_input_contents.append(len(one.data).to_bytes(4, "little") + one.data if is_text else one.data)
    return request


def picture_in(inputs: Iterable[train_pb2.HandedInput]) -> bytes:
    """The first of some inputs that is a picture, as PNG; empty when none is.

    Encoded images that are no PNG need the extra `images`, and without it are none.
    """
    for one in inputs:
        drawn = picture_of(one.datatype, one.shape, one.data)
        if not drawn and one.datatype == Datatype.BYTES and len(one.data) <= MAX_BYTES:
            drawn = _encoded(one.data)
        if drawn:
            return drawn
    return b""


def _encoded(data: bytes) -> bytes:
    try:
        image = open_image(data, "the input")
        return to_png(image, "the input") if image.width * image.height <= MAX_PIXELS else b""
    except (InvalidInput, RuntimeMissing):  # a text, say; then nobody expects a picture
        return b""
