"""The scarce places: bounded, given back, and never all with those who ask most."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from upriver_agent.resilience.fairness import ScarcePlaces


@given(st.integers(0, 200))
def test_one_noisy_caller_gets_half_and_the_next_still_gets_in(places):
    scarce = ScarcePlaces(places)
    while scarce.enter("noisy"):
        pass
    assert scarce.held("noisy") == (places + 1) // 2
    assert scarce.enter("quiet") == (places >= 2)


@given(st.integers(1, 12), st.integers(0, 300))
def test_however_many_are_noisy_a_newcomer_gets_in_while_there_are_more_places_than_callers(noisy, places):
    scarce = ScarcePlaces(places)
    while sum(scarce.enter(f"noisy-{number}") for number in range(noisy)):
        pass
    if places > noisy * (noisy + 1):
        assert scarce.enter("newcomer")
    held = [scarce.held(f"noisy-{number}") for number in range(noisy)]
    assert max(held) - min(held) <= 1


CALLERS = st.sampled_from(["a", "b", "c", "d"])


class PlacesMachine(RuleBasedStateMachine):
    """Callers come and go."""

    def __init__(self):
        super().__init__()
        self.scarce, self.inside = ScarcePlaces(9), Counter()

    @rule(caller=CALLERS)
    def one_comes(self, caller):
        free = 9 - self.inside.total()
        entered = self.scarce.enter(caller)
        assert entered == (self.inside[caller] < free)
        self.inside[caller] += entered

    @precondition(lambda self: self.inside.total())
    @rule(data=st.data())
    def one_goes(self, data):
        caller = data.draw(st.sampled_from(sorted(name for name, count in self.inside.items() if count)))
        self.scarce.leave(caller)
        self.inside[caller] -= 1

    @invariant()
    def it_counts_right(self):
        assert self.scarce.free == 9 - self.inside.total()
        assert all(self.scarce.held(caller) == count for caller, count in self.inside.items())


TestPlacesMachine = PlacesMachine.TestCase
TestPlacesMachine.settings = settings(max_examples=40)
