"""The circuit breaker as a machine: whatever happens in whatever order, it keeps its rules."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from upriver_agent.resilience.breaker import Breaker, BreakerRules, State

RULES = BreakerRules(failures=3, failure_share=0.5, window_s=10.0, min_calls=6, first_pause_s=1.0, longest_pause_s=8.0)
CHANCES = st.floats(0, 1, exclude_max=True)


def opened(breaker, now=0.0, chance=0.999):
    for _ in range(RULES.failures):
        breaker.failed(breaker.begin(now), now, lambda: chance)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not():
    breaker = Breaker(RULES)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        granted = breaker.begin(0.0)
        assert granted is not None
        if outcome == "failed":
            assert not breaker.failed(granted, 0.0, lambda: 0.5)
        else:
            breaker.succeeded(granted, 0.0)
    assert breaker.failed(breaker.begin(0.0), 0.0, lambda: 0.5)
    assert breaker.state(0.0) is State.OPEN
    assert breaker.begin(0.1) is None


def test_a_large_share_of_failures_opens_it_though_they_are_never_in_a_row():
    breaker = Breaker(RULES)
    seen = []
    for number in range(8):
        granted = breaker.begin(0.0)
        if number % 2:
            seen.append(breaker.failed(granted, 0.0, lambda: 0.5))
        else:
            breaker.succeeded(granted, 0.0)
    assert seen == [False, False, True, False]  # of the sixth call on, half of them


def test_failures_that_lie_behind_the_window_do_not_count():
    breaker = Breaker(RULES)
    for number in range(40):
        granted = breaker.begin(number * 6.0)
        if number % 2:
            assert not breaker.failed(granted, number * 6.0, lambda: 0.5)
        else:
            breaker.succeeded(granted, number * 6.0)


def test_after_its_pause_one_trial_is_let_through_and_decides():
    breaker = opened(Breaker(RULES))
    trial = breaker.begin(1.0)
    assert trial is not None
    assert breaker.begin(1.0) is None
    assert breaker.succeeded(trial, 1.1)
    assert breaker.state(1.1) is State.CLOSED
    assert breaker.begin(1.1) is not None


def test_a_trial_that_fails_doubles_the_pause_up_to_a_bound():
    breaker = opened(Breaker(RULES), chance=0.0)
    now, pauses = 0.0, []
    for _ in range(6):
        began = now
        while (trial := breaker.begin(now)) is None:
            now += 0.25
        pauses.append(now - began)
        assert breaker.failed(trial, now, lambda: 0.0)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_one_that_was_well_for_long_begins_with_a_short_pause_again_and_one_that_flaps_does_not():
    breaker, now = opened(Breaker(RULES)), 1.0
    breaker.failed(breaker.begin(now), now, lambda: 0.0)
    now = 2.0
    breaker.succeeded(breaker.begin(now), now)
    opened(breaker, now, chance=0.0)
    assert breaker.blocks(now + 1.9)  # the third pause in a row: four seconds, half of them sure
    breaker.succeeded(breaker.begin(now + 2), now + 2)
    opened(breaker, now + 2 + RULES.longest_pause_s, chance=0.0)
    assert not breaker.blocks(now + 2.5 + RULES.longest_pause_s)


def test_a_trial_that_says_nothing_makes_room_for_another():
    breaker = opened(Breaker(RULES))
    breaker.released(breaker.begin(1.0))
    assert breaker.begin(1.0) is not None


def test_what_was_let_through_before_it_opened_says_nothing_after():
    breaker = Breaker(RULES)
    old = breaker.begin(0.0)
    opened(breaker)
    trial = breaker.begin(1.0)
    assert not breaker.succeeded(old, 1.0)
    assert not breaker.failed(old, 1.0, lambda: 0.5)
    breaker.released(old)
    assert breaker.begin(1.0) is None  # the trial is still under way
    assert breaker.succeeded(trial, 1.0)


def test_being_slower_than_another_counts_in_a_row_and_not_in_the_share():
    breaker = Breaker(RULES)
    for _ in range(10):
        breaker.failed(breaker.begin(0.0), 0.0, lambda: 0.5, in_share=False)
        breaker.failed(breaker.begin(0.0), 0.0, lambda: 0.5, in_share=False)
        breaker.succeeded(breaker.begin(0.0), 0.0)
    assert breaker.state(0.0) is State.CLOSED
    for _ in range(3):
        breaker.failed(breaker.begin(0.0), 0.0, lambda: 0.5, in_share=False)
    assert breaker.state(0.0) is State.OPEN


@given(st.lists(st.booleans(), max_size=60))
def test_one_that_never_fails_thrice_in_a_row_nor_half_the_time_stays_closed(outcomes):
    breaker, row, seen, failures = Breaker(RULES), 0, 0, 0
    for failed in outcomes:
        if failed and (row == 2 or 2 * (failures + 1) >= seen + 1):
            continue
        row = row + 1 if failed else 0
        seen, failures = seen + 1, failures + failed
        granted = breaker.begin(0.0)
        assert granted is not None
        if failed:
            breaker.failed(granted, 0.0, lambda: 0.5)
        else:
            breaker.succeeded(granted, 0.0)
    assert breaker.state(0.0) is State.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order while time passes."""

    def __init__(self):
        super().__init__()
        self.breaker, self.now = Breaker(RULES), 0.0
        self.running, self.trial = [], None
        self.opened_at = None

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_question_comes(self):
        half_open = self.breaker.state(self.now) is State.HALF_OPEN
        blocked = self.breaker.blocks(self.now)
        granted = self.breaker.begin(self.now)
        assert (granted is None) == blocked
        if granted is None:
            return
        if half_open:
            assert self.trial is None, "two trials at once"
            self.trial = granted
        else:
            self.running.append(granted)

    def end(self, granted, ending, chance):
        if ending == "succeeded":
            return self.breaker.succeeded(granted, self.now)
        if ending == "failed":
            if self.breaker.failed(granted, self.now, lambda: chance):
                self.opened_at = self.now
                return True
            return False
        self.breaker.released(granted)
        return False

    @precondition(lambda self: self.running)
    @rule(data=st.data(), ending=st.sampled_from(["succeeded", "failed", "released"]), chance=CHANCES)
    def a_call_ends(self, data, ending, chance):
        granted = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before = self.breaker.state(self.now)
        changed = self.end(granted, ending, chance)
        if before is not State.CLOSED:
            assert not changed, "only the trial may change a breaker that is not closed"
        elif ending != "failed":
            assert self.breaker.state(self.now) is State.CLOSED

    @precondition(lambda self: self.trial is not None)
    @rule(ending=st.sampled_from(["succeeded", "failed", "released"]), chance=CHANCES)
    def the_trial_ends(self, ending, chance):
        trial, self.trial = self.trial, None
        assert self.end(trial, ending, chance) == (ending != "released")
        wanted = {"succeeded": State.CLOSED, "failed": State.OPEN, "released": State.HALF_OPEN}[ending]
        assert self.breaker.state(self.now) is wanted

    @invariant()
    def an_open_one_lets_nobody_through_and_not_for_ever(self):
        if self.breaker.state(self.now) is State.OPEN:
            assert self.breaker.blocks(self.now)
            assert self.now - self.opened_at < RULES.longest_pause_s
            assert not self.breaker.blocks(self.opened_at + RULES.longest_pause_s)
        if self.breaker.state(self.now) is State.CLOSED:
            assert not self.breaker.blocks(self.now)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=40)
