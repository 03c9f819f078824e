"""What a ticket keeps, as messages of the inference protocol: the question, the best guess, the answer; one row each.

A ticket's answer has every output of the model, whatever the request asked for.
"""

from dataclasses import replace

from google.protobuf.message import DecodeError

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Mode
from upriver_agent import wire
from upriver_agent.envelope import options_to_parameters
from upriver_agent.merge import Answers
from upriver_agent.serving.request import InferAnswer, InferRequest
from upriver_agent.telemetry import NOWHERE, Origin


def write_question(request: InferRequest, row: int) -> bytes:
    """One row of a request, to be asked again: inputs and options.

    The version that the request may have named is left out: by then another may be here.
    """
    inputs = [tensor._replace(array=tensor.array[row : row + 1]) for tensor in request.inputs.values()]
    options = request.options
    parameters = options_to_parameters(replace(options, mode=Mode.AUTO))
    if options.mode is not Mode.AUTO:
        parameters[names.MODE] = options.mode.value
    return wire.write_request(request.model, request.id, inputs, parameters, row_facts=False).SerializeToString()


def read_question(data: bytes, ticket: str, origin: Origin = NOWHERE) -> InferRequest:
    """The request that asks a ticket's question again, which was first seen at `origin`.

    Raises InvalidInput when it can't be read.
    """
    try:
        request = wire.read_request(pb.ModelInferRequest.FromString(data))
    except DecodeError as error:
        raise InvalidInput(f"what was kept of ticket {ticket} can't be read: {error}") from error
    request.again, request.origin = ticket, origin
    return request


def write_row(answer: InferAnswer, row: int, ticket: str) -> bytes:
    """One row of an answer, with its facts and all outputs."""
    answers = answer.answers
    one = Answers(
        {name: array[row : row + 1] for name, array in answers.outputs.items()},
        (answers.facts[row],),
        answers.labels,
        answers.scores_output,
        answers.scores_are_logits,
        answers.classes_output,
        answers.whole,
    )
    alone = InferAnswer(answer.model, answer.version, answer.id, one, trace_id=answer.trace_id, tickets=(ticket,))
    return wire.write_answer(alone).SerializeToString()
