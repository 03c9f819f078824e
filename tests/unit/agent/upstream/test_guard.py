"""What is learnt from how calls end, over all mechanisms: who is left alone, and who is asked again."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from upriver.discovery.port import AgentRecord
from upriver.parameters import PROTOCOL, Reason
from upriver_agent.balance import Avoid
from upriver_agent.resilience.limit import LimitRules
from upriver_agent.resilience.race import Cause
from upriver_agent.resilience.settings import ResilienceSection
from upriver_agent.resilience.watch import Change, Ending
from upriver_agent.upstream.guard import Guard, Permit

SETTINGS = ResilienceSection(limit=LimitRules(initial=8, min=2, max=16))


def record(agent, address="127.0.0.1:1", tier="cloud"):
    return AgentRecord(agent, tier, "here", address, PROTOCOL, {}, 0.0)


A, B, C = record("a"), record("b"), record("c")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guard(clock):
    return Guard(SETTINGS, clock, lambda: 0.5)


def call(guard, clock, to, ending, seconds=0.01, peers=None):
    permit = guard.begin(to)
    assert isinstance(permit, Permit)
    clock.now += seconds
    return guard.ended(permit, ending, lambda record: peers or [record])


def test_an_upstream_that_keeps_failing_is_broken_until_a_trial_succeeds(guard, clock, caplog):
    caplog.set_level("INFO")
    effects = [call(guard, clock, A, Ending.FAILED).change for _ in range(5)]
    assert effects == [None] * 4 + [Change.OPENED]
    assert guard.avoid([A, B]) == Avoid(broken=frozenset({"a"}))
    assert guard.begin(A) is Reason.BREAKER_OPEN
    clock.now += 1.0
    assert guard.avoid([A, B]) == Avoid()
    trial = guard.begin(A)
    assert trial.trial
    assert guard.avoid([A]) == Avoid(broken=frozenset({"a"}))
    assert guard.ended(trial, Ending.ANSWERED).change is Change.CLOSED
    assert not guard.begin(A).trial
    assert (guard.counters.breaker_opened, guard.counters.breaker_closed, guard.counters.held_back) == (1, 1, 1)
    assert "upstream a keeps failing" in caplog.text
    assert "upstream a answers again" in caplog.text


@pytest.mark.parametrize("ending", [Ending.FULL, Ending.REFUSED, Ending.CUT_SHORT, Ending.ANSWERED])
def test_load_and_refusals_are_no_failures(guard, clock, ending):
    for _ in range(50):
        assert call(guard, clock, A, ending).change is None
    assert guard.avoid([A]) == Avoid()


@pytest.mark.parametrize("ending", [Ending.FULL, Ending.REFUSED])
def test_an_upstream_that_has_no_room_or_refuses_a_question_is_alive(guard, clock, ending):
    for _ in range(5):
        call(guard, clock, A, Ending.FAILED)
    clock.now += 1.0
    assert call(guard, clock, A, ending).change is Change.CLOSED


def test_one_that_is_overtaken_again_and_again_is_left_alone(guard, clock):
    for _ in range(20):
        call(guard, clock, A, Ending.OVERTAKEN)
        call(guard, clock, A, Ending.OVERTAKEN)
        call(guard, clock, A, Ending.ANSWERED)
    assert guard.avoid([A]) == Avoid()
    changes = [call(guard, clock, A, Ending.OVERTAKEN).change for _ in range(5)]
    assert changes[-1] is Change.OPENED


def test_one_that_has_as_many_questions_as_it_takes_is_full(guard):
    permits = [guard.begin(A) for _ in range(8)]
    assert guard.begin(A) is Reason.UPSTREAM_FULL
    assert guard.avoid([A, B]) == Avoid(full=frozenset({"a"}))
    guard.ended(permits[0], Ending.CUT_SHORT)
    assert isinstance(guard.begin(A), Permit)


def test_an_agent_that_is_back_at_another_address_begins_anew(guard, clock):
    for _ in range(5):
        call(guard, clock, A, Ending.FAILED)
    assert guard.avoid([record("a", "127.0.0.1:2")]) == Avoid()


def test_one_that_does_worse_than_its_peers_is_asked_last(guard, clock):
    peers = [A, B, C]
    ejected = ()
    for _ in range(300):
        for to, seconds in ((A, 0.01), (B, 0.012), (C, 0.3)):
            ejected += call(guard, clock, to, Ending.ANSWERED, seconds, peers).ejected
    assert set(ejected) == {"c"}
    assert guard.avoid(peers) == Avoid(ejected=frozenset({"c"}))
    assert guard.counters.ejected == len(ejected)


def test_what_an_upstream_usually_takes_is_known_after_some_calls(guard, clock):
    for number in range(12):
        assert (guard.usual_s(A)[0] is None) == (number < 10)
        call(guard, clock, A, Ending.ANSWERED, 0.05)
    assert guard.usual_s(A) == pytest.approx((0.05, 0.05), rel=0.1)
    assert guard.was_patient(A, 0.1)
    assert not guard.was_patient(A, 0.03)
    assert guard.usual_s(B) == (None, None)


def test_second_tries_are_counted_and_bounded(guard):
    granted = sum(guard.afford() for _ in range(100))
    assert granted == 20
    for cause in (Cause.FIRST, Cause.HEDGE, Cause.RETRY):
        guard.asked(cause, 100, f"far-{cause is Cause.RETRY}")
    guard.won(Cause.HEDGE)
    guard.won(Cause.FIRST)
    told = guard.counters.snapshot()
    assert told["budget_denied"] == 80
    assert (told["asked"], told["hedges"], told["retries"], told["hedges_won"]) == (3, 1, 1, 1)
    assert guard.bytes_to() == {"far-False": 200, "far-True": 100}


def test_bytes_are_told_by_upstream_as_long_as_those_are_not_too_many(guard):
    for number in range(100):
        guard.asked(Cause.FIRST, 1, f"far-{number}")
    told = guard.bytes_to()
    assert (len(told), told["other"], sum(told.values())) == (65, 36, 100)


class GuardMachine(RuleBasedStateMachine):
    """Calls begin and end in any way and order: places never leak, and nobody is shut out for ever."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.guard = Guard(SETTINGS, self.clock, lambda: 0.5)
        self.running = []
        self.records = [record(name) for name in "abcd"]

    @rule(to=st.integers(0, 3))
    def a_call_begins(self, to):
        wanted = self.records[to]
        avoid = self.guard.avoid(self.records)
        permit = self.guard.begin(wanted)
        assert isinstance(permit, Permit) == (wanted.agent not in avoid.broken | avoid.full)
        if isinstance(permit, Permit):
            self.running.append(permit)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), ending=st.sampled_from(list(Ending)), seconds=st.floats(0, 10))
    def a_call_ends(self, data, ending, seconds):
        self.clock.now += seconds
        permit = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.guard.ended(permit, ending, lambda record: self.records)

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @invariant()
    def at_most_half_of_a_tier_is_ejected(self):
        assert len(self.guard.avoid(self.records).ejected) <= 2

    def teardown(self):
        for permit in self.running:
            self.guard.ended(permit, Ending.CUT_SHORT)
        self.clock.now += 3600.0
        assert self.guard.avoid(self.records) == Avoid()
        for to in self.records:
            trial = self.guard.begin(to)
            assert isinstance(trial, Permit)
            self.guard.ended(trial, Ending.ANSWERED)
            assert sum(isinstance(self.guard.begin(to), Permit) for _ in range(20)) >= 2


TestGuardMachine = GuardMachine.TestCase
TestGuardMachine.settings = settings(max_examples=40)
