"""The serving threads: few that run, more that wait, none that is held up by a stalled one."""

import threading

import pytest

from upriver_agent.transport import executor as executor_module
from upriver_agent.transport.executor import ServingExecutor

WAIT_S = 60


@pytest.fixture
def executor():
    made = ServingExecutor(runnable=2, max_threads=12)
    yield made
    made.shutdown()


def test_results_and_errors_come_back(executor):
    assert executor.submit(lambda: 41 + 1).result(WAIT_S) == 42
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(WAIT_S)


def test_at_most_two_jobs_run_at_once(monkeypatch):
    monkeypatch.setattr(executor_module, "_STALL_S", 600.0)  # this machine's stalls let one more run, as they should
    executor = ServingExecutor(runnable=2, max_threads=12)
    lock, inside, most = threading.Lock(), 0, 0

    def job():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        sum(range(20_000))
        with lock:
            inside -= 1

    for future in [executor.submit(job) for _ in range(200)]:
        future.result(WAIT_S)
    assert most <= 2
    executor.shutdown()


def test_jobs_that_wait_let_others_run(executor):
    release = threading.Event()

    def waits():
        with executor.blocking():
            return release.wait(WAIT_S)

    waiting = [executor.submit(waits) for _ in range(8)]
    assert executor.submit(lambda: "through").result(WAIT_S) == "through"
    release.set()
    assert all(future.result(WAIT_S) for future in waiting)


def test_jobs_that_stall_unseen_do_not_stop_the_others(executor):
    release = threading.Event()
    stalled = [executor.submit(release.wait, WAIT_S) for _ in range(4)]
    assert executor.submit(lambda: "through").result(WAIT_S) == "through"
    release.set()
    assert all(future.result(WAIT_S) for future in stalled)


def test_threads_are_bounded(executor):
    release = threading.Event()

    def waits():
        with executor.blocking():
            return release.wait(WAIT_S)

    waiting = [executor.submit(waits) for _ in range(50)]
    assert executor.threads <= 12
    release.set()
    assert all(future.result(WAIT_S) for future in waiting)
    assert executor.threads <= 12


def test_many_rounds_of_waiting_lose_no_job(executor):
    def waits(number):
        with executor.blocking():
            pass
        return number

    futures = [executor.submit(waits, number) for number in range(2000)]
    assert [future.result(WAIT_S) for future in futures] == list(range(2000))


def test_after_shutdown_nothing_is_taken():
    executor = ServingExecutor(1, 1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(print)


@pytest.mark.parametrize(("runnable", "most"), [(0, 1), (2, 1)])
def test_impossible_sizes_are_refused(runnable, most):
    with pytest.raises(ValueError, match="1 <= runnable <= max_threads"):
        ServingExecutor(runnable, most)
