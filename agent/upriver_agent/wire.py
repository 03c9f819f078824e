"""Open Inference Protocol messages to and from the serving core's own types. Nothing else reads these messages."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.labels import join_labels, split_labels
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Array, Datatype, Tensor, datatype_of, decode_raw, encode_raw
from upriver.values import ParameterValue, read_parameters, set_parameter
from upriver_agent.envelope import DEFAULT_OPTIONS, parse_options
from upriver_agent.merge import Answers, RowFacts, least_certain, read_row_facts
from upriver_agent.reads import parse_reads
from upriver_agent.serving.request import Below, InferAnswer, InferRequest, UpstreamAnswer, WantedOutput
from upriver_agent.wire_inputs import MAX_UNPACKED, Pack, read_inputs, write_inputs
from upriver_agent.wire_opinions import read_opinions, write_opinions

PROBABILITIES, LOGITS = "probabilities", "logits"
_HEAD = "oip"

ROW_TENSORS: dict[str, tuple[str, str]] = {
    names.TIER: (Datatype.BYTES, "tier"),
    names.CONFIDENCE: (Datatype.FP64, "confidence"),
    names.RESOLVED: (Datatype.BOOL, "resolved"),
    names.AGENT: (Datatype.BYTES, "agent"),
    names.PATH: (Datatype.BYTES, "path"),
    names.REASON: (Datatype.BYTES, "reason"),
    names.DEGRADED: (Datatype.BOOL, "degraded"),
    names.POLICY: (Datatype.BYTES, "policy"),
    names.FUSED: (Datatype.BOOL, "fused"),
}
"""Row-wise facts that can be asked for by name as extra outputs: data type and the field of RowFacts."""


def read_request(message: pb.ModelInferRequest, max_unpacked: int = MAX_UNPACKED) -> InferRequest:
    """Makes a request of a message; raises InvalidInput. Compressed inputs may hold `max_unpacked` bytes together."""
    options = parse_options(read_parameters(message.parameters)) if message.parameters else DEFAULT_OPTIONS
    inputs, ours = read_inputs(message.inputs, message.raw_input_contents, max_unpacked)
    return InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=inputs,
        options=options,
        outputs=tuple(_read_wanted(output) for output in message.outputs) if message.outputs else (),
        below=read_opinions(message.inputs, ours, _rows(inputs)) if ours else (),
    )


def _rows(inputs: Mapping[str, Tensor]) -> int:
    return next((len(tensor.array) for tensor in inputs.values() if tensor.array.ndim), 0)


def _read_wanted(output: pb.ModelInferRequest.InferRequestedOutputTensor) -> WantedOutput:
    if not output.parameters:
        return WantedOutput(output.name)
    value = read_parameters(output.parameters).get("classification", 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInput(f"output {output.name!r}: classification={value!r}, expected a whole number of at least 0")
    return WantedOutput(output.name, value)


def write_request(
    model: str,
    id_: str,
    inputs: Iterable[Tensor],
    parameters: Mapping[str, ParameterValue],
    row_facts: bool,
    pack: Pack | None = None,
    below: Sequence[Below] = (),
    tells_fused: bool = False,
) -> pb.ModelInferRequest:
    """Makes the message that asks an upstream; `row_facts` asks for the facts of every row.

    The last three are for upstreams that told that they read it: how contents are compressed, what tiers below said,
    and whether to ask which rows are fused.
    """
    message = pb.ModelInferRequest(model_name=model, id=id_)
    write_inputs(message, inputs, pack)
    write_opinions(message, below)
    for key, value in parameters.items():
        set_parameter(message.parameters[key], value)
    if row_facts:
        for name in ROW_TENSORS:
            if tells_fused or name != names.FUSED:
                message.outputs.add(name=name)
    return message


def write_answer(answer: InferAnswer) -> pb.ModelInferResponse:
    """Makes the reply; every output is raw, as stock clients need."""
    message = pb.ModelInferResponse(model_name=answer.model, model_version=answer.version, id=answer.id)
    _write_facts(message, answer)
    answers, wanted = answer.answers, answer.wanted
    if not wanted:
        for name, array in answers.outputs.items():
            _add_output(message, answers, name, array)
        return message
    plain = [want for want in wanted if want.name not in ROW_TENSORS and want.name != names.TICKET]
    if not plain:  # facts are extra: asking only for them asks for all outputs too
        plain = [WantedOutput(name) for name in answers.outputs]
    for want in plain:
        if want.classification:
            _add_classification(message, answers, want)
        else:
            _add_output(message, answers, want.name, _output(answers, want.name))
    for want in wanted:
        if want.name in ROW_TENSORS:
            _add_row_fact(message, answers.facts, want.name)
        elif want.name == names.TICKET:
            _add_texts(message, want.name, answer.tickets or [""] * len(answers.facts))
    return message


def write_reply(answer: InferAnswer) -> bytes:
    """Makes the reply's bytes; those of a plain confident answer to one row from a part that is kept ready.

    Protobuf messages that are put one after the other are merged into one by whoever reads them: the kept part has
    all that is the same every time, the part made here the id, the confidence and the outputs' contents.
    """
    if answer.replies is None or answer.wanted:
        return write_answer(answer).SerializeToString()
    head = answer.replies.get(_HEAD)
    if head is None:
        head = answer.replies[_HEAD] = _reply_head(answer)
    answers = answer.answers
    contents = [encode_raw(array, datatype_of(array)) for array in answers.outputs.values()]
    tail = pb.ModelInferResponse(id=answer.id, raw_output_contents=contents)
    tail.parameters[names.CONFIDENCE].double_param = answers.facts[0].confidence
    if answer.trace_id:
        tail.parameters[names.TRACE_ID].string_param = answer.trace_id
    if answer.served_ns:
        tail.parameters[names.SERVED_NS].int64_param = answer.served_ns
    if answer.reads:
        tail.parameters[names.READS].string_param = answer.reads
    return head + tail.SerializeToString()


def _reply_head(answer: InferAnswer) -> bytes:
    message = write_answer(answer)
    message.ClearField("id")
    message.ClearField("raw_output_contents")
    for name in (names.CONFIDENCE, names.TRACE_ID, names.SERVED_NS, names.READS):
        message.parameters.pop(name, None)
    return message.SerializeToString()


def _output(answers: Answers, name: str) -> Array:
    found = answers.outputs.get(name)
    if found is None:
        known = ", ".join([*answers.outputs, *ROW_TENSORS, names.TICKET])
        raise InvalidInput(f"unknown output {name!r}; this model has: {known}")
    return found


def _add_output(message: pb.ModelInferResponse, answers: Answers, name: str, array: Array) -> None:
    datatype = datatype_of(array)
    output = message.outputs.add(name=name, datatype=datatype, shape=array.shape)
    message.raw_output_contents.append(encode_raw(array, datatype))
    if name == answers.scores_output:
        output.parameters[names.SCORES_ARE].string_param = LOGITS if answers.scores_are_logits else PROBABILITIES
    if answers.labels and name in (answers.scores_output, answers.classes_output):
        output.parameters[names.LABELS].string_param = join_labels(answers.labels)


def _add_classification(message: pb.ModelInferResponse, answers: Answers, want: WantedOutput) -> None:
    scores = _output(answers, want.name)
    if scores.ndim != 2:
        shape = list(scores.shape)
        raise InvalidInput(f"output {want.name!r} of shape {shape} can't be classified: expected [rows, classes]")
    labels = answers.labels if want.name == answers.scores_output else ()
    top = np.argsort(-scores, axis=1, kind="stable")[:, : want.classification]
    texts = np.empty(top.shape, object)
    for row, columns in enumerate(top.tolist()):
        for rank, column in enumerate(columns):
            text = f"{scores[row, column]:f}:{column}"
            texts[row, rank] = (f"{text}:{labels[column]}" if column < len(labels) else text).encode()
    message.outputs.add(name=want.name, datatype=Datatype.BYTES, shape=texts.shape)
    message.raw_output_contents.append(encode_raw(texts, Datatype.BYTES))


def _add_row_fact(message: pb.ModelInferResponse, rows: Sequence[RowFacts], name: str) -> None:
    datatype, attribute = ROW_TENSORS[name]
    values = [getattr(row, attribute) for row in rows]
    if attribute == "path":
        values = [",".join(path) for path in values]
    if datatype == Datatype.BYTES:
        _add_texts(message, name, values)
        return
    message.outputs.add(name=name, datatype=datatype, shape=[len(values)])
    message.raw_output_contents.append(encode_raw(np.array(values), datatype))


def _add_texts(message: pb.ModelInferResponse, name: str, texts: Sequence[str]) -> None:
    array = np.empty(len(texts), object)
    array[:] = [str(text) for text in texts]
    message.outputs.add(name=name, datatype=Datatype.BYTES, shape=array.shape)
    message.raw_output_contents.append(encode_raw(array, Datatype.BYTES))


def _write_facts(message: pb.ModelInferResponse, answer: InferAnswer) -> None:
    rows = answer.answers.facts
    facts = rows[0] if len(rows) == 1 else least_certain(rows)
    parameters = message.parameters
    parameters[names.RESOLVED].bool_param = facts.resolved
    parameters[names.TIER].string_param = facts.tier
    parameters[names.AGENT].string_param = facts.agent
    parameters[names.CONFIDENCE].double_param = facts.confidence
    parameters[names.PATH].string_param = ",".join(facts.path)
    parameters[names.REASON].string_param = facts.reason
    parameters[names.DEGRADED].bool_param = facts.degraded
    parameters[names.POLICY].string_param = facts.policy
    parameters[names.FUSED].bool_param = facts.fused
    if answer.trace_id:
        parameters[names.TRACE_ID].string_param = answer.trace_id
    if answer.tickets:
        ticket = answer.tickets[rows.index(facts)]
        if ticket:
            parameters[names.TICKET].string_param = ticket
    if answer.bytes_up:
        parameters[names.BYTES_UP].int64_param = answer.bytes_up
    if answer.served_ns:
        parameters[names.SERVED_NS].int64_param = answer.served_ns
    if answer.reads:
        parameters[names.READS].string_param = answer.reads


def read_answer(message: pb.ModelInferResponse, rows: int) -> UpstreamAnswer:
    """Makes an upstream's answer to `rows` rows of a reply.

    Raises InvalidInput or AnswerInvalid when it is not one of an agent.
    """
    if len(message.outputs) != len(message.raw_output_contents):
        raise InvalidInput(f"{len(message.outputs)} outputs but {len(message.raw_output_contents)} raw contents")
    outputs: dict[str, Array] = {}
    facts: dict[str, Sequence[object]] = {}
    labels: tuple[str, ...] = ()
    scores_output = classes_output = ""
    are_logits = False
    for output, raw in zip(message.outputs, message.raw_output_contents, strict=True):
        name = output.name
        array = decode_raw(name, output.datatype, output.shape, raw)
        if array.ndim == 0 or array.shape[0] != rows:
            raise InvalidInput(f"output {name!r} of shape {list(array.shape)}: expected {rows} rows")
        if name in ROW_TENSORS:
            facts[name] = array.reshape(-1).tolist()
            continue
        outputs[name] = array
        if names.SCORES_ARE in output.parameters:
            scores_output = name
            are_logits = output.parameters[names.SCORES_ARE].string_param == LOGITS
        elif names.LABELS in output.parameters:
            classes_output = name
        if names.LABELS in output.parameters:
            labels = split_labels(output.parameters[names.LABELS].string_param)
    parameters = read_parameters(message.parameters)
    if rows == 1:  # a single row's facts are the parameters
        facts = {name: [parameters[name]] for name in ROW_TENSORS if name in parameters} | facts
    return UpstreamAnswer(
        answers=Answers(outputs, read_row_facts(facts, rows), labels, scores_output, are_logits, classes_output),
        bytes_up=_whole(parameters, names.BYTES_UP),
        served_ns=_whole(parameters, names.SERVED_NS),
        reads=parse_reads(parameters.get(names.READS)),
    )


def _whole(parameters: Mapping[str, ParameterValue], name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(f"the reply has {name}={value!r}: expected a whole number")
    return value
