"""A person's answer to a ticket, made of its best guess: the same outputs, filled with what the person says."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from upriver import parameters as names
from upriver.errors import DiskTrouble, InvalidInput
from upriver.labels import split_labels
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Reason
from upriver.tensors import DTYPES, Array, Datatype, encode_raw
from upriver.values import ParameterValue, set_parameter

PERSON: Final = "person"
"""Agent and tier of an answer that a person gave."""
MAX_JSON: Final = 1 << 20
_SHOWN: Final = 20


def labelled(guess: bytes, label: str, me: str) -> bytes:
    """The answer that has all its probability on one label; `me` is this agent.

    Raises InvalidInput naming the labels that the model has.
    """
    message = _read(guess)
    for index, output in enumerate(message.outputs):
        if names.SCORES_ARE in output.parameters:
            labels = (
                split_labels(output.parameters[names.LABELS].string_param) if names.LABELS in output.parameters else ()
            )
            scores = _one_hot(output, labels, label)
            message.raw_output_contents[index] = encode_raw(scores, output.datatype)
            return _signed(message, me)
    raise InvalidInput(f"model {message.model_name!r} does not classify: answer with outputs instead of a label")


def filled(guess: bytes, document: str, me: str) -> bytes:
    """The answer with these outputs, a JSON object of one row's content by output; it has to name them all.

    Raises InvalidInput naming what was wrong and what is expected.
    """
    message = _read(guess)
    given = _parsed(document)
    expected = {output.name for output in message.outputs}
    if given.keys() != expected:
        raise InvalidInput(f"outputs {sorted(given)}: expected exactly {', '.join(sorted(expected))}")
    for index, output in enumerate(message.outputs):
        array = _content(output, given[output.name])
        del output.shape[:]
        output.shape.extend(array.shape)
        message.raw_output_contents[index] = encode_raw(array, output.datatype)
    return _signed(message, me)


def _read(guess: bytes) -> pb.ModelInferResponse:
    try:
        return pb.ModelInferResponse.FromString(guess)
    except DecodeError as error:
        raise DiskTrouble(f"the guess that was kept can't be read: {error}") from error


def _one_hot(output: pb.ModelInferResponse.InferOutputTensor, labels: tuple[str, ...], label: str) -> Array:
    columns = int(output.shape[1])
    known = labels or tuple(str(column) for column in range(columns))
    if label not in known:
        shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
        raise InvalidInput(f"the model has no label {label[:80]!r}; it has: {shown}")
    logits = output.parameters[names.SCORES_ARE].string_param == "logits"
    scores = np.full((1, columns), -math.inf if logits else 0.0, DTYPES[output.datatype])
    scores[0, known.index(label)] = 0.0 if logits else 1.0
    return scores


def _parsed(document: str) -> Mapping[str, Any]:
    if len(document) > MAX_JSON:
        raise InvalidInput(f"outputs of {len(document)} characters: expected at most {MAX_JSON}")
    try:
        given = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"outputs are no JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidInput("outputs: expected a JSON object of one row's content by output")
    return given


def _content(output: pb.ModelInferResponse.InferOutputTensor, given: object) -> Array:
    name, rank = output.name, len(output.shape)
    try:
        if output.datatype == Datatype.BYTES:
            array = np.array([given], object)
            if not all(isinstance(item, str) for item in array.reshape(-1)):
                raise InvalidInput(f"output {name!r}: expected texts")
        else:
            array = np.array([given])
            if array.dtype.kind not in "biuf":
                raise InvalidInput(f"output {name!r}: expected numbers in lists of equal length")
            exact = array.astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                array = array.astype(DTYPES[output.datatype])
            if array.dtype.kind in "biu" and not np.array_equal(exact, array.astype(np.float64)):
                raise InvalidInput(f"output {name!r}: a value does not fit into {output.datatype}")
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"output {name!r}: {error}") from error
    if array.ndim != rank:
        sizes = list(output.shape[1:])
        raise InvalidInput(f"output {name!r} has {array.ndim - 1} dimensions: expected {rank - 1}, such as {sizes}")
    return array


def _signed(message: pb.ModelInferResponse, me: str) -> bytes:
    """Puts the facts of a person's answer in the place of the guess's."""
    facts: dict[str, ParameterValue] = {
        names.RESOLVED: True,
        names.TIER: PERSON,
        names.AGENT: PERSON,
        names.CONFIDENCE: 1.0,
        names.PATH: f"{me},{PERSON}",
        names.REASON: Reason.ANSWERED.value,
        names.DEGRADED: False,
    }
    for name in (names.POLICY, names.BYTES_UP, names.SERVED_NS):
        message.parameters.pop(name, None)
    for name, value in facts.items():
        set_parameter(message.parameters[name], value)
    return message.SerializeToString()
