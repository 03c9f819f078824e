"""Asking again: whom, how, and what is known of it afterwards."""

import asyncio
import hashlib
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.unit.control_plane.fleet_facts import active, agent
from upriver import parameters as names
from upriver.errors import InvalidInput, ModelNotFound, NotFound, NotNow, QueueFull, Unreachable
from upriver.oip.v2 import inference_pb2 as oip
from upriver.policies import PolicyDocument, write_policy
from upriver.scores import ScoreKind
from upriver.v1 import question_pb2 as pb
from upriver.v1 import train_pb2
from upriver_control.calling.again import WAITING, AskedAgain
from upriver_control.calling.asked import Asked
from upriver_control.calling.own_answer import OwnAnswer
from upriver_control.observed import Pair, RefinedFacts
from upriver_control.spans.facts import LinkFacts

DIGEST = "sha256:" + "1" * 64
POLICY = write_policy(PolicyDocument(DIGEST, ScoreKind.MAX_PROBABILITY, 0.7))
OTHER = write_policy(PolicyDocument(DIGEST, ScoreKind.MAX_PROBABILITY, 0.9))
ASKED = Asked("4b" * 16, "05" * 8, "q-1", "device-1", "digits", 1)
INPUT = train_pb2.HandedInput(name="image", datatype="UINT8", shape=[2], data=b"ab")
SPAN = LinkFacts(b"t" * 16, b"s" * 8)


def digest(document):
    return "sha256:" + hashlib.sha256(document.encode()).hexdigest()


def answer(confidence=0.8, resolved=True, policy=""):
    made = oip.ModelInferResponse(model_name="digits")
    output = made.outputs.add(name="scores", datatype="FP32", shape=[1, 2])
    output.parameters[names.SCORES_ARE].string_param = "probabilities"
    output.parameters[names.LABELS].string_param = "one,two"
    made.raw_output_contents.append(b"\x00\x00\x80\x3e\x00\x00\x40\x3f")  # 0.25, 0.75
    made.parameters[names.CONFIDENCE].double_param = confidence
    made.parameters[names.RESOLVED].bool_param = resolved
    made.parameters[names.POLICY].string_param = policy
    return made


class Mesh:
    """Stands where agents, inputs, the registry, a child process and the span store are."""

    def __init__(self, answers, agents=(), unavailable="", ran=None):
        self.answers = answers
        self.agents = agents
        self.unavailable = unavailable
        self.ran = ran
        self.calls, self.told = [], []

    async def call(self, name, method, request, timeout_s, metadata=()):
        self.calls.append((name, request, dict(metadata)))
        told = self.answers[name]
        if isinstance(told, Exception):
            raise told
        return told

    async def find(self, asked, row):
        return pb.GetQuestionInputResponse(inputs=[] if self.unavailable else [INPUT], unavailable=self.unavailable)

    def version(self, model, version):
        if version == "9":
            raise NotFound("no version 9")
        return SimpleNamespace(name=f"models/{model}/versions/{version}")

    def by_digest(self, of):
        if of != DIGEST:
            raise NotFound(of)
        return SimpleNamespace(validation=SimpleNamespace(policy_document=POLICY))

    def answer(self, version, inputs):
        assert [one.data for one in inputs] == [b"ab"]
        return self.ran

    def ids(self, about):
        return SPAN

    def tell(self, name, about, times, attributes, questions=()):
        self.told.append((name, attributes, questions))
        return SPAN.trace

    def ask(self, **whom):
        again = AskedAgain(self, lambda: self.agents, self, self, self, self)
        return asyncio.run(again.ask(ASKED, pb.AskAgainRequest(trace=ASKED.trace, **whom)))


def at(name, tier="cloud", **more):
    facts = agent(1, tier=tier)
    return replace(facts, **{"agent": name, "address": "10.0.0.1:1", **more})


def test_an_agent_is_asked_for_its_own_answer_and_nothing_else_comes_of_it():
    mesh = Mesh({"cloud-1": answer()}, [at("cloud-1")])
    told = mesh.ask(agent="cloud-1")
    assert (told.answered_by, told.label, told.confident, told.score) == ("cloud-1", "two", True, 0.8)
    assert not told.HasField("threshold")  # of a policy that nobody here knows
    ((_, request, metadata),) = mesh.calls
    assert request.model_name == "digits"
    assert request.raw_input_contents[0] == b"ab"
    assert {name: value.string_param for name, value in request.parameters.items()} == {names.MODE: "local"}
    assert metadata == {"traceparent": f"00-{(b't' * 16).hex()}-{(b's' * 8).hex()}-01"}


def test_a_span_of_its_own_links_to_the_question():
    mesh = Mesh({"cloud-1": answer()}, [at("cloud-1")])
    assert mesh.ask(agent="cloud-1").trace == SPAN.trace.hex()
    ((name, attributes, links),) = mesh.told
    assert name == "upriver.again"
    assert attributes["upriver.answered_by"] == "cloud-1"
    assert links == [LinkFacts(bytes.fromhex(ASKED.trace), bytes.fromhex(ASKED.span))]


@pytest.mark.parametrize(
    ("slot", "policy", "threshold"),
    [
        (active(Pair("models/digits/versions/1", DIGEST)), POLICY, 0.7),  # its manifest's
        (active(Pair("models/digits/versions/1", DIGEST, OTHER)), OTHER, 0.9),
        (replace(active(Pair("models/digits/versions/1", DIGEST)), refined=RefinedFacts(OTHER)), OTHER, 0.9),
        (active(Pair("models/digits/versions/1", "sha256:" + "2" * 64)), POLICY, None),
    ],
)
def test_the_threshold_is_that_of_the_very_policy_that_answered(slot, policy, threshold):
    mesh = Mesh({"cloud-1": answer(policy=digest(policy))}, [at("cloud-1", slots={"digits": slot})])
    told = mesh.ask(agent="cloud-1")
    assert (told.threshold if told.HasField("threshold") else None) == threshold


def test_of_a_tier_those_are_asked_that_serve_the_model_until_one_answers():
    mesh = Mesh(
        {"c-3": ModelNotFound("digits", []), "c-1": Unreachable("c-1 is away"), "c-2": answer()},
        [
            at("c-1", slots={"digits": active()}, load=0.1),
            at("c-2", slots={"digits": active()}, load=0.5),
            at("c-3"),
            at("c-4", connected=False),
            at("c-5", draining=True),
            at("device-1", tier="device"),
        ],
    )
    assert mesh.ask(tier="cloud").answered_by == "c-2"
    assert [name for name, _, _ in mesh.calls] == ["c-1", "c-2"]
    mesh.answers["c-2"] = QueueFull("c-2 is full")
    with pytest.raises(Unreachable, match="c-1 is away; c-2 is full; unknown model"):
        mesh.ask(tier="cloud")
    with pytest.raises(NotNow, match="no agent of tier 'far-edge'"):
        mesh.ask(tier="far-edge")


def test_what_an_agent_finds_wrong_is_told_and_no_other_is_asked():
    mesh = Mesh({"c-1": InvalidInput("input 'image'"), "c-2": answer()}, [at("c-1"), at("c-2")])
    with pytest.raises(InvalidInput, match="input 'image'"):
        mesh.ask(tier="cloud")


def test_a_version_is_run_here():
    mesh = Mesh({}, ran=OwnAnswer(answer(0.75, False), 0.75, 0.8, 0.0125))
    told = mesh.ask(version="models/digits/versions/7")
    assert (told.answered_by, told.label, told.confident) == ("control-plane", "two", False)
    assert (told.score, told.threshold, told.latency.ToMicroseconds()) == (0.75, 0.8, 12_500)
    assert mesh.calls == []


@pytest.mark.parametrize(
    ("version", "error", "why"),
    [
        ("models/faces/versions/7", InvalidInput, "'digits', which was asked"),
        ("models/digits/versions/9", NotFound, "no version 9"),
        ("7", InvalidInput, "is no version's name"),
    ],
)
def test_a_version_must_be_one_of_the_model_that_was_asked(version, error, why):
    with pytest.raises(error, match=why):
        Mesh({}).ask(version=version)


def test_without_its_input_nobody_is_asked_and_why_is_told():
    mesh = Mesh({"cloud-1": answer()}, [at("cloud-1")], unavailable="its caller did not let it be kept")
    for whom in ({"tier": "cloud"}, {"agent": "cloud-1"}, {"version": "models/digits/versions/7"}):
        with pytest.raises(NotNow, match="its caller did not let it be kept"):
            mesh.ask(**whom)
    assert (mesh.calls, mesh.told) == ([], [])


def test_few_wait_for_a_version_to_be_run():
    async def run():
        mesh = Mesh({})
        again = AskedAgain(mesh, lambda: (), mesh, mesh, mesh, mesh)
        again._waiting = WAITING
        await again.ask(ASKED, pb.AskAgainRequest(version="models/digits/versions/7"))

    with pytest.raises(QueueFull, match="try again later"):
        asyncio.run(run())


def test_a_score_that_is_never_enough_is_told_as_such():
    mesh = Mesh({"cloud-1": answer(-math.inf, False)}, [at("cloud-1")])
    assert mesh.ask(agent="cloud-1").score == -math.inf
    assert "upriver.score" not in mesh.told[0][1]
