"""Refined pairs: whatever happens in whatever order, one answers only on top of the pair that it was made of."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent import slot as slots
from upriver_agent.refinement import (
    REPLACED,
    UNLOADED,
    Base,
    Based,
    Do,
    Ended,
    Promoted,
    Refined,
    Reverted,
    Standing,
    recovered,
    step,
)

A, B = Base("sha256:a", "sha256:p"), Base("sha256:b", "sha256:q")
ON_A, ON_B = Refined(A, "document", 100, 3, 5.0), Refined(B, "other", 7, 1, 6.0)


def test_a_refined_pair_answers_on_top_of_its_base() -> None:
    standing, do = step(Standing(A, ended=Ended("before", 1.0)), Promoted(ON_A))
    assert (standing, do) == (Standing(A, ON_A), Do.REFINE)
    better = replace(ON_A, document="better", attempt=4)
    assert step(standing, Promoted(better)) == (Standing(A, better), Do.REFINE)


@pytest.mark.parametrize("base", [None, B])
def test_a_refined_pair_of_another_base_is_refused(base: Base | None) -> None:
    assert step(Standing(base), Promoted(ON_A)) == (Standing(base), Do.REFUSE)


def test_going_back_says_why() -> None:
    assert step(Standing(A, ON_A), Reverted("alarm", 9.0)) == (Standing(A, None, Ended("alarm", 9.0)), Do.RESTORE)
    assert step(Standing(A), Reverted("alarm", 9.0)) == (Standing(A), Do.NOTHING)


@pytest.mark.parametrize(("base", "why"), [(B, REPLACED), (A, REPLACED), (None, UNLOADED)])
def test_whatever_is_put_into_the_slot_answers_by_itself(base: Base | None, why: str) -> None:
    assert step(Standing(A, ON_A), Based(base, 9.0)) == (Standing(base, None, Ended(why, 9.0)), Do.NOTHING)


def test_a_start_goes_on_with_what_was_refined_if_its_base_is_there() -> None:
    kept = Standing(A, ON_A)
    assert recovered(kept, A) == (kept, Do.REFINE)
    assert recovered(kept, B) == (Standing(B, None, Ended(REPLACED, ON_A.since)), Do.NOTHING)
    assert recovered(kept, None)[0].refined is None
    assert recovered(Standing(A), A) == (Standing(A), Do.NOTHING)


PAIRS = st.sampled_from(
    [slots.Pair("models/m/versions/1", A.version, A.policy), slots.Pair("models/m/versions/2", B.version, B.policy)]
)
SLOT_EVENTS = st.one_of(
    st.builds(slots.Assigned, st.none() | PAIRS, st.integers(0, 5)),
    st.builds(slots.Advanced, PAIRS, st.sampled_from(slots.State)),
    st.builds(slots.Failed, PAIRS, st.sampled_from(slots.Failure), st.just("why")),
    st.builds(slots.Retry, PAIRS),
)
OURS = st.one_of(
    st.builds(Promoted, st.sampled_from([ON_A, ON_B])),
    st.builds(Reverted, st.just("why"), st.just(1.0)),
    st.just("restart"),
)


@given(st.lists(st.one_of(SLOT_EVENTS, OURS), max_size=40))
def test_only_the_assigned_pair_or_one_made_of_it_ever_answers(events: list[object]) -> None:
    slot, standing = slots.Slot("m"), Standing()
    given_: Base | None = None  # what the shell has put into the slot
    answering: Base | Refined | None = None
    for event in events:
        if isinstance(event, Promoted | Reverted):
            standing, do = step(standing, event)
        elif event == "restart":
            standing, do = recovered(standing, given_)
            answering = given_
        else:
            slot, actions = slots.step(slot, event)  # type: ignore[arg-type]  # what is left are the slot's events
            do = Do.NOTHING
            for action in actions:
                if action.do in (slots.Do.ACTIVATE, slots.Do.RESTORE, slots.Do.UNLOAD):
                    unloads = action.do is slots.Do.UNLOAD
                    given_ = None if unloads else Base(action.pair.digest, action.pair.policy)
                    answering = given_
                    standing, do = step(standing, Based(given_, 2.0))
        if do is Do.REFINE:
            answering = standing.refined
        elif do is Do.RESTORE:
            answering = standing.base
        assert standing.base == given_
        assert standing.refined is None or standing.refined.base == given_
        assert answering == (given_ if standing.refined is None else standing.refined)
