"""The serving core on its own: large models answer later, and nobody works for a caller who is gone."""

import itertools
import threading

import numpy as np
import pytest
from opentelemetry.sdk.trace import TracerProvider

from tests.versions import make_version
from upriver.channels import ChannelOptions
from upriver.discovery.static import StaticDiscovery
from upriver.errors import CallerGone, QueueFull
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver.tensors import Tensor
from upriver_agent.envelope import DEFAULT_OPTIONS
from upriver_agent.place import Place
from upriver_agent.predictor import Prediction
from upriver_agent.resilience.sources import SourceRules
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.ascent import CascadeRules
from upriver_agent.serving.contract import Contract, InputSpec
from upriver_agent.serving.core import ServingCore
from upriver_agent.serving.interpreters import Interpreters
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion, OutputSpec
from upriver_agent.serving.loader import make_policy
from upriver_agent.serving.request import InferAnswer, InferRequest
from upriver_agent.serving.slots import Slots
from upriver_agent.telemetry import Telemetry
from upriver_agent.upstream.links import Links
from upriver_agent.upstream.upstreams import Upstreams
from upriver_agent.versions import open_version

WAIT_S = 60
ROW = np.full((1, 10), 0.1, np.float32)


class Held:
    """A predictor that answers when it is let go."""

    def __init__(self):
        self.go, self.entered, self.ran = threading.Event(), threading.Event(), 0

    def predict(self, canonical):
        self.entered.set()
        assert self.go.wait(WAIT_S)
        self.ran += 1
        rows = np.repeat(ROW, len(canonical["image"]), 0)
        return Prediction(rows, None, {"probabilities": rows})


class Caller:
    """A call whose end the test decides."""

    def __init__(self, name="ipv4:127.0.0.1", visited=""):
        self.callbacks, self.over, self.name = [], False, name
        pairs = {"question": "q", "touch-point": visited, "visited": visited, "hops-left": "3"} if visited else {}
        self.pairs = tuple((f"upriver-{key}", value) for key, value in pairs.items())

    def metadata(self):
        return self.pairs

    def time_left_s(self):
        return None

    def authenticated(self):
        return False

    def caller(self):
        return self.name

    def on_end(self, callback):
        self.callbacks.append(callback)
        return not self.over

    def leave(self):
        self.over = True
        for callback in self.callbacks:
            callback()


@pytest.fixture
def held():
    return Held()


def make_core(tmp_path, predictor, large, limit=4, trust=False, sources=None, telemetry=None):
    version = open_version(make_version(tmp_path, "1", 0.0), tmp_path / "state")

    def load(_):
        return LoadedVersion(
            version=version,
            policy=make_policy(PolicyDocument(version.digest, ScoreKind.MAX_PROBABILITY, 0.0)),
            contract=Contract([InputSpec("image", "FP32", (2,))]),
            outputs=(OutputSpec("probabilities", "FP32", (10,)),),
            form=AnswerForm(scores_output="probabilities"),
            score=lambda prediction: prediction.scores.max(axis=1).astype(np.float64),
            interpreters=Interpreters(lambda: predictor, 1, large, "test"),
        )

    slots = Slots(load)
    slots.load(tmp_path)
    place = Place("me", "device", "here", ("device",))
    rules = CascadeRules(4, trust_network=trust, byte_budget=None, default_timeout_s=5.0, hop_delay_s=0.0)
    admission = Admission(limit, sources=sources)
    upstreams = Upstreams(place, StaticDiscovery(()), Links(ChannelOptions()))
    telemetry = telemetry or Telemetry("me", "device", "here", 0.0)
    return ServingCore(place, rules, slots, admission, upstreams, telemetry), admission


def request():
    image = Tensor("image", "FP32", np.zeros((1, 2), np.float32))
    return InferRequest("pattern", "", "id", {"image": image}, DEFAULT_OPTIONS)


def test_a_small_model_answers_at_once(tmp_path, held):
    held.go.set()
    core, admission = make_core(tmp_path, held, large=False)
    answer = core.infer(request(), Caller())
    assert isinstance(answer, InferAnswer)
    assert answer.answers.facts[0].path == ("me",)
    assert admission.inflight == 0


@pytest.mark.parametrize(
    ("rate", "coin", "flags", "traced"),
    [
        (0.0, 0.0, None, False),
        (0.3, 0.2, None, True),
        (0.3, 0.3, None, False),
        (1.0, 0.999, None, True),
        (0.0, 0.5, "01", True),
        (1.0, 0.5, "00", False),
    ],
)
def test_a_sure_answer_is_traced_as_its_caller_wants_or_else_by_the_rate(tmp_path, held, rate, coin, flags, traced):
    held.go.set()
    telemetry = Telemetry("me", "device", "here", rate, TracerProvider().get_tracer("test"), lambda: coin)
    core, _ = make_core(tmp_path, held, large=False, telemetry=telemetry)
    caller = Caller()
    if flags is not None:
        caller.pairs = (("user-agent", "test"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-{flags}"))
    answer = core.infer(request(), caller)
    assert bool(answer.trace_id) == traced
    if flags == "01":
        assert answer.trace_id == "ab" * 16


def test_a_large_model_answers_later_and_its_place_is_taken_until_then(tmp_path, held):
    core, admission = make_core(tmp_path, held, large=True, limit=1)
    later = core.infer(request(), Caller())
    assert held.entered.wait(WAIT_S)
    with pytest.raises(QueueFull):
        core.infer(request(), Caller())
    held.go.set()
    assert later.result(WAIT_S).id == "id"
    assert admission.inflight == 0


def test_what_waits_for_a_large_model_is_dropped_when_its_caller_leaves(tmp_path, held):
    core, admission = make_core(tmp_path, held, large=True)
    first = core.infer(request(), Caller())
    assert held.entered.wait(WAIT_S)
    caller = Caller()
    waiting = core.infer(request(), caller)
    caller.leave()
    with pytest.raises(CallerGone):
        waiting.result(WAIT_S)
    held.go.set()
    first.result(WAIT_S)
    assert held.ran == 1
    assert admission.inflight == 0


def ask_until_refused(core, caller):
    """The answers that will come, and why there are no more."""
    answers = []
    while True:
        try:
            answers.append(core.infer(request(), caller()))
        except QueueFull as full:
            return answers, str(full)


@pytest.mark.parametrize(
    ("noisy", "quiet"),
    [
        (lambda: Caller("ipv4:10.0.0.1"), lambda: Caller("ipv4:10.0.0.2")),
        (lambda: Caller(visited="device-1"), lambda: Caller(visited="device-2")),
    ],
)
def test_a_noisy_caller_does_not_keep_a_quiet_one_out(tmp_path, held, noisy, quiet):
    core, admission = make_core(tmp_path, held, large=True, limit=16, trust=True)
    answers, refused = ask_until_refused(core, noisy)
    assert "others" in refused
    assert len(answers) == 14  # twelve places that nobody counts, and two of the last four
    answers.append(core.infer(request(), quiet()))
    with pytest.raises(QueueFull):
        core.infer(request(), noisy())
    held.go.set()
    for answer in answers:
        answer.result(WAIT_S)
    assert admission.inflight == 0
    assert admission.counters.over_share == 2


def test_a_stranger_is_not_believed_to_be_an_agent(tmp_path, held):
    core, _ = make_core(tmp_path, held, large=True, limit=16)
    names = itertools.count()
    answers, refused = ask_until_refused(core, lambda: Caller("ipv4:10.0.0.1", visited=f"device-{next(names)}"))
    assert "ipv4:10.0.0.1's already" in refused
    held.go.set()
    for answer in answers:
        answer.result(WAIT_S)


def test_an_agent_that_escalates_more_than_it_may_is_refused_and_a_client_is_not(tmp_path, held):
    held.go.set()
    sources = SourceRules(per_s=0.001, burst=2.0)
    core, admission = make_core(tmp_path, held, large=False, trust=True, sources=sources)
    for _ in range(2):
        core.infer(request(), Caller(visited="device-1"))
    with pytest.raises(QueueFull, match="'device-1' escalates faster"):
        core.infer(request(), Caller(visited="device-1"))
    core.infer(request(), Caller(visited="device-2"))
    for _ in range(5):
        core.infer(request(), Caller())
    assert admission.counters.sources_limited == 1
    assert admission.inflight == 0
