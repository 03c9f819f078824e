"""What tiers below said of a request's rows, as input tensors beside those of the model.

Opinion number n is `upriver.below/n`, FP16 [rows, k], with the parameters `upriver.version` and, for a model that names
them, `upriver.labels`. `upriver.below/n/columns`, UINT32 [rows, k], goes with one that does not name the same labels in
every row.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.fusion import MAX_NAMED, Opinion
from upriver.labels import join_labels, split_labels
from upriver.listing import is_digest
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Datatype, Tensor, encode_raw
from upriver.values import read_parameters
from upriver_agent.serving.request import Below

MAX_OPINIONS: Final = 8
"""Tiers below that are listened to; a ladder has fewer."""
_COLUMNS: Final = "/columns"


def write_opinions(message: pb.ModelInferRequest, below: Sequence[Below]) -> None:
    """Adds opinions to a message whose contents are raw."""
    for index, (version, told) in enumerate(below[:MAX_OPINIONS]):
        name = f"{names.BELOW}/{index}"
        tensor = message.inputs.add(name=name, datatype=Datatype.FP16, shape=told.values.shape)
        tensor.parameters[names.VERSION].string_param = version
        if told.labels:
            tensor.parameters[names.LABELS].string_param = join_labels(told.labels)
        message.raw_input_contents.append(encode_raw(told.values, Datatype.FP16))
        if told.columns is not None:
            message.inputs.add(name=name + _COLUMNS, datatype=Datatype.UINT32, shape=told.columns.shape)
            message.raw_input_contents.append(encode_raw(told.columns, Datatype.UINT32))


def read_opinions(
    message: Sequence[pb.ModelInferRequest.InferInputTensor], tensors: Mapping[str, Tensor], rows: int
) -> tuple[Below, ...]:
    """The opinions among a message's inputs, already decoded; raises InvalidInput for what is none of `rows` rows."""
    opinions = []
    taken = set()
    for told in message:
        if told.name not in tensors or told.name.endswith(_COLUMNS):
            continue
        columns = tensors.get(told.name + _COLUMNS)
        taken |= {told.name, told.name + _COLUMNS}
        parameters = read_parameters(told.parameters)
        version, labels = parameters.get(names.VERSION), parameters.get(names.LABELS, "")
        if not isinstance(version, str) or not is_digest(version) or not isinstance(labels, str):
            raise InvalidInput(f"input {told.name!r}: expected {names.VERSION} with the digest of who said it")
        opinions.append((version, _opinion(tensors[told.name], split_labels(labels), columns, rows)))
    if unknown := sorted(tensors.keys() - taken):
        raise InvalidInput(f"unknown input {unknown[0]!r}: expected {names.BELOW}/0 and so on")
    if len(opinions) > MAX_OPINIONS or len({version for version, _ in opinions}) != len(opinions):
        raise InvalidInput(f"{len(opinions)} opinions from below: expected at most {MAX_OPINIONS}, one of a version")
    return tuple(opinions)


def _opinion(values: Tensor, labels: tuple[str, ...], columns: Tensor | None, rows: int) -> Opinion:
    array = values.array
    if values.datatype != Datatype.FP16 or array.ndim != 2 or len(array) != rows or array.shape[1] > MAX_NAMED:
        raise InvalidInput(
            f"input {values.name!r} is {values.datatype} {list(array.shape)}: expected FP16 [{rows}, up to {MAX_NAMED}]"
        )
    if columns is None:
        if labels and len(labels) != array.shape[1]:
            raise InvalidInput(f"input {values.name!r} has {array.shape[1]} columns and {len(labels)} labels")
        return Opinion(labels, array)
    at = columns.array
    if columns.datatype != Datatype.UINT32 or at.shape != array.shape:
        raise InvalidInput(
            f"input {columns.name!r} is {columns.datatype} {list(at.shape)}: expected UINT32 like its values"
        )
    if labels and int(at.max(initial=0)) >= len(labels):
        raise InvalidInput(f"input {columns.name!r} names label {int(at.max())} of {len(labels)}")
    return Opinion(labels, array, at.astype(np.uint32, copy=False))
