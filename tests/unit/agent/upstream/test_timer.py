"""One thread calls back in time, in order, and goes on when a call back fails."""

import threading
import time

from upriver_agent.upstream.timer import Timer

WAIT_S = 60


def held_timer():
    """A timer that calls nobody before the event is set: what is due meanwhile is due together."""
    timer, go = Timer(), threading.Event()
    timer.at(0.0, go.wait)
    return timer, go


def test_it_calls_back_in_the_order_of_the_times_and_not_before():
    (timer, go), called, done = held_timer(), [], threading.Event()
    now = time.monotonic()
    timer.at(now + 0.06, lambda: (called.append("late"), done.set()))
    timer.at(now + 0.03, lambda: called.append("early"))
    timer.at(now - 1.0, lambda: called.append("at once"))
    go.set()
    assert done.wait(WAIT_S)
    assert time.monotonic() >= now + 0.06
    assert called == ["at once", "early", "late"]
    timer.close()


def test_what_is_cancelled_is_not_called_and_held_no_longer():
    (timer, go), called, done = held_timer(), [], threading.Event()
    now = time.monotonic()
    appointment = timer.at(now + 0.02, lambda: called.append("cancelled"))
    timer.at(now + 0.04, done.set)
    appointment.cancel()
    go.set()
    assert appointment.callback is None
    assert done.wait(WAIT_S)
    assert called == []
    timer.close()


def test_a_call_back_that_fails_does_not_keep_the_others(caplog):
    timer, done = Timer(), threading.Event()
    timer.at(0.0, lambda: 1 / 0)
    timer.at(0.0, done.set)
    assert done.wait(WAIT_S)
    assert "the others go on" in caplog.text
    timer.close()


def test_a_timer_that_is_closed_calls_nobody():
    timer, called = Timer(), []
    timer.at(time.monotonic() + 60, lambda: called.append("never"))
    timer.close()
    timer.at(0.0, lambda: called.append("too late"))
    timer.close()
    assert called == []
