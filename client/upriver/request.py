"""Requests and responses of the Open Inference Protocol, as a client makes and reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver import parameters as names
from upriver.answer import Answer, ModelMetadata, ModelState, TensorSpec
from upriver.asking import Asking
from upriver.errors import InferenceFailed, InvalidInput
from upriver.inputs import Batch
from upriver.labels import split_labels
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Reason
from upriver.scores import probabilities
from upriver.tensors import Array, decode_raw, decode_typed, encode_raw
from upriver.values import read_parameters, set_parameter

ROW_FACTS = (
    names.TIER,
    names.CONFIDENCE,
    names.RESOLVED,
    names.AGENT,
    names.PATH,
    names.REASON,
    names.DEGRADED,
    names.POLICY,
    names.TICKET,
)
"""Facts that a batch asks for row by row, as outputs; those of a single question are the response's parameters."""
_READ = (*ROW_FACTS, names.FUSED)
"""Facts that are read where they are told: agents from before fusion would refuse to be asked for that."""

LOGITS = "logits"
"""The value of `upriver.scores_are` for scores that are no probabilities."""


def build_request(model: str, batch: Batch, asking: Asking, request_id: str = "") -> pb.ModelInferRequest:
    """Makes the message that asks a batch; several rows ask for the facts of each."""
    message = pb.ModelInferRequest(model_name=model, model_version=asking.version, id=request_id)
    for tensor in batch.tensors:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        message.raw_input_contents.append(encode_raw(tensor.array, tensor.datatype))
    for key, value in asking.parameters().items():
        set_parameter(message.parameters[key], value)
    for name in asking.outputs:
        message.outputs.add(name=name)
    if batch.rows > 1:
        for name in ROW_FACTS:
            message.outputs.add(name=name)
    return message


def parse_response(message: pb.ModelInferResponse, rows: int, latency_s: float) -> list[Answer]:
    """Makes one answer per row of a response; raises InferenceFailed when it does not fit the question."""
    try:
        outputs = _read_outputs(message)
        parameters: Mapping[str, object] = read_parameters(message.parameters)
    except InvalidInput as error:
        raise InferenceFailed(f"the response can't be read: {error}") from error
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise InferenceFailed(
                f"output {name!r} of the response has shape {list(array.shape)}: expected {rows} rows"
            )
    facts: dict[str, Sequence[object]] = {}
    if rows == 1:  # a batch's parameters speak of its least certain row only
        facts = {name: [parameters[name]] for name in _READ if name in parameters}
    facts |= {name: outputs.pop(name).reshape(-1).tolist() for name in _READ if name in outputs}
    labels, table = _read_scores(message, outputs)
    reply = _Reply(message.model_name, message.model_version, parameters, outputs, facts, labels, table, latency_s)
    return [_answer(reply, row) for row in range(rows)]


def parse_metadata(message: pb.ModelMetadataResponse) -> ModelMetadata:
    """Makes a model's contract of what an agent tells; the first size of each shape is that of the rows."""
    return ModelMetadata(
        model=message.name,
        versions=tuple(message.versions),
        platform=message.platform,
        inputs=tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)[1:]) for spec in message.inputs),
        outputs=tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)[1:]) for spec in message.outputs),
    )


def parse_index(message: pb.RepositoryIndexResponse) -> list[ModelState]:
    """Makes the list of an agent's models."""
    return [ModelState(entry.name, entry.version, entry.state == "READY", entry.reason) for entry in message.models]


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response taken apart; `facts` has one value per row, `probabilities` is [rows, classes]."""

    model: str
    version: str
    parameters: Mapping[str, object]
    outputs: Mapping[str, Array]
    facts: Mapping[str, Sequence[object]]
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    latency_s: float


def _answer(reply: _Reply, row: int) -> Answer:
    own = {name: values[row] for name, values in reply.facts.items()}
    chances = None if reply.probabilities is None else reply.probabilities[row]
    index = None if chances is None or not chances.size or np.isnan(chances).any() else int(chances.argmax())
    path = _text(own.get(names.PATH))
    return Answer(
        model=reply.model,
        version=reply.version,
        label=reply.labels[index] if index is not None and index < len(reply.labels) else None,
        index=index,
        labels=reply.labels,
        probabilities=chances,
        confidence=_number(own.get(names.CONFIDENCE)),
        resolved=_flag(own.get(names.RESOLVED)),
        tier=_text(own.get(names.TIER)),
        agent=_text(own.get(names.AGENT)),
        path=tuple(path.split(",")) if path else (),
        reason=_reason(_text(own.get(names.REASON))),
        degraded=_flag(own.get(names.DEGRADED)),
        trace_id=_text(reply.parameters.get(names.TRACE_ID)),
        ticket=_text(own.get(names.TICKET)),
        policy=_text(own.get(names.POLICY)),
        fused=_flag(own.get(names.FUSED)),
        outputs={name: array[row] for name, array in reply.outputs.items()},
        latency_s=reply.latency_s,
    )


def _read_outputs(message: pb.ModelInferResponse) -> dict[str, Array]:
    raw = message.raw_output_contents
    if not raw:
        return {
            output.name: decode_typed(output.name, output.datatype, output.shape, output.contents)
            for output in message.outputs
        }
    if len(raw) != len(message.outputs):
        raise InvalidInput(f"{len(message.outputs)} outputs but {len(raw)} raw contents")
    return {
        output.name: decode_raw(output.name, output.datatype, output.shape, content)
        for output, content in zip(message.outputs, raw, strict=True)
    }


def _read_scores(
    message: pb.ModelInferResponse, outputs: Mapping[str, Array]
) -> tuple[tuple[str, ...], NDArray[np.float64] | None]:
    """Labels, and probabilities [rows, classes] when an output says that it holds scores."""
    labels: tuple[str, ...] = ()
    table: NDArray[np.float64] | None = None
    for output in message.outputs:
        if names.LABELS in output.parameters:
            labels = split_labels(output.parameters[names.LABELS].string_param)
        if names.SCORES_ARE in output.parameters and outputs[output.name].ndim == 2:
            are_logits = output.parameters[names.SCORES_ARE].string_param == LOGITS
            table = probabilities(outputs[output.name], are_logits=are_logits)
    return labels, table


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else ""


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _reason(text: str) -> Reason | None:
    try:
        return Reason(text)
    except ValueError:  # none, or one that a newer agent knows
        return None
