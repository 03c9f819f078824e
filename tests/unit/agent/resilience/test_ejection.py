"""Who does much worse than its peers is left out, and never too many of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from upriver_agent.resilience.ejection import EjectionRules, Ejections

RULES = EjectionRules(
    max_share=0.5, interval_s=5.0, min_calls=10, failure_margin=0.3, slow_factor=3.0, slow_floor_ms=50.0,
    first_pause_s=10.0, longest_pause_s=40.0,
)  # fmt: skip


def seen(ejections, **calls):
    """By agent: how many calls, seconds each, how many of them failed."""
    for agent, (count, seconds, failures) in calls.items():
        for number in range(count):
            ejections.observe(agent, seconds, failed=number < failures)


def judged(now=5.0, **calls):
    ejections = Ejections(RULES, 0.0)
    seen(ejections, **calls)
    return ejections.look(now, list(calls))


def test_one_that_fails_far_more_than_its_peers_is_out():
    assert judged(a=(20, 0.01, 0), b=(20, 0.01, 1), c=(20, 0.01, 8)) == ["c"]


def test_one_that_takes_far_longer_than_its_peers_is_out():
    assert judged(a=(20, 0.01, 0), b=(20, 0.012, 0), c=(20, 0.2, 0)) == ["c"]


def test_a_large_ratio_of_small_times_is_no_reason():
    assert judged(a=(20, 0.001, 0), b=(20, 0.02, 0)) == []


def test_all_that_fail_alike_stay():
    assert judged(a=(20, 0.01, 20), b=(20, 0.01, 20), c=(20, 0.01, 18)) == []


def test_a_lone_one_is_never_out_and_neither_is_one_of_few_calls():
    assert judged(a=(50, 1.0, 50)) == []
    assert judged(a=(20, 0.01, 0), b=(9, 1.0, 9)) == []


def test_it_is_out_longer_each_time_and_less_long_after_it_behaved():
    ejections, now, spans = Ejections(RULES, 0.0), 0.0, []
    for _ in range(5):
        now += 5.0
        seen(ejections, a=(20, 0.01, 0), b=(20, 0.01, 20))
        assert ejections.look(now, ["a", "b"]) == ["b"]
        began = now
        while ejections.is_out("b", now):
            now += 1.0
        spans.append(now - began)
    assert spans == [10.0, 20.0, 30.0, 40.0, 40.0]
    for _ in range(4):
        now += 5.0
        seen(ejections, a=(20, 0.01, 0), b=(20, 0.01, 0))
        assert ejections.look(now, ["a", "b"]) == []
    now += 5.0
    seen(ejections, a=(20, 0.01, 0), b=(20, 0.01, 20))
    ejections.look(now, ["a", "b"])
    assert not ejections.is_out("b", now + 20.0)


AGENTS = [f"agent-{number}" for number in range(7)]


class EjectionMachine(RuleBasedStateMachine):
    """Agents come, go, answer and fail."""

    def __init__(self):
        super().__init__()
        self.ejections, self.now, self.there = Ejections(RULES, 0.0), 0.0, AGENTS[:4]

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(agent=st.sampled_from(AGENTS), count=st.integers(0, 30), seconds=st.floats(0, 2), failures=st.integers(0, 30))
    def calls_end(self, agent, count, seconds, failures):
        seen(self.ejections, **{agent: (count, seconds, failures)})

    @rule(there=st.sets(st.sampled_from(AGENTS), min_size=1))
    def others_are_there(self, there):
        self.there = sorted(there)

    @rule()
    def it_looks(self):
        held = [agent for agent in self.there if self.ejections.is_out(agent, self.now)]
        found = self.ejections.look(self.now, self.there)
        assert set(found) <= set(self.there) - set(held)
        if found:
            # Those that were out already may be more than the share of fewer that are left; nobody is added then.
            assert len(held) + len(found) <= RULES.max_share * len(self.there)
        for agent in found:
            assert self.ejections.is_out(agent, self.now)

    @invariant()
    def nobody_is_out_for_ever(self):
        assert not any(self.ejections.is_out(agent, self.now + RULES.longest_pause_s) for agent in AGENTS)


TestEjectionMachine = EjectionMachine.TestCase
TestEjectionMachine.settings = settings(max_examples=40)


@given(st.integers(2, 20))
def test_not_all_are_out_however_bad_they_are(count):
    ejections = Ejections(RULES, 0.0)
    agents = {f"agent-{number}": (20, 0.01 * 10**number, 0) for number in range(count)}
    seen(ejections, **agents)
    assert len(ejections.look(5.0, list(agents))) <= count // 2
