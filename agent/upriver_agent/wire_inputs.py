"""The inputs of requests as they travel: raw or typed contents, and between agents raw ones as a zstd frame.

A compressed input has the parameter `upriver.zstd` with the bytes that it holds; the frame goes over all its rows.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from upriver import parameters as names
from upriver import zstd
from upriver.errors import InvalidInput, RuntimeMissing
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import DTYPES, Tensor, decode_raw, decode_typed, encode_raw

OURS: Final = "upriver."
MAX_UNPACKED: Final = 64 << 20
"""Bytes that a message's compressed inputs may hold together, unless the agent takes larger messages."""
Pack = Callable[[str, bytes], bytes | None]
"""An input's raw contents by name as a zstd frame, or None when they are to be sent as they are."""


def write_inputs(message: pb.ModelInferRequest, inputs: Iterable[Tensor], pack: Pack | None) -> None:
    """Adds inputs, bit for bit what they are, compressed where `pack` does."""
    for tensor in inputs:
        told = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        raw = encode_raw(tensor.array, tensor.datatype)
        packed = pack(tensor.name, raw) if pack is not None else None
        if packed is not None:
            told.parameters[names.ZSTD].int64_param = len(raw)
        message.raw_input_contents.append(raw if packed is None else packed)


def read_inputs(
    inputs: Sequence[pb.ModelInferRequest.InferInputTensor], raw: Sequence[bytes], room: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The model's inputs by name, and those of our own; raises InvalidInput.

    Those that are compressed may hold `room` bytes together.
    """
    if raw and len(raw) != len(inputs):
        raise InvalidInput(f"{len(inputs)} inputs but {len(raw)} raw_input_contents: raw is all or nothing")
    tensors: dict[str, Tensor] = {}
    ours: dict[str, Tensor] = {}
    for index, tensor in enumerate(inputs):
        name = tensor.name
        datatype = tensor.datatype
        if name in tensors or name in ours:
            raise InvalidInput(f"input {name!r} appears twice")
        if raw:
            if tensor.HasField("contents"):
                raise InvalidInput(f"input {name!r} has typed contents beside raw_input_contents: use one of them")
            data = raw[index]
            if tensor.parameters and names.ZSTD in tensor.parameters:
                data = _unpacked(tensor, data, room)
                room -= len(data)
            array = decode_raw(name, datatype, tuple(tensor.shape), data)
        else:
            array = decode_typed(name, datatype, tensor.shape, tensor.contents)
        (ours if name.startswith(OURS) else tensors)[name] = Tensor(name, datatype, array)
    return tensors, ours


def _unpacked(tensor: pb.ModelInferRequest.InferInputTensor, frame: bytes, room: int) -> bytes:
    size = tensor.parameters[names.ZSTD].int64_param
    if not 0 < size <= room:
        raise InvalidInput(f"input {tensor.name!r} holds {size} bytes when unpacked: expected 1 to {room}")
    dtype = DTYPES.get(tensor.datatype)
    if dtype is not None and size != math.prod(tensor.shape) * dtype.itemsize:
        raise InvalidInput(
            f"input {tensor.name!r}: {size} bytes are no {tensor.datatype} of shape {list(tensor.shape)}"
        )
    try:
        return zstd.unpack(frame, size)
    except InvalidInput as error:
        raise InvalidInput(f"input {tensor.name!r}: {error}") from error
    except RuntimeMissing as error:
        raise InvalidInput(f"input {tensor.name!r} is compressed, and this agent reads no zstd") from error
