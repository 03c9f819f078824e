"""A question's race: decided once, never late, never more than two at once, and second tries only out of the budget."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upriver.errors import DeadlineExpired, QueueFull, Unreachable
from upriver.parameters import Reason
from upriver_agent.resilience.hedging import HedgingRules, hedge_delay_s, may_hedge, patience_s
from upriver_agent.resilience.race import MAX_AT_ONCE, Ask, Cancel, Cause, Denied, Form, Over, Race, Wake, Why

RULES = HedgingRules(min_delay_ms=20, max_delay_ms=1000, unknown_delay_ms=100, patience_share=0.5)
RESERVE_S = 0.01


class Surroundings:
    """Upstreams by name, in order; those in `blocked` have no place, those in `tried` were left alone before.

    `tokens` second tries can be afforded.
    """

    def __init__(self, names, tokens=10, blocked=(), usual_s=None, tried=()):
        self.tried = set(tried)
        self.left, self.tokens, self.blocked, self.usual_s = list(names), tokens, set(blocked), usual_s
        self.claimed = []

    def next(self):
        return self.left.pop(0) if self.left else None

    def form(self, candidate, time_left_s):
        return Form(max(0.0, time_left_s - RESERVE_S), self.usual_s, self.usual_s)

    def begin(self, candidate):
        if candidate in self.blocked:
            return Reason.BREAKER_OPEN
        self.claimed.append(candidate)
        return None

    def is_trial(self, candidate):
        return candidate in self.tried

    def release(self, candidate):
        self.claimed.remove(candidate)

    def afford(self):
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def race_of(names, deadline_s=1.0, rules=RULES, **more):
    around = Surroundings(names, **more)
    return Race(rules, deadline_s, around), around


def asked(steps):
    return [(step.candidate, step.cause) for step in steps if isinstance(step, Ask)]


def test_every_try_has_all_the_time_that_is_left():
    race, _ = race_of(["a", "b"])
    ask, hedge, patience = race.start(0.0)
    assert (ask.candidate, ask.cause) == ("a", Cause.FIRST)
    assert abs(ask.timeout_s - 0.99) < 1e-9
    assert hedge == Wake(0.1, 0, patient=False)
    assert patience == Wake(0.495, 0, patient=True)
    (last,) = race.failed(0, Unreachable("no answer"), 0.5)
    assert (last.candidate, last.cause) == ("b", Cause.RETRY)
    assert abs(last.timeout_s - 0.49) < 1e-9


def test_one_that_is_waited_for_too_long_is_given_up_when_there_is_no_room_beside_it():
    race, _ = race_of(["a", "b", "c"])
    race.start(0.0)
    race.woken(0, False, 0.1)
    assert race.woken(0, False, 0.2) == []
    cancel, ask = race.woken(0, True, 0.5)[:2]
    assert cancel == Cancel(0, Why.GIVEN_UP)
    assert (ask.candidate, ask.cause) == ("c", Cause.RETRY)
    assert race.woken(1, True, 0.6) == []  # nobody is left to ask instead
    assert race.answered(1) == [Cancel(2, Why.NEEDLESS), Over(1)]


def test_without_hedging_one_that_is_waited_for_too_long_is_given_up():
    race, _ = race_of(["a", "b"], rules=HedgingRules(enabled=False, patience_share=0.5))
    _, wake = race.start(0.0)
    assert wake.patient
    cancel, ask = race.woken(0, True, wake.at_s)
    assert (cancel, ask.candidate) == (Cancel(0, Why.GIVEN_UP), "b")
    poor, _ = race_of(["a", "b"], tokens=0, rules=HedgingRules(enabled=False))
    poor.start(0.0)
    assert poor.woken(0, True, 0.5) == [Denied()]
    assert poor.answered(0) == [Over(0)]


def test_one_that_is_late_gets_a_second_beside_it_and_the_loser_is_cancelled():
    race, _ = race_of(["a", "b"])
    race.start(0.0)
    assert asked(race.woken(0, False, 0.1)) == [("b", Cause.HEDGE)]
    assert race.answered(1) == [Cancel(0, Why.OVERTAKEN), Over(1)]
    assert race.answered(0) == []
    assert race.failed(0, Unreachable("x"), 0.2) == []


def test_a_first_that_answers_after_all_is_not_overtaken_and_neither_is_the_hedge():
    race, _ = race_of(["a", "b"])
    race.start(0.0)
    race.woken(0, False, 0.1)
    assert race.answered(0) == [Cancel(1, Why.NEEDLESS), Over(0)]


def test_a_hedge_that_fails_leaves_the_first_alone():
    race, _ = race_of(["a", "b", "c"])
    race.start(0.0)
    race.woken(0, False, 0.1)
    assert race.failed(1, QueueFull("x"), 0.2) == []
    assert asked(race.failed(0, Unreachable("x"), 0.3)) == [("c", Cause.RETRY)]


def test_there_is_no_hedge_without_a_second_without_budget_or_with_too_little_time():
    alone, _ = race_of(["a"])
    assert len(alone.start(0.0)) == 1  # nothing to wake up for
    assert alone.woken(0, False, 0.1) == []
    poor, around = race_of(["a", "b"], tokens=0)
    poor.start(0.0)
    assert poor.woken(0, False, 0.1) == [Denied()]
    assert around.claimed == ["a"]
    hurried, _ = race_of(["a", "b"], usual_s=0.3)
    hurried.start(0.0)
    assert hurried.woken(0, False, 0.75) == []
    assert asked(hurried.failed(0, Unreachable("x"), 0.76)) == [("b", Cause.RETRY)]


def test_a_trial_does_not_keep_its_question_waiting_when_there_is_nobody_else():
    race, _ = race_of(["a"], tried=["a"])
    assert race.start(0.0)[1:] == [Wake(0.1, 0, patient=False)]
    assert race.woken(0, False, 0.1) == [Over(None)]  # and no Cancel: how it ends is still to be learnt
    assert race.obstacles == [Reason.BREAKER_OPEN]
    assert race.answered(0) == []
    quick, _ = race_of(["a"], tried=["a"])
    quick.start(0.0)
    assert quick.answered(0) == [Over(0)]


def test_a_trial_with_somebody_else_to_ask_is_hedged_like_any_other():
    race, _ = race_of(["a", "b"], tried=["a"])
    race.start(0.0)
    assert asked(race.woken(0, False, 0.1)) == [("b", Cause.HEDGE)]
    assert race.woken(0, False, 0.2) == []
    assert race.answered(1) == [Cancel(0, Why.OVERTAKEN), Over(1)]


def test_without_budget_a_failure_ends_it():
    race, around = race_of(["a", "b"], tokens=0)
    race.start(0.0)
    assert race.failed(0, Unreachable("x"), 0.1) == [Denied(), Over(None)]
    assert around.claimed == ["a"]


def test_those_without_a_place_are_passed_over_and_told():
    race, _ = race_of(["a", "b", "c"], blocked=["a", "b"])
    assert asked(race.start(0.0)) == [("c", Cause.FIRST)]
    assert race.obstacles == [Reason.BREAKER_OPEN] * 2
    nobody, _ = race_of(["a"], blocked=["a"])
    assert nobody.start(0.0) == [Over(None)]


def test_too_late_is_told_as_such():
    race, _ = race_of(["a"], deadline_s=0.005)
    assert race.start(0.0) == [Over(None)]
    assert isinstance(race.failures[0], DeadlineExpired)


def test_who_leaves_has_everything_cancelled_and_nothing_begun():
    race, _ = race_of(["a", "b"])
    race.start(0.0)
    race.woken(0, False, 0.1)
    assert race.leave() == [Cancel(0, Why.NEEDLESS), Cancel(1, Why.NEEDLESS), Over(None)]
    assert race.leave() == []
    early, _ = race_of(["a"])
    assert early.leave() == [Over(None)]
    assert early.start(0.0) == []


@given(st.none() | st.floats(0, 1e4))
def test_the_wait_for_a_hedge_is_within_its_bounds(usual_s):
    assert 0.02 <= hedge_delay_s(RULES, usual_s) <= 1.0


@given(st.floats(0.001, 100), st.none() | st.floats(0, 100))
def test_the_slow_are_given_up_late_and_never_after_their_time(timeout_s, usual_s):
    patience = patience_s(RULES, timeout_s, usual_s)
    assert 0 < patience <= timeout_s
    assert patience >= min(timeout_s, 2 * (usual_s or 0))


@given(st.floats(-1, 10), st.none() | st.floats(0, 10))
def test_a_hedge_has_the_time_that_it_needs(timeout_s, usual_s):
    if may_hedge(timeout_s, usual_s):
        assert timeout_s > (usual_s or 0)


class RaceMachine(RuleBasedStateMachine):
    """Calls answer, fail, run out of time and are waited for in any order, as grpc and a timer would have them."""

    def __init__(self):
        super().__init__()
        self.now, self.running, self.wakes, self.overs = 0.0, {}, [], []
        self.asked, self.seconds, self.cancelled = [], 0, []

    @initialize(
        count=st.integers(0, 5), tokens=st.integers(0, 4), deadline_s=st.floats(0, 3),
        blocked=st.sets(st.integers(0, 4)), usual_s=st.none() | st.floats(0, 1), enabled=st.booleans(),
        tried=st.sets(st.integers(0, 4)),
    )  # fmt: skip
    def a_question_goes_up(self, count, tokens, deadline_s, blocked, usual_s, enabled, tried):
        self.deadline_s, self.tokens = deadline_s, tokens
        self.around = Surroundings(range(count), tokens, blocked, usual_s, tried)
        self.race = Race(HedgingRules(enabled=enabled), deadline_s, self.around)
        self.take(self.race.start(self.now))

    def take(self, steps):
        for step in steps:
            assert not self.overs, "a step after the end"
            match step:
                case Ask():
                    assert step.timeout_s > 0
                    assert self.now + step.timeout_s <= self.deadline_s - RESERVE_S + 1e-9
                    self.running[step.number] = self.now + step.timeout_s
                    self.asked.append(step.candidate)
                    self.seconds += step.cause is not Cause.FIRST
                case Wake():
                    self.wakes.append((step.at_s, step.number, step.patient))
                case Cancel():
                    del self.running[step.number]
                    self.cancelled.append(step.number)
                case Over():
                    assert step.winner is None or step.winner in self.ended_well
                    self.overs.append(step.winner)
                    for number in list(self.running):  # a trial may be left to go on by itself, nothing else
                        assert self.asked[number] in self.around.tried
                        del self.running[number]

    @precondition(lambda self: self.running)
    @rule(data=st.data(), answered=st.booleans())
    def a_call_ends(self, data, answered):
        number = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[number]
        self.ended_well = {number} if answered else set()
        self.take(self.race.answered(number) if answered else self.race.failed(number, Unreachable("x"), self.now))
        if answered:
            assert self.overs == [number]

    @rule(seconds=st.floats(0, 1))
    def time_passes(self, seconds):
        self.now += seconds
        due = sorted(wake for wake in self.wakes if wake[0] <= self.now)
        self.wakes = [wake for wake in self.wakes if wake[0] > self.now]
        for _, number, patient in due:
            self.take(self.race.woken(number, patient, self.now))
        for number, ends_at in sorted(self.running.items()):
            if ends_at <= self.now and number in self.running:
                del self.running[number]
                self.ended_well = set()
                self.take(self.race.failed(number, Unreachable("no answer"), self.now))

    @rule()
    def the_caller_leaves(self):
        self.ended_well = set()
        self.take(self.race.leave())

    @rule(number=st.integers(0, 9))
    def what_is_over_comes_again(self, number):
        if number not in self.running:
            self.take(self.race.answered(number))
            self.take(self.race.failed(number, Unreachable("x"), self.now))
            self.take(self.race.woken(number, True, self.now))

    @invariant()
    def it_ends_once_and_never_hangs(self):
        assert len(self.overs) <= 1
        if hasattr(self, "race"):
            assert self.race.over == bool(self.overs)
            assert bool(self.running) != bool(self.overs), "under way, or over: never both, never neither"

    @invariant()
    def it_keeps_its_bounds(self):
        assert len(self.running) <= MAX_AT_ONCE
        assert len(set(self.asked)) == len(self.asked), "nobody is asked twice"
        if hasattr(self, "race"):
            assert self.seconds == self.tokens - self.around.tokens
            assert sorted(self.around.claimed) == sorted(self.asked), "a place is claimed for each, and none kept"
            assert self.now <= self.deadline_s or not self.running, "nothing is waited for after the deadline"


TestRaceMachine = RaceMachine.TestCase
TestRaceMachine.settings = settings(max_examples=40)
