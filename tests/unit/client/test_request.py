"""What a client writes and reads: property-based round trips with the agent's own reader and writer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from upriver import parameters as names
from upriver.asking import Asking
from upriver.errors import InferenceFailed, InvalidInput
from upriver.inputs import Batch
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Mode, Reason
from upriver.request import ROW_FACTS, build_request, parse_index, parse_metadata, parse_response
from upriver.tensors import DTYPES, Datatype, Tensor, encode_raw
from upriver_agent import wire
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.serving.request import InferAnswer

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
IDS = st.text("abcxyz019-._", min_size=1, max_size=10).map("a".__add__)


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from([*DTYPES, Datatype.BYTES]))
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, max_side=4))
    if datatype != Datatype.BYTES:
        return Tensor("x", datatype, draw(npst.arrays(DTYPES[datatype], shape)))
    count = math.prod(shape)
    array = np.empty(count, object)
    array[:] = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
    return Tensor("x", datatype, array.reshape(shape))


@given(
    tensors(),
    st.sampled_from(Mode),
    st.none() | TEXTS,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.booleans(),
    st.lists(TEXTS, max_size=3),
)
def test_an_agent_reads_what_a_client_writes(tensor, mode, max_tier, min_confidence, region_only, learn, outputs):
    asking = Asking("v", 1.0, max_tier, min_confidence, mode, region_only, learn, outputs)
    rows = tensor.array.shape[0]
    message = build_request("m", Batch((tensor,), rows, False), asking, "id")
    read = wire.read_request(pb.ModelInferRequest.FromString(message.SerializeToString()))
    assert (read.model, read.version, read.id) == ("m", "v", "id")
    assert read.options.mode == mode
    assert read.options.max_tier == max_tier
    assert read.options.min_confidence == min_confidence
    assert (read.options.region_only, read.options.learn) == (region_only, learn)
    assert [want.name for want in read.outputs] == [*outputs, *(ROW_FACTS if rows > 1 else ())]
    back = read.inputs["x"]
    assert back.datatype == tensor.datatype
    np.testing.assert_array_equal(back.array, tensor.array)


FACTS = st.builds(
    RowFacts,
    agent=IDS,
    tier=IDS,
    confidence=st.floats(allow_nan=False),
    resolved=st.booleans(),
    reason=st.sampled_from(Reason),
    degraded=st.booleans(),
    path=st.lists(IDS, min_size=1, max_size=4).map(tuple),
    policy=IDS,
    fused=st.booleans(),
)


@given(st.data())
def test_a_client_reads_what_an_agent_writes(data):
    facts = data.draw(st.lists(FACTS, min_size=1, max_size=5))
    labels = tuple(data.draw(st.lists(TEXTS, min_size=1, max_size=4)))
    rows = len(facts)
    chances = npst.arrays(np.float32, (rows, len(labels)), elements=st.floats(0, 1, width=32))
    scores = data.draw(chances)
    written = InferAnswer(
        model="m",
        version="1",
        id="",
        answers=Answers({"p": scores, "e": scores * 2}, facts, labels, "p"),
        wanted=() if rows == 1 else tuple(wire.WantedOutput(name) for name in (*ROW_FACTS, "upriver.fused")),
        trace_id="ab" * 16,
        tickets=tuple("" if fact.resolved else f"q-1.{row}" for row, fact in enumerate(facts)),
    )
    message = pb.ModelInferResponse.FromString(wire.write_answer(written).SerializeToString())
    answers = parse_response(message, rows, 0.5)
    for row, (answer, fact) in enumerate(zip(answers, facts, strict=True)):
        told = {name: getattr(answer, name) for name in RowFacts._fields}
        assert RowFacts(**told) == fact
        assert answer.labels == labels
        assert answer.index == scores[row].argmax()
        assert answer.label == labels[answer.index]
        np.testing.assert_array_equal(answer.probabilities, scores[row])
        np.testing.assert_array_equal(answer.outputs["e"], scores[row] * 2)
        assert list(answer.outputs) == ["p", "e"]
        assert (answer.trace_id, answer.latency_s) == ("ab" * 16, 0.5)
        assert answer.ticket == ("" if fact.resolved else f"q-1.{row}")


def plain_response(array, name="p", **parameters):
    message = pb.ModelInferResponse(model_name="m", raw_output_contents=[encode_raw(array, "FP32")])
    output = message.outputs.add(name=name, datatype="FP32", shape=array.shape)
    for key, value in parameters.items():
        output.parameters[f"upriver.{key}"].string_param = value
    return message


def test_what_a_server_does_not_tell_is_none_and_not_a_guess():
    answer = parse_response(plain_response(np.ones((1, 3), np.float32)), 1, 0.0)[0]
    assert (answer.label, answer.index, answer.probabilities, answer.confidence) == (None, None, None, None)
    assert (answer.resolved, answer.degraded, answer.reason, answer.path) == (None, None, None, ())
    assert answer.top() == []


def test_a_batch_does_not_take_the_least_certain_rows_facts_for_every_row():
    message = plain_response(np.ones((2, 3), np.float32))
    message.parameters[names.AGENT].string_param = "a"
    message.parameters[names.RESOLVED].bool_param = True
    message.parameters[names.TRACE_ID].string_param = "t"
    for answer in parse_response(message, 2, 0.0):
        assert (answer.agent, answer.resolved, answer.trace_id) == ("", None, "t")


def test_a_reason_that_a_newer_agent_knows_is_none():
    message = plain_response(np.ones((1, 3), np.float32))
    message.parameters[names.REASON].string_param = "sunspots"
    assert parse_response(message, 1, 0.0)[0].reason is None


def test_logits_become_probabilities():
    logits = np.array([[0.0, math.log(3.0), -math.inf]], np.float32)
    answer = parse_response(plain_response(logits, scores_are="logits", labels="a,b,c"), 1, 0.0)[0]
    np.testing.assert_allclose(answer.probabilities, [0.25, 0.75, 0.0], rtol=1e-6)
    assert answer.top(2) == [("b", pytest.approx(0.75)), ("a", pytest.approx(0.25))]


def test_scores_that_are_no_numbers_have_no_label():
    scores = np.array([[math.nan, 1.0]], np.float32)
    answer = parse_response(plain_response(scores, scores_are="probabilities", labels="a,b"), 1, 0.0)[0]
    assert (answer.label, answer.index) == (None, None)


def test_columns_without_a_name_are_told_by_number():
    scores = np.array([[0.1, 0.2, 0.7]], np.float32)
    answer = parse_response(plain_response(scores, scores_are="probabilities", labels="a"), 1, 0.0)[0]
    assert (answer.label, answer.index) == (None, 2)
    assert [label for label, _ in answer.top()] == ["2", "1", "a"]


def test_typed_contents_of_other_servers_are_read():
    message = pb.ModelInferResponse(model_name="m")
    message.outputs.add(name="y", datatype="INT64", shape=[2, 1]).contents.int64_contents.extend([4, 5])
    assert [answer.outputs["y"].tolist() for answer in parse_response(message, 2, 0.0)] == [[4], [5]]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (plain_response(np.ones((3, 2), np.float32)), "expected 2 rows"),
        (plain_response(np.float32(1.0)), "expected 2 rows"),
        (pb.ModelInferResponse(raw_output_contents=[b"x"]), "0 outputs but 1 raw"),
        (pb.ModelInferResponse(outputs=[{"name": "y", "datatype": "FP32", "shape": [2]}]), "takes 2 elements"),
        (pb.ModelInferResponse(parameters={"p": pb.InferParameter()}), "has no value"),
    ],
)
def test_a_response_that_does_not_fit_the_question_is_an_error(message, told):
    with pytest.raises(InferenceFailed, match=told):
        parse_response(message, 2, 0.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "sideways"}, "auto, local, top"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": math.nan}, "timeout=nan"),
        ({"min_confidence": math.inf}, "min_confidence=inf"),
        ({"outputs": "probabilities"}, "list of output names"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        Asking(**options)


def test_metadata_and_index_are_read():
    message = pb.ModelMetadataResponse(name="m", versions=["1", "2"], platform="p")
    message.inputs.add(name="x", datatype="FP32", shape=[-1, 28, -1])
    message.outputs.add(name="y", datatype="FP32", shape=[-1])
    metadata = parse_metadata(message)
    assert (metadata.model, metadata.versions) == ("m", ("1", "2"))
    assert str(metadata.inputs[0]) == "x (FP32 [rows, 28, any])"
    assert metadata.outputs[0].shape == ()
    index = pb.RepositoryIndexResponse()
    index.models.add(name="a", version="1", state="READY")
    index.models.add(name="b", state="UNAVAILABLE", reason="broken")
    assert [(m.model, m.ready, m.problem) for m in parse_index(index)] == [("a", True, ""), ("b", False, "broken")]
