"""Where the input of a question is found, and what is told where it can't be shown."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from upriver import parameters as names
from upriver.errors import InvalidInput, NotFound, NotSupported, TicketGone, Unreachable
from upriver.oip.v2 import inference_pb2 as oip
from upriver.v1 import lesson_pb2, ticket_pb2, train_pb2
from upriver_control.calling.asked import Asked
from upriver_control.calling.handed import handed_inputs, picture_in, request_of
from upriver_control.calling.inputs import NO_CONSENT, NOTHING, TOO_LARGE, QuestionInputs
from upriver_control.calling.methods import GET_TICKET, LIST_LESSONS
from upriver_control.calling.pictures import is_png

ASKED = Asked("4b" * 16, "05" * 8, "q-1", "device-1", "digits", 1)
PIXELS = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)


def request(array=PIXELS):
    made = oip.ModelInferRequest(model_name="digits")
    made.inputs.add(name="image", datatype="UINT8", shape=array.shape)
    made.raw_input_contents.append(array.tobytes())
    return made


def lesson(**more):
    told = {"id": "q-1.0", "consent": True, "has_input": True, "input": request().SerializeToString(), **more}
    return lesson_pb2.Lesson(**told)


class Agent:
    """One agent: its ticket and lesson, or the errors that it gives."""

    def __init__(self, ticket=None, lesson=None):
        self.told = {GET_TICKET: ticket or NotFound("no ticket"), LIST_LESSONS: lesson}
        self.asked = []

    async def call(self, agent, method, request, timeout_s):
        assert agent == "device-1"
        self.asked.append(request)
        told = self.told[method]
        if isinstance(told, Exception):
            raise told
        if method is GET_TICKET:
            return ticket_pb2.GetTicketResponse(ticket=told)
        return lesson_pb2.ListLessonsResponse(lessons=[told] if told is not None else [])


def find(agent, handed_up=lambda id_: None, asked=ASKED, row=0):
    return asyncio.run(QuestionInputs(agent, handed_up).find(asked, row))


def test_the_input_of_a_ticket_that_waits_is_shown():
    agent = Agent(ticket=ticket_pb2.Ticket(name="tickets/q-1", input=request()))
    found = find(agent)
    assert (found.source, found.unavailable) == ("ticket", "")
    assert (found.inputs[0].name, list(found.inputs[0].shape)) == ("image", [8, 8])
    assert is_png(found.png)
    assert agent.asked == [ticket_pb2.GetTicketRequest(name="tickets/q-1", include_input=True)]


def test_a_row_of_a_batch_has_a_ticket_and_a_lesson_of_its_own():
    agent = Agent(lesson=lesson(id="q-1.3"))
    assert find(agent, asked=replace(ASKED, rows=5), row=3).source == "lesson"
    assert agent.asked[0].name == "tickets/q-1.3"
    assert list(agent.asked[1].choice.ids) == ["q-1.3"]
    for row in (-1, 5):
        with pytest.raises(InvalidInput, match="the question has 5"):
            find(agent, asked=replace(ASKED, rows=5), row=row)


def guess():
    made = oip.ModelInferResponse(model_name="digits")
    scores = made.outputs.add(name="scores", datatype="FP32", shape=[1, 3])
    scores.parameters[names.SCORES_ARE].string_param = "probabilities"
    scores.parameters[names.LABELS].string_param = "one,two,three"
    made.raw_output_contents.append(np.array([0.1, 0.7, 0.2], "<f4").tobytes())
    made.parameters[names.AGENT].string_param = "cloud-1"
    return made


def test_what_is_kept_as_its_answer_comes_with_it_and_with_who_gave_it():
    waits = ticket_pb2.Ticket(name="tickets/q-1", input=request(), guess=guess())
    taught = lesson(label="seven", teacher="person")
    found = [find(Agent(ticket=waits)), find(Agent(lesson=taught))]
    assert [(one.label, one.labelled_by) for one in found] == [("two", "cloud-1"), ("seven", "person")]
    waits.guess.raw_output_contents[0] = b"broken"
    assert (find(Agent(ticket=waits)).source, find(Agent(ticket=waits)).label) == ("ticket", "")
    hidden = find(Agent(lesson=lesson(label="seven", consent=False)))
    assert (hidden.label, hidden.labelled_by) == ("", ""), "what may not be shown has no answer either"


@pytest.mark.parametrize("error", [NotFound("none"), TicketGone("expired"), NotSupported("no tickets")])
def test_without_a_ticket_it_is_the_lessons(error):
    found = find(Agent(ticket=error, lesson=lesson()))
    assert (found.source, found.inputs[0].data) == ("lesson", PIXELS.tobytes())
    answered = ticket_pb2.Ticket(name="tickets/q-1", state=ticket_pb2.TICKET_STATE_ANSWERED)
    assert find(Agent(ticket=answered, lesson=lesson())).source == "lesson"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"consent": False, "has_input": False, "input": b""}, NO_CONSENT),
        ({"consent": False}, NO_CONSENT),  # also where an agent sends one that it should not have
        ({"has_input": False, "input": b""}, TOO_LARGE),
        ({"input": b"", "input_problem": "it is sealed with key 1a"}, "can't be opened: it is sealed with key 1a"),
        ({"input": b"\xff\xff"}, "can't be read"),
    ],
)
def test_what_may_not_or_can_not_be_shown_is_not_and_that_is_told(told, why):
    found = find(Agent(lesson=lesson(**told)))
    assert why in found.unavailable
    assert (found.source, len(found.inputs), found.png) == ("", 0, b"")


def test_lessons_that_were_handed_up_are_looked_through_last_also_for_an_agent_that_is_gone():
    inputs = [train_pb2.HandedInput(name="image", datatype="UINT8", shape=[8, 8], data=PIXELS.tobytes())]
    handed = train_pb2.HandedLesson(inputs=inputs, label="seven", teacher_agent="cloud-1")
    gone = Unreachable("agent device-1 is not connected")
    kept = {"q-1.0": handed}
    found = find(Agent(gone, gone), kept.get)
    assert (found.source, found.label, found.labelled_by) == ("lessons", "seven", "cloud-1")
    assert find(Agent(gone, gone)).unavailable == "agent device-1 is not connected"
    assert find(Agent(), kept.get).source == "lessons"


def test_a_picture_that_would_make_the_answer_too_large_is_left_out():
    noise = np.random.default_rng(1).integers(0, 256, (1, 1500, 1500), np.uint8)
    agent = Agent(ticket=ticket_pb2.Ticket(name="tickets/q-1", input=request(noise)))
    found = find(agent)
    assert (found.inputs[0].data, found.png) == (noise.tobytes(), b"")


def test_where_nothing_was_kept_that_is_told():
    assert find(Agent()).unavailable == NOTHING
    assert find(Agent(lesson=NotSupported("no lessons"))).unavailable == NOTHING
    assert "first look" in find(Agent(), asked=replace(ASKED, question="")).unavailable


def test_inputs_come_back_as_they_were_when_they_are_asked_again():
    made = oip.ModelInferRequest(model_name="m")
    for name, datatype, shape, raw in (
        ("a", "FP32", [1, 2], np.array([1, 2], "<f4").tobytes()),
        ("b", "BYTES", [1], (5).to_bytes(4, "little") + b"hello"),
        ("c", "BYTES", [1, 1], (0).to_bytes(4, "little")),
        ("d", "BF16", [1, 2], b"\x00\x3f\x80\x3f"),
    ):
        made.inputs.add(name=name, datatype=datatype, shape=shape)
        made.raw_input_contents.append(raw)
    handed = handed_inputs(made)
    assert [one.data for one in handed][1:3] == [b"hello", b""]
    assert request_of("m", handed) == made


@pytest.mark.parametrize(
    ("shape", "datatype", "raw"),
    [([2, 4], "UINT8", bytes(8)), ([], "UINT8", b"1"), ([1, 2], "BYTES", bytes(8)), ([1], "BYTES", b"\xff" * 6)],
)
def test_what_is_no_row_is_refused(shape, datatype, raw):
    made = oip.ModelInferRequest()
    made.inputs.add(name="a", datatype=datatype, shape=shape)
    made.raw_input_contents.append(raw)
    with pytest.raises(InvalidInput):
        handed_inputs(made)
    with pytest.raises(InvalidInput, match="0 raw contents"):
        handed_inputs(oip.ModelInferRequest(inputs=made.inputs))


def test_an_encoded_image_is_a_picture_and_a_text_is_none():
    image = pytest.importorskip("PIL.Image")
    import io

    out = io.BytesIO()
    image.new("RGB", (9, 7), "red").save(out, "JPEG")
    assert is_png(picture_in([train_pb2.HandedInput(name="a", datatype="BYTES", data=out.getvalue())]))
    assert picture_in([train_pb2.HandedInput(name="a", datatype="BYTES", data=b"a text")]) == b""
