"""Admission is bounded, fair when little is left, refuses at once, and drains."""

import threading

import pytest

from upriver.errors import Draining, QueueFull
from upriver_agent.resilience.fairness import FairnessRules
from upriver_agent.resilience.sources import SourceRules
from upriver_agent.serving.admission import Admission

FIRST_COME = FairnessRules(scarce_share=0.0)


def fill(admission, caller):
    """As many as a caller is let in; what it has to bring back for each."""
    inside = []
    while True:
        if admission.enter():
            inside.append(None)
            continue
        try:
            inside.append(admission.enter_as(caller))
        except QueueFull:
            return inside


def test_the_bound_holds_and_places_come_back():
    admission = Admission(2, FIRST_COME)
    assert admission.enter()
    assert admission.enter()
    assert not admission.enter()
    with pytest.raises(QueueFull, match="2 requests"):
        admission.enter_as("a")
    admission.leave()
    assert admission.enter()
    assert admission.inflight == 2


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 100])
def test_whoever_is_inside_the_bound_holds_and_all_places_come_back(limit):
    admission = Admission(limit)
    inside = [place for caller in ("a", "b", "c", "d") for place in fill(admission, caller)]
    assert admission.inflight == len(inside) <= limit
    for place in inside:
        admission.leave(place)
    assert admission.inflight == 0
    assert admission.enter()


def test_a_noisy_caller_leaves_room_for_others_and_is_told_why():
    admission = Admission(100)
    noisy = fill(admission, "noisy")
    assert len(noisy) == 75 + 13
    with pytest.raises(QueueFull, match=r"13 of the last places are noisy's already, the other 12"):
        admission.enter_as("noisy")
    assert admission.enter_as("quiet") == "quiet"
    assert admission.counters.over_share > 0
    assert admission.counters.full == 0


def test_however_fast_a_noisy_caller_comes_back_a_quiet_one_gets_in():
    admission = Admission(20)
    noisy = fill(admission, "noisy")
    for _ in range(50):
        admission.leave(noisy.pop(0))
        noisy += fill(admission, "noisy")
        place = None if admission.enter() else admission.enter_as("quiet")
        admission.leave(place)


def test_an_agent_that_escalates_too_fast_is_refused_and_others_are_not():
    now = [0.0]
    admission = Admission(10, sources=SourceRules(per_s=10.0, burst=4.0), clock=lambda: now[0])
    admission.escalated("far-1", 4)
    with pytest.raises(QueueFull, match="'far-1' escalates faster"):
        admission.escalated("far-1", 3)
    admission.escalated("far-2", 4)
    now[0] = 1.0
    admission.escalated("far-1", 4)
    assert admission.counters.sources_limited == 3


def test_what_can_wait_is_refused_while_callers_have_more_than_half_of_the_places():
    admission = Admission(4, FIRST_COME)
    for _ in range(2):
        assert admission.enter()
        admission.spare()
    assert admission.enter()
    with pytest.raises(QueueFull, match="audits"):
        admission.spare()
    admission.leave()
    admission.spare()


def test_draining_refuses_newcomers_and_waits_for_those_inside():
    admission = Admission(2)
    admission.enter()
    assert not admission.drain(0)
    with pytest.raises(Draining):
        admission.enter()
    drained = threading.Thread(target=lambda: results.append(admission.drain(60)))
    results: list[bool] = []
    drained.start()
    admission.leave()
    drained.join(60)
    assert results == [True]


def test_a_bound_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Admission(0)


def test_many_threads_never_pass_the_bound():
    admission, over = Admission(4), []

    def worker(name):
        for _ in range(2000):
            try:
                place = None if admission.enter() else admission.enter_as(name)
            except QueueFull:
                continue
            if admission.inflight > 4:
                over.append(admission.inflight)
            admission.leave(place)

    threads = [threading.Thread(target=worker, args=(f"caller-{number % 3}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert over == []
    assert admission.inflight == 0
