"""Admission is bounded, refuses at once, and drains."""

import threading

import pytest

from upriver.errors import Draining, QueueFull
from upriver_agent.serving.admission import Admission


def test_the_bound_holds_and_places_come_back():
    admission = Admission(2)
    admission.enter()
    admission.enter()
    with pytest.raises(QueueFull, match="2 requests"):
        admission.enter()
    admission.leave()
    admission.enter()
    assert admission.inflight == 2


def test_draining_refuses_newcomers_and_waits_for_those_inside():
    admission = Admission(2)
    admission.enter()
    assert not admission.drain(0)
    with pytest.raises(Draining):
        admission.enter()
    drained = threading.Thread(target=lambda: results.append(admission.drain(20)))
    results: list[bool] = []
    drained.start()
    admission.leave()
    drained.join(20)
    assert results == [True]


def test_a_bound_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Admission(0)


def test_many_threads_never_pass_the_bound():
    admission, over = Admission(3), []

    def worker():
        for _ in range(2000):
            try:
                admission.enter()
            except QueueFull:
                continue
            if admission.inflight > 3:
                over.append(admission.inflight)
            admission.leave()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert over == []
    assert admission.inflight == 0
