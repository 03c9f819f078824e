"""Each agent below has an allowance of its own, in a table that does not grow."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from upriver_agent.resilience.sources import SourceRules, Sources

RULES = SourceRules(per_s=10.0, burst=20.0, max_sources=3)


def test_a_source_gets_its_burst_and_then_its_rate():
    sources = Sources(RULES)
    assert [sources.allow("a", 1, 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert sources.allow("a", 10, 1.0)
    assert not sources.allow("a", 1, 1.0)


def test_one_source_takes_nothing_from_another():
    sources = Sources(RULES)
    while sources.allow("noisy", 1, 0.0):
        pass
    assert all(sources.allow("quiet", 1, 0.0) for _ in range(20))


def test_a_batch_larger_than_the_burst_goes_through_a_full_allowance_and_leaves_a_debt():
    sources = Sources(RULES)
    assert sources.allow("a", 50, 0.0)
    assert not sources.allow("a", 1, 3.0)
    assert sources.allow("a", 1, 3.2)


def test_no_rate_is_no_limit_and_keeps_nothing():
    sources = Sources(SourceRules(per_s=0.0))
    assert all(sources.allow(f"source-{number}", 1000, 0.0) for number in range(1000))
    assert len(sources) == 0


def test_a_name_of_ones_own_for_every_question_gains_nothing():
    sources = Sources(RULES)
    allowed = sum(sources.allow(f"forged-{number}", 20, 0.0) for number in range(1000))
    assert allowed == RULES.max_sources + 1  # three that are told apart, and all the others together


def test_a_source_that_was_quiet_for_long_makes_room_and_has_lost_nothing():
    sources = Sources(RULES)
    for name in ("a", "b", "c"):
        sources.allow(name, 20, 0.0)
    assert sources.allow("d", 20, 10.0)  # in the place of one whose allowance is full again
    assert sources.allow("a", 20, 10.0)


class SourcesMachine(RuleBasedStateMachine):
    """Questions come from anywhere while time passes."""

    def __init__(self):
        super().__init__()
        self.sources, self.now, self.allowed = Sources(RULES), 0.0, {}

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(source=st.sampled_from(["a", "b", "c", "d", "e", "f"]), questions=st.integers(1, 20))
    def questions_come(self, source, questions):
        if self.sources.allow(source, questions, self.now):
            self.allowed[source] = self.allowed.get(source, 0) + questions

    @invariant()
    def all_together_and_each_stay_within_their_bounds(self):
        assert len(self.sources) <= RULES.max_sources
        each = RULES.burst + RULES.per_s * self.now
        # A source may have used an allowance of its own and, at another time, the common one.
        assert all(count <= 2 * each + 1e-6 for count in self.allowed.values())
        assert sum(self.allowed.values()) <= (RULES.max_sources + 1) * each * 2 + 1e-6


TestSourcesMachine = SourcesMachine.TestCase
TestSourcesMachine.settings = settings(max_examples=40)
