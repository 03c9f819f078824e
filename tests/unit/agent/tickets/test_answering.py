"""A person's answer: one of the model's labels, or every output; whatever else is refused and told."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.agent.tickets.making import LABELS, answer, fact
from upriver.errors import InvalidInput
from upriver.oip.v2 import inference_pb2 as oip
from upriver.parameters import Reason
from upriver.request import parse_response
from upriver.tensors import encode_raw
from upriver_agent.tickets.answering import filled, labelled
from upriver_agent.tickets.record import write_row


def guess(logits=False):
    return write_row(answer(fact(), logits=logits), 0, "q-1")


def read(reply):
    return parse_response(oip.ModelInferResponse.FromString(reply), 1, 0.0)[0]


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("label", LABELS)
def test_a_label_becomes_certain_and_the_facts_are_a_persons(label, logits):
    given_answer = read(labelled(guess(logits), label, "me"))
    assert given_answer.label == label
    np.testing.assert_array_equal(given_answer.probabilities, [float(name == label) for name in LABELS])
    assert given_answer.outputs["e"].tolist() == [0.0, 1.0]
    assert (given_answer.agent, given_answer.tier, given_answer.path) == ("person", "person", ("me", "person"))
    assert (given_answer.reason, given_answer.resolved, given_answer.degraded) == (Reason.ANSWERED, True, False)
    assert (given_answer.confidence, given_answer.policy, given_answer.ticket) == (1.0, "", "q-1")


def test_a_label_that_the_model_lacks_is_refused_naming_those_that_it_has():
    with pytest.raises(InvalidInput, match="'four'; it has: one, two, three"):
        labelled(guess(), "four", "me")


def regressor():
    message = oip.ModelInferResponse(model_name="heat", model_version="1")
    message.outputs.add(name="degrees", datatype="FP32", shape=[1])
    message.outputs.add(name="hours", datatype="INT8", shape=[1, 2])
    message.outputs.add(name="words", datatype="BYTES", shape=[1])
    message.raw_output_contents.extend(
        [np.float32(3).tobytes(), b"\1\2", encode_raw(np.array([b"x"], object), "BYTES")]
    )
    return message.SerializeToString()


def test_a_model_that_does_not_classify_takes_outputs():
    with pytest.raises(InvalidInput, match="'heat' does not classify"):
        labelled(regressor(), "warm", "me")
    document = json.dumps({"degrees": 21.5, "hours": [3, 4, 5], "words": "warm"})
    outputs = read(filled(regressor(), document, "me")).outputs
    assert outputs["degrees"] == 21.5
    assert outputs["hours"].tolist() == [3, 4, 5]
    assert outputs["words"] == b"warm"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "a JSON object"),
        ('{"degrees": 1}', "exactly degrees, hours, words"),
        ('{"degrees": "hot", "hours": [1, 2], "words": "a"}', "'degrees': expected numbers"),
        ('{"degrees": [1], "hours": [1, 2], "words": "a"}', "'degrees' has 1 dimensions: expected 0"),
        ('{"degrees": 1, "hours": [[1], [2, 3]], "words": "a"}', "'hours'"),
        ('{"degrees": 1, "hours": [1, 300], "words": "a"}', "does not fit into INT8"),
        ('{"degrees": 1, "hours": [1, 2.5], "words": "a"}', "does not fit into INT8"),
        ('{"degrees": 1, "hours": [1, 2], "words": 7}', "'words': expected texts"),
        ('{"degrees": null, "hours": [1, 2], "words": "a"}', "'degrees'"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_naming_what_is_wrong(document, named):
    with pytest.raises(InvalidInput, match=named):
        filled(regressor(), document, "me")


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3), st.lists, max_leaves=8)
)
def test_whatever_a_person_writes_gives_an_answer_or_one_clear_refusal(content):
    document = json.dumps({"degrees": content, "hours": content, "words": content})
    try:
        outputs = read(filled(regressor(), document, "me")).outputs
    except InvalidInput as refused:
        told = str(refused)
    else:
        told = f"output of {len(outputs)}"
    assert "output" in told
