"""Second tries never exceed what the first ones and time have earned."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from upriver_agent.resilience.budget import Budget, BudgetRules

RULES = BudgetRules(share=0.2, per_s=2.0, burst=5.0)


class BudgetMachine(RuleBasedStateMachine):
    """Questions come, some are to be tried again, time passes."""

    def __init__(self):
        super().__init__()
        self.now, self.firsts, self.seconds = 0.0, 0, 0
        self.budget = Budget(RULES, self.now)
        self.ceiling = RULES.burst  # as a bucket that is counted anew at every step would have it

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds):
        self.now += seconds
        self.ceiling = min(RULES.burst, self.ceiling + seconds * RULES.per_s)

    @rule()
    def a_first_try(self):
        self.firsts += 1
        self.budget.earn(self.now)
        self.ceiling = min(RULES.burst, self.ceiling + RULES.share)

    @rule()
    def a_second_try(self):
        granted = self.budget.take(self.now)
        if abs(self.ceiling - 1.0) > 1e-6:
            assert granted == (self.ceiling > 1.0)
        if granted:
            self.seconds += 1
            self.ceiling -= 1.0
        assert self.seconds <= RULES.burst + RULES.share * self.firsts + RULES.per_s * self.now + 1e-6


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=40)


@given(st.integers(1, 500))
def test_when_every_question_fails_at_once_few_are_tried_again(questions):
    budget = Budget(RULES, 0.0)
    granted = 0
    for _ in range(questions):
        budget.earn(0.0)
        granted += budget.take(0.0)
    assert granted <= RULES.burst + RULES.share * questions


def test_a_clock_that_stands_still_or_goes_back_earns_nothing():
    budget = Budget(RULES, 10.0)
    assert [budget.take(10.0 - step) for step in range(6)] == [True] * 5 + [False]
