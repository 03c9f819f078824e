"""What becomes of tickets: pure rules, with time and chance as arguments."""

import math

from hypothesis import given
from hypothesis import strategies as st

from upriver.parameters import DEGRADED_REASONS, Reason
from upriver_agent.tickets.rules import (
    DOUBT_S,
    LONGEST_MODEL_S,
    LONGEST_UPSTREAM_S,
    Course,
    Gate,
    Pace,
    Waiting,
    Worth,
    asked_again,
    is_due,
    rank_of,
    waiting_for,
    worth_of,
)

REASONS = st.sampled_from(Reason)
CHANCES = st.floats(0, 1, exclude_max=True)
TIMES = st.floats(0, 4e9)


def test_what_could_not_go_up_waits_for_an_upstream_and_the_rest_for_a_better_model():
    cut_off = {reason for reason in Reason if waiting_for(reason) is Waiting.UPSTREAM}
    assert DEGRADED_REASONS - cut_off == {Reason.HOPS, Reason.BYTE_BUDGET}
    assert cut_off - DEGRADED_REASONS == {Reason.REGION, Reason.ALARM}


def test_what_somebody_waits_for_is_worth_most_and_what_was_delivered_least():
    assert worth_of(Waiting.MODEL, wanted=True) is worth_of(Waiting.UPSTREAM, wanted=True) is Worth.WANTED
    assert Worth.WANTED > worth_of(Waiting.UPSTREAM, wanted=False) > worth_of(Waiting.MODEL, wanted=False)
    assert worth_of(Waiting.MODEL, wanted=False) > Worth.DELIVERED


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.floats(-3600, 3600))
def test_of_equally_old_guesses_the_surest_goes_first_and_age_outweighs_any_doubt_in_time(one, other, younger):
    ranks = rank_of(1e9, one), rank_of(1e9, other)
    assert ranks[0] <= ranks[1] if one >= other else ranks[0] >= ranks[1]
    assert rank_of(1e9, one) <= rank_of(1e9 + DOUBT_S + 1, other)
    assert math.isfinite(rank_of(1e9 + younger, one))


@given(REASONS | st.none(), st.integers(0, 60), st.sampled_from(Waiting), CHANCES, st.integers(0, 5))
def test_every_attempt_in_vain_makes_the_pause_longer_up_to_a_bound(reason, attempts, waiting, chance, epoch):
    before = Course(waiting, 2, attempts, 0.0)
    after = asked_again(before, reason, epoch, 1000.0, chance)
    assert after.attempts == attempts + 1
    pause = after.next_at - 1000.0
    cut_off = reason is not None and waiting_for(reason) is Waiting.UPSTREAM
    assert 0.5 <= pause <= (LONGEST_UPSTREAM_S if cut_off else LONGEST_MODEL_S)
    assert pause >= min(2.0**attempts, LONGEST_UPSTREAM_S) / 2
    assert after.waiting is (waiting if reason is None else waiting_for(reason))
    assert after.epoch == (2 if reason is None or cut_off else epoch)


@given(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_ticket_is_due_when_it_may_help(epoch, now_epoch, way_up, next_at, now):
    paused = now < next_at <= now + LONGEST_MODEL_S
    model, upstream = (
        is_due(Course(w, epoch, 1, next_at), now_epoch, way_up, now) for w in (Waiting.MODEL, Waiting.UPSTREAM)
    )
    assert model == (not paused and now_epoch > epoch)
    assert upstream == (not paused and (way_up or now_epoch > epoch))


def test_a_clock_that_was_set_back_keeps_no_ticket_waiting():
    course = asked_again(Course(Waiting.UPSTREAM, 0), Reason.UPSTREAM_DOWN, 0, 1.8e9, 0.5)
    assert is_due(course, 0, way_up=True, now=1.0)


def test_one_failure_may_be_the_questions_own_and_the_second_shuts_the_gate():
    gate = Gate().failed(0.0, lambda: 0.0)
    assert gate.may_pass(0.0)
    assert not gate.shut
    gate = gate.failed(0.0, lambda: 0.0)
    assert gate.shut
    assert not gate.may_pass(0.4)
    assert gate.may_pass(0.5)


@given(st.integers(2, 80), CHANCES)
def test_a_shut_gate_lets_one_trial_through_after_its_pause(failures, chance):
    gate = Gate()
    for _ in range(failures):
        gate = gate.failed(100.0, lambda: chance)
    assert 0.5 <= gate.try_at - 100.0 <= LONGEST_UPSTREAM_S
    assert not gate.may_pass(gate.try_at - 0.01)
    trying = gate.sent()
    assert gate.may_pass(gate.try_at)
    assert not trying.may_pass(gate.try_at)
    assert trying.let_go().may_pass(gate.try_at)
    assert trying.reached().may_pass(0.0)


@given(st.floats(0, 50), st.lists(st.floats(0, 3), max_size=60))
def test_no_more_are_asked_than_the_pace_allows(per_s, waits):
    pace, now, taken = Pace(per_s), 0.0, 0
    for wait in waits:
        now += wait
        pace = pace.at_time(now)
        while (after := pace.take()) is not None:
            pace, taken = after, taken + 1
        assert pace.next_in_s() > 0
        assert taken <= now * per_s + max(1.0, per_s) + 1e-6


def test_a_pace_of_nothing_gives_nothing_after_the_first():
    pace = Pace(0.0).take()
    assert pace is not None
    assert pace.at_time(1e9).next_in_s() == math.inf
