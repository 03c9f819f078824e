"""A question's way up with real parts around fake calls: answered once, with no place, call or wait left behind."""

import grpc
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from upriver.discovery.port import AgentRecord
from upriver.discovery.static import StaticDiscovery
from upriver.parameters import PROTOCOL, Reason
from upriver.tensors import Tensor
from upriver.tracing import EventName, SpanName
from upriver_agent import wire
from upriver_agent.envelope import DEFAULT_OPTIONS, first_envelope
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.place import Place
from upriver_agent.reserve import MIN_S
from upriver_agent.resilience.settings import ResilienceSection
from upriver_agent.serving.escalation import WayUp
from upriver_agent.serving.outbound import Outbound
from upriver_agent.serving.packing import Packer
from upriver_agent.serving.request import InferAnswer
from upriver_agent.telemetry import Marks, Telemetry
from upriver_agent.upstream.guard import Guard
from upriver_agent.upstream.links import Escalation
from upriver_agent.upstream.timer import Appointment
from upriver_agent.upstream.upstreams import Upstreams

ME = Place("me", "device", "here", ("device", "cloud"))
FACTS = RowFacts("me", "device", 0.1, False, Reason.UPSTREAM_DOWN, True, ("me",), "")
PROBABILITIES = np.full((1, 2), 0.5, np.float32)


def reply(agent):
    facts = RowFacts(agent, "cloud", 0.9, True, Reason.CONFIDENT, False, (agent,), "")
    return wire.write_answer(InferAnswer("m", "1", "", Answers({"p": PROBABILITIES}, (facts,), (), "p")))


class Refused(grpc.RpcError, grpc.Call):
    """An error of a call, with a code."""

    def __init__(self, code):
        super().__init__()
        self._code = code

    def code(self):
        return self._code

    def details(self):
        return "as the test wants it"

    def initial_metadata(self):
        return ()

    def trailing_metadata(self):
        return ()

    def is_active(self):
        return False

    def time_remaining(self):
        return None

    def cancel(self):
        return False

    def add_callback(self, callback):
        return False


class FakeCall:
    """A call that ends when the test says so."""

    def __init__(self, agent, ends_at_s):
        self.agent, self.ends_at_s = agent, ends_at_s
        self.over = self.cancelled = False
        self._callbacks, self._outcome = [], None

    def end(self, outcome):
        if self.over:
            return
        self.over, self._outcome = True, outcome
        for callback in self._callbacks:
            callback(self)

    def result(self, timeout=None):
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def cancel(self):
        if self.over:
            return False
        self.cancelled = True
        self.end(grpc.FutureCancelledError())
        return True

    def add_done_callback(self, callback):
        self._callbacks.append(callback)
        if self.over:
            callback(self)


class FakeLink:
    def __init__(self, record, world):
        self.record, self.world, self.reserve_s, self.outstanding = record, world, 0.01, 0
        self.told = frozenset()

    def send(self, message, metadata, timeout_s):
        if self.record.agent in self.world.closed:
            raise ValueError("Cannot invoke RPC on closed channel!")
        self.outstanding += 1
        call = FakeCall(self.record.agent, self.world.now + timeout_s)
        call.size = message.ByteSize() + sum(len(key) + len(value) for key, value in metadata)
        self.world.calls.append(call)
        return call

    def settled(self):
        self.outstanding -= 1

    def learn(self, round_trip_s, held_s):
        assert round_trip_s >= 0

    def reads(self, model):
        return self.told

    def heard(self, model, terms):
        self.told = terms


class World:
    """Links, clock and timer by hand, real everything else."""

    def __init__(self, agents, section=None):
        self.now, self.calls, self.closed, self.due, self.links = 50.0, [], set(), [], {}
        records = [AgentRecord(name, "cloud", "here", "127.0.0.1:1", PROTOCOL, {}, 0.0) for name in agents]
        guard = Guard(section or ResilienceSection(), lambda: self.now, lambda: 0.5)
        self.upstreams = Upstreams(ME, StaticDiscovery(records), self, guard, self, pick=lambda count: 0)
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.exporter = exporter
        self.telemetry = Telemetry("me", "device", "here", 0.0, provider.get_tracer("test"))
        self.outcomes = []

    @property
    def guard(self):
        return self.upstreams.guard

    def to(self, record):
        return self.links.setdefault(record.agent, FakeLink(record, self))

    def outstanding(self, agent):
        return self.links[agent].outstanding if agent in self.links else 0

    def at(self, when_s, callback):
        appointment = Appointment(callback)
        self.due.append((when_s, appointment))
        return appointment

    def ask(self, time_left_s=1.0, hop_delay_s=0.0, byte_budget=None):
        envelope = first_envelope("q", "me", 4, byte_budget)
        trace = self.telemetry.begin(None, Marks(1), "m", "q", (FACTS,), 0.5)
        image = Tensor("image", "FP32", np.zeros((1, 2), np.float32))

        def done(outcome):
            trace.finish((FACTS,))
            self.outcomes.append((outcome, self.now))

        way = WayUp(
            self.upstreams,
            Outbound(Escalation("m", "", [image], 1, {}), Packer()),
            envelope,
            self.upstreams.candidates("m", DEFAULT_OPTIONS, envelope),
            self.now + time_left_s,
            hop_delay_s,
            trace,
            done,
        )
        way.start()
        return way

    def pass_time(self, seconds):
        """To what is due next, and on: time-outs of calls and appointments, in order."""
        until = self.now + seconds
        while True:
            ends = [(call.ends_at_s, 0, call) for call in self.calls if not call.over]
            wakes = [(when_s, 1, wake) for when_s, wake in self.due if wake.callback is not None]
            when_s, _, what = min([*ends, *wakes], key=lambda entry: entry[:2], default=(until + 1, 0, None))
            if what is None or when_s > until:
                break
            self.now = max(self.now, when_s)
            if isinstance(what, FakeCall):
                what.end(Refused(grpc.StatusCode.DEADLINE_EXCEEDED))
            else:
                callback, what.callback = what.callback, None
                callback()
        self.now = until

    def running(self):
        return [call for call in self.calls if not call.over]

    def events(self):
        serve = [span for span in self.exporter.get_finished_spans() if span.name == SpanName.SERVE]
        return [event.name for span in serve for event in span.events]


def test_the_first_answer_is_passed_on_and_the_time_that_it_took_is_learnt():
    world = World(["a", "b"])
    world.ask()
    (call,) = world.calls
    world.now += 0.05
    call.end(reply("a"))
    ((outcome, _),) = world.outcomes
    assert outcome.answer.answers.facts[0].agent == "a"
    assert outcome.bytes_up > 0
    assert world.guard.counters.answered == 1
    assert world.outstanding("a") == 0


def test_a_frozen_upstream_is_hedged_left_alone_and_then_not_asked_any_more():
    world = World(["a", "b"])
    for number in range(5):
        world.ask()
        world.pass_time(0.1)  # so long is waited for an upstream that is not known yet
        first, second = world.calls[-2:]
        assert (first.agent, second.agent) == ("a", "b")
        second.end(reply("b"))
        assert first.cancelled
        outcome, at = world.outcomes[-1]
        assert outcome.answer is not None
        assert at == pytest.approx(50.0 + 0.1 * (number + 1))
    assert world.guard.counters.hedges_won == 5
    assert world.events().count(EventName.BREAKER_OPENED) == 1
    world.ask()
    assert world.calls[-1].agent == "b"
    world.calls[-1].end(reply("b"))
    world.pass_time(1.0)
    world.ask()
    assert world.calls[-1].agent == "a"
    world.calls[-1].end(reply("a"))
    assert world.events().count(EventName.BREAKER_TRIAL) == world.events().count(EventName.BREAKER_CLOSED) == 1


def test_a_frozen_upstream_without_a_second_gives_the_own_answer_in_time_and_then_at_once():
    world = World(["a"])
    for _ in range(5):
        began = world.now
        world.ask(time_left_s=1.0)
        world.pass_time(1.0)
        outcome, at = world.outcomes[-1]
        assert outcome.reason is Reason.DEADLINE
        assert at <= began + 1.0 - MIN_S
    assert world.upstreams.look(1.0, 10).avoid.broken == {"a"}
    world.ask()
    assert world.outcomes[-1][0].reason is Reason.UPSTREAM_DOWN  # the decision before would have said breaker_open


def test_a_question_that_finds_the_only_upstream_being_tried_says_that_it_is_left_alone():
    world = failing_world()
    world.ask(hop_delay_s=0.05)  # decided while the upstream may be tried
    world.ask()  # the trial
    world.pass_time(0.05)
    outcome, _ = world.outcomes[-1]
    assert outcome.reason is Reason.BREAKER_OPEN
    assert EventName.HELD_BACK in world.events()


def failing_world():
    """One upstream, which failed so often that it was left alone, and may be tried now."""
    world = World(["a"])
    for _ in range(5):
        world.ask()
        world.calls[-1].end(Refused(grpc.StatusCode.UNAVAILABLE))
    world.now += 1.0
    return world


@pytest.mark.parametrize("well", [True, False])
def test_a_trial_costs_its_question_no_more_than_a_short_wait_and_is_learnt_from_all_the_same(well):
    world = failing_world()
    began = world.now
    world.ask(time_left_s=1.0)
    world.pass_time(0.3)
    outcome, at = world.outcomes[-1]
    assert (outcome.reason, outcome.gone) == (Reason.BREAKER_OPEN, False)
    assert at == pytest.approx(began + 0.1)
    (trial,) = world.running()
    if well:
        trial.end(reply("a"))
    else:
        world.pass_time(1.0)
    assert world.guard.counters.breaker_closed == (1 if well else 0)
    assert world.guard.counters.breaker_opened == (1 if well else 2)
    assert world.running() == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.UPSTREAM_FULL),
        (grpc.StatusCode.UNAVAILABLE, Reason.UPSTREAM_DOWN),
        (grpc.StatusCode.INVALID_ARGUMENT, Reason.UPSTREAM_DOWN),
        (grpc.StatusCode.INTERNAL, Reason.UPSTREAM_DOWN),
    ],
)
def test_when_all_have_failed_alike_the_reason_says_how(code, reason):
    world = World(["a", "b"])
    world.ask()
    for call in ("a", "b"):
        (running,) = world.running()
        assert running.agent == call
        running.end(Refused(code))
    assert world.outcomes[0][0].reason is reason
    assert world.events()[-1] == EventName.RETRY


def test_load_and_refusals_open_no_breaker_and_failures_do():
    for code, opens in (
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.NOT_FOUND, False),
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.INTERNAL, True),
    ):
        world = World(["a"])
        for _ in range(6):
            world.ask()
            for call in world.running():
                call.end(Refused(code))
        assert (world.guard.counters.breaker_opened > 0) == opens, code


def test_callers_in_a_hurry_do_not_get_an_upstream_left_alone():
    world = World(["a"])
    for _ in range(50):
        world.ask(time_left_s=0.05)  # less than is waited for one that is not known yet
        world.pass_time(0.05)
    assert world.guard.counters.breaker_opened == 0
    assert {outcome.reason for outcome, _ in world.outcomes} == {Reason.DEADLINE}


def test_a_closed_channel_and_an_answer_that_cannot_be_used_are_failures():
    world = World(["a", "b"])
    world.closed = {"a"}
    world.ask()
    (call,) = world.calls
    assert call.agent == "b"
    call.end(reply("b"))
    assert world.outcomes[0][0].answer is not None
    world.ask()
    garbled = reply("b")
    del garbled.raw_output_contents[:]
    world.calls[-1].end(garbled)
    assert world.outcomes[1][0].reason is Reason.UPSTREAM_DOWN
    assert world.guard.counters.failed == 1


def test_whatever_an_upstream_sends_its_place_is_given_back_and_the_next_is_asked(caplog):
    world = World(["a", "b"])
    world.ask()
    world.calls[0].end("no message at all")
    assert [call.agent for call in world.running()] == ["b"]
    assert "could not be read" in caplog.text
    assert world.guard.counters.failed == 1
    world.running()[0].end(reply("b"))
    assert world.outcomes[0][0].answer is not None


@pytest.mark.parametrize("told", [{"zstd"}, set()])
def test_an_upstream_that_refuses_what_it_told_to_read_is_sent_what_everybody_reads(told):
    world = World(["a", "b"])
    for link in (world.to(record) for record in world.upstreams.look(None, 0).agents):
        link.told = frozenset(told)
    world.ask()
    world.calls[0].end(Refused(grpc.StatusCode.INVALID_ARGUMENT))
    assert world.links["a"].told == set()
    assert world.links["b"].told == told  # it has refused nothing
    world.calls[1].end(Refused(grpc.StatusCode.UNAVAILABLE))
    assert world.links["b"].told == told


def test_a_question_is_not_sent_twice_when_its_byte_budget_is_for_once():
    world = World(["a", "b"])
    world.ask(byte_budget=10_000)
    world.calls[0].end(Refused(grpc.StatusCode.UNAVAILABLE))
    assert len(world.calls) == 2
    once = world.calls[0].size
    world.ask(byte_budget=int(1.5 * once))
    world.calls[2].end(Refused(grpc.StatusCode.UNAVAILABLE))
    assert len(world.calls) == 3
    assert EventName.HELD_BACK in world.events()
    world.ask(byte_budget=once // 2)
    assert len(world.calls) == 3
    assert world.outcomes[-1][0].reason is Reason.BYTE_BUDGET
    assert world.outcomes[-1][0].bytes_up == 0


def test_who_leaves_has_the_calls_cancelled_and_nothing_is_held_against_the_upstreams():
    world = World(["a", "b"])
    way = world.ask()
    world.pass_time(0.1)
    assert len(world.running()) == 2
    way.cancel()
    assert all(call.cancelled for call in world.calls)
    assert world.outcomes[0][0].gone
    way.cancel()
    assert len(world.outcomes) == 1
    assert world.guard.counters.failed == world.guard.counters.breaker_opened == 0


def test_a_hop_delay_longer_than_the_time_left_does_not_make_an_answer_late():
    world = World(["a"])
    world.ask(time_left_s=0.5, hop_delay_s=3.0)
    world.pass_time(0.5)
    ((outcome, at),) = world.outcomes
    assert outcome.reason is Reason.DEADLINE
    assert at <= 50.5


CODES = [
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED,
]  # fmt: skip


class WayUpMachine(RuleBasedStateMachine):
    """Many questions at once through a few upstreams that do anything."""

    @initialize(count=st.integers(0, 4))
    def there_are_upstreams(self, count):
        self.world = World([f"up-{number}" for number in range(count)])
        self.ways, self.due = [], []

    @rule(time_left_s=st.floats(0.001, 3), hop_delay_s=st.sampled_from([0.0, 0.01, 5.0]), left=st.booleans())
    def a_question_comes(self, time_left_s, hop_delay_s, left):
        self.due.append(self.world.now + time_left_s)
        self.ways.append(self.world.ask(time_left_s, hop_delay_s))
        if left:
            self.ways[-1].cancel()

    @precondition(lambda self: self.world.running())
    @rule(data=st.data(), outcome=st.sampled_from(["answer", "garbage", "closed", "nonsense", *CODES]))
    def a_call_ends(self, data, outcome):
        call = data.draw(st.sampled_from(self.world.running()))
        if outcome == "answer":
            call.end(reply(call.agent))
        elif outcome == "garbage":
            garbled = reply(call.agent)
            del garbled.raw_output_contents[:]
            call.end(garbled)
        elif outcome == "nonsense":
            call.end(outcome)
        elif outcome == "closed":
            call.end(grpc.FutureCancelledError())
        else:
            call.end(Refused(outcome))

    @rule(seconds=st.floats(0.001, 1))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    @rule(agent=st.integers(0, 3))
    def a_channel_closes_or_opens(self, agent):
        self.world.closed ^= {f"up-{agent}"}

    @precondition(lambda self: self.ways)
    @rule(data=st.data())
    def a_caller_leaves(self, data):
        data.draw(st.sampled_from(self.ways)).cancel()

    @invariant()
    def every_question_is_answered_once_and_none_late(self):
        if not hasattr(self, "world"):
            return
        overdue = sum(due <= self.world.now for due in self.due)
        assert overdue <= len(self.world.outcomes) <= len(self.due)
        if len(self.world.outcomes) == len(self.due):
            assert len(self.world.running()) <= len(self.world.links), "only trials go on by themselves"

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self.world.pass_time(10)
        assert len(self.world.outcomes) == len(self.ways)
        assert self.world.running() == []
        assert all(wake.callback is None for _, wake in self.world.due), "a question is held by an appointment"
        for link in self.world.links.values():
            assert link.outstanding == 0
        for watch in self.world.guard._watched.values():
            assert watch.limit.inflight == 0, "a place was not given back"


TestWayUpMachine = WayUpMachine.TestCase
TestWayUpMachine.settings = settings(max_examples=40)
