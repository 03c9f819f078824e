"""The limit grows while all is well, shrinks when calls queue, and stays within its bounds."""

import heapq

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from upriver_agent.resilience.limit import Limit, LimitRules

RULES = LimitRules(initial=20, min=4, max=100, headroom=4.0, backoff=0.9)


def saturate(limit, service_s, at_once, calls):
    """Keeps an upstream busy with as many as are let in; it does `at_once` at a time, each in `service_s`."""
    now, ends = 0.0, []
    free = [0.0] * at_once
    for _ in range(calls):
        while (taken := limit.begin()) > 0:
            done = max(now, heapq.heappop(free)) + service_s
            heapq.heappush(free, done)
            heapq.heappush(ends, (done, now, taken))
        now, began, taken = heapq.heappop(ends)
        limit.answered(now - began, taken)
    for _, _, _ in ends:
        limit.released()


def test_it_grows_while_calls_take_as_long_as_ever():
    limit = Limit(RULES)
    saturate(limit, 0.01, 1000, 500)
    assert limit.value == 100


def test_it_settles_near_what_the_upstream_does_at_once():
    limit = Limit(RULES)
    limit.answered(0.01, limit.begin())
    saturate(limit, 0.01, 10, 5000)
    assert 10 <= limit.value <= 30


def test_refusals_shrink_it_to_its_least():
    limit = Limit(RULES)
    for _ in range(60):
        assert limit.begin()
        limit.dropped()
    assert limit.value == 4


def test_a_limit_that_is_not_used_does_not_grow():
    limit = Limit(RULES)
    for _ in range(1000):
        limit.answered(0.01, limit.begin())
    assert limit.value == 20


def test_after_a_slow_time_it_finds_back():
    limit = Limit(RULES)
    limit.answered(0.01, limit.begin())
    saturate(limit, 0.2, 2, 300)
    assert limit.value < 20
    saturate(limit, 0.01, 1000, 300)
    assert limit.value == 100


def test_an_upstream_that_became_slower_for_good_is_not_held_at_the_least_for_ever():
    limit = Limit(RULES)
    limit.answered(0.01, limit.begin())
    saturate(limit, 1.0, 1000, 3000)
    assert limit.value == 100


@given(st.integers(1, 50), st.integers(1, 50))
def test_equal_bounds_fix_it(initial, bound):
    limit = Limit(LimitRules(initial=initial, min=bound, max=bound))
    for seconds in (0.01, 10.0, 0.0):
        limit.answered(seconds, limit.begin())
    limit.begin()
    limit.dropped()
    assert limit.value == bound


class LimitMachine(RuleBasedStateMachine):
    """Calls begin and end."""

    def __init__(self):
        super().__init__()
        self.limit, self.taken = Limit(RULES), []

    @rule()
    def a_call_begins(self):
        room = len(self.taken) < self.limit.value
        taken = self.limit.begin()
        assert taken == (len(self.taken) + 1 if room else 0)
        if taken:
            self.taken.append(taken)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), ending=st.sampled_from(["answered", "dropped", "released"]), seconds=st.floats(0, 1e4))
    def a_call_ends(self, data, ending, seconds):
        taken = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        before = self.limit.value
        if ending == "answered":
            self.limit.answered(seconds, taken)
            assert self.limit.value >= int(before * 0.9) - 1  # one call never costs more than smoothing allows
        elif ending == "dropped":
            self.limit.dropped()
            assert self.limit.value <= before
        else:
            self.limit.released()
            assert self.limit.value == before

    @invariant()
    def it_is_within_its_bounds_and_counts_right(self):
        assert RULES.min <= self.limit.value <= RULES.max
        assert self.limit.inflight == len(self.taken)


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=40)
