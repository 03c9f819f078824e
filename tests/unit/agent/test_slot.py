"""The slot state machine: whatever happens in whatever order, only a verified pair answers and newer intent wins."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.slot import (
    Action,
    Activation,
    Advanced,
    Assigned,
    Do,
    Failed,
    Failure,
    Pair,
    Retry,
    Shadowed,
    Slot,
    State,
    recovered,
    step,
)

A, B, C = (Pair(f"models/digits/versions/{name}", "sha256:" + name * 64) for name in "abc")
PAIRS = st.sampled_from([A, B, C, replace(B, policy='{"threshold":0.5}')])


def through(slot: Slot, pair: Pair) -> Slot:
    """A slot whose candidate `pair` goes all the way."""
    for to in (State.STAGED, State.VERIFIED, State.WARMED, State.ACTIVE):
        slot, _ = step(slot, Advanced(pair, to))
    return slot


def activated(*pairs: Pair) -> Slot:
    slot = Slot("digits")
    for generation, pair in enumerate(pairs, 1):
        slot, _ = step(slot, Assigned(pair, generation))
        slot = through(slot, pair)
    return slot


def test_a_pair_goes_through_every_state_to_active() -> None:
    slot, actions = step(Slot("digits"), Assigned(A, 1, "rollouts/r1"))
    assert (slot.state, actions) == (State.STAGING, (Action(Do.STAGE, A),))
    for to, do in ((State.STAGED, Do.VERIFY), (State.VERIFIED, Do.WARM), (State.WARMED, Do.ACTIVATE)):
        slot, actions = step(slot, Advanced(A, to))
        assert (slot.state, actions) == (to, (Action(do, A),))
        assert slot.active is None
    slot, actions = step(slot, Advanced(A, State.ACTIVE))
    assert (slot.state, slot.active, slot.candidate, slot.rollout) == (State.ACTIVE, A, None, "rollouts/r1")


def test_the_replaced_pair_is_kept_and_comes_back_in_one_step() -> None:
    slot = activated(A, B)
    assert (slot.active, slot.previous) == (B, A)
    slot, actions = step(slot, Assigned(A, 3))
    assert actions == (Action(Do.RESTORE, A),)
    slot, _ = step(slot, Advanced(A, State.ACTIVE))
    assert (slot.active, slot.previous, slot.state) == (A, B, State.ACTIVE)


def test_a_newer_assignment_supersedes_what_is_stuck() -> None:
    slot, _ = step(activated(A), Assigned(B, 2))
    slot, actions = step(slot, Assigned(C, 3))
    assert actions == (Action(Do.DISCARD, B), Action(Do.STAGE, C))
    assert step(slot, Advanced(B, State.STAGED)) == (slot, ())
    assert step(slot, Failed(B, Failure.DISK, "full")) == (slot, ())
    assert step(slot, Assigned(B, 2)) == (slot, ()), "older intent"


def test_an_assignment_of_what_is_active_ends_the_work_on_another() -> None:
    slot, _ = step(activated(A), Assigned(B, 2))
    slot, actions = step(slot, Assigned(A, 3))
    assert actions == (Action(Do.DISCARD, B),)
    assert (slot.state, slot.active, slot.candidate) == (State.ACTIVE, A, None)


def test_nothing_wanted_unloads() -> None:
    slot, actions = step(activated(A, B), Assigned(None, 3))
    assert actions == (Action(Do.UNLOAD, B),)
    assert (slot.active, slot.previous, slot.state) == (None, None, State.EMPTY)


def test_a_failure_leaves_the_active_pair_and_is_told() -> None:
    slot, _ = step(activated(A), Assigned(B, 2))
    slot, actions = step(slot, Failed(B, Failure.UNFIT, "needs 2 GiB"))
    assert actions == (Action(Do.DISCARD, B),)
    assert (slot.state, slot.failure, slot.reason, slot.active) == (State.FAILED, Failure.UNFIT, "needs 2 GiB", A)
    assert step(slot, Assigned(B, 2)) == (slot, ()), "the same intent does not try again what can't pass"
    slot, actions = step(slot, Assigned(B, 3))
    assert (slot.state, actions) == (State.STAGING, (Action(Do.DISCARD, B), Action(Do.STAGE, B)))


@pytest.mark.parametrize("failure", [Failure.UNAVAILABLE, Failure.DISK, Failure.UNTRUSTED])
def test_what_may_pass_is_tried_again_and_stays_told_meanwhile(failure: Failure) -> None:
    slot, _ = step(activated(A), Assigned(B, 2))
    slot, actions = step(slot, Failed(B, failure, "not now"))
    assert actions == (Action(Do.DISCARD, B), Action(Do.RETRY_LATER, B))
    slot, actions = step(slot, Retry(B))
    assert (slot.state, slot.reason, actions) == (State.STAGING, "not now", (Action(Do.STAGE, B),))
    assert through(slot, B).reason == ""


def test_a_candidate_shadows_the_active_pair_first() -> None:
    rules = Activation(shadow_s=5, shadow_rows=10, min_agreement=0.9)
    slot, _ = step(activated(A), Assigned(B, 2, activation=rules))
    for to in (State.STAGED, State.VERIFIED):
        slot, _ = step(slot, Advanced(B, to))
    slot, actions = step(slot, Advanced(B, State.WARMED))
    assert actions == (Action(Do.SHADOW, B),)
    assert step(slot, Shadowed(B, 10, 9))[1] == (Action(Do.ACTIVATE, B),)
    assert step(slot, Shadowed(B, 9, 0))[1] == (Action(Do.ACTIVATE, B),), "too few rows to judge by"
    failed, _ = step(slot, Shadowed(B, 10, 8))
    assert (failed.failure, failed.active) == (Failure.SHADOW, A)
    assert "8 of 10" in failed.reason


def test_with_nothing_active_there_is_nothing_to_shadow() -> None:
    slot, _ = step(Slot("digits"), Assigned(A, 1, activation=Activation(5, 10, 0.9)))
    for to in (State.STAGED, State.VERIFIED):
        slot, _ = step(slot, Advanced(A, to))
    assert step(slot, Advanced(A, State.WARMED))[1] == (Action(Do.ACTIVATE, A),)


@pytest.mark.parametrize("previous_works", [True, False])
def test_a_start_goes_on_with_what_was_active(previous_works: bool) -> None:
    slot, actions = recovered(activated(A, B), True, previous_works)
    assert (slot.active, slot.previous, slot.state, actions) == (B, A if previous_works else None, State.ACTIVE, ())


@pytest.mark.parametrize("previous_works", [True, False])
def test_a_start_falls_back_to_the_previous_pair_and_fetches_what_broke(previous_works: bool) -> None:
    slot, actions = recovered(activated(A, B), False, previous_works)
    assert (slot.active, slot.candidate) == (A if previous_works else None, B)
    assert actions == (Action(Do.STAGE, B),)


def test_a_start_leaves_what_ended_the_agent_again_and_again() -> None:
    slot, actions = recovered(activated(A, B), False, True, "it ended three times")
    assert (slot.active, slot.candidate, slot.state, slot.reason) == (A, B, State.FAILED, "it ended three times")
    assert actions == ()
    assert step(slot, Assigned(B, 2)) == (slot, ()), "the same intent does not bring it back"


def test_a_start_goes_on_with_the_candidate() -> None:
    slot, _ = step(activated(A), Assigned(B, 2))
    slot, _ = step(slot, Advanced(B, State.STAGED))
    slot, actions = recovered(slot, True, True)
    assert (slot.state, actions) == (State.STAGING, (Action(Do.STAGE, B),))


EVENTS = st.one_of(
    st.builds(Assigned, PAIRS | st.none(), st.integers(0, 9), st.just("rollouts/r"),
              st.sampled_from([Activation(), Activation(1, 4, 0.5)])),
    st.builds(Advanced, PAIRS, st.sampled_from(list(State))),
    st.builds(Shadowed, PAIRS, st.integers(0, 9), st.integers(0, 9)),
    st.builds(Failed, PAIRS, st.sampled_from(list(Failure)[1:]), st.just("why")),
    st.builds(Retry, PAIRS),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=40))
def test_only_what_was_verified_and_warmed_becomes_active_and_intent_never_goes_back(events: list) -> None:
    slot = Slot("digits")
    reached: dict[Pair, set[State]] = {}
    for event in events:
        before = slot
        slot, actions = step(slot, event)
        assert slot.generation >= before.generation
        if slot.candidate != before.candidate and slot.candidate is not None and slot.state is State.STAGING:
            reached[slot.candidate] = set()
        if slot.candidate is not None:
            reached.setdefault(slot.candidate, set()).add(slot.state)
        if slot.active != before.active and slot.active is not None:
            way = reached[slot.active]
            assert State.WARMED in way
            assert {State.STAGED, State.VERIFIED} <= way or slot.active == before.previous
            assert slot.previous == before.active
        if slot.active is None and before.active is not None:
            assert isinstance(event, Assigned)
            assert event.pair is None
        assert (slot.candidate is None) == (slot.state in (State.ACTIVE, State.EMPTY))
        assert (slot.state is State.FAILED) <= (slot.failure is not Failure.NONE)
        for action in actions:
            if action.do not in (Do.DISCARD, Do.UNLOAD):
                assert action.pair == slot.candidate
