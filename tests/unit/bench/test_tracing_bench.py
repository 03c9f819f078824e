"""How what telemetry costs is told from turns, and how the processor is read."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.servers import Server, bound
from bench.tracing import Turns


def test_the_bounds_are_around_the_ratio_and_close_where_turns_agree() -> None:
    apart = Turns((1.0, 2.0, 1.0, 2.0) * 5, (1.5, 2.0, 0.9, 2.4) * 5)
    low, high = apart.bounds()
    assert apart.ratio == pytest.approx(6.8 / 6)
    assert low < apart.ratio < high
    assert Turns((1.0,) * 9, (1.02,) * 9).bounds() == (pytest.approx(1.02), pytest.approx(1.02))


def test_what_is_started_meanwhile_has_the_first_processor_and_afterwards_all_are_back() -> None:
    ours = os.sched_getaffinity(0)
    with bound(to_first=True):
        asked = "import os; print(min(os.sched_getaffinity(0)), len(os.sched_getaffinity(0)))"
        told = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, timeout=30).stdout
    assert told.decode().split() == [str(min(ours)), "1"]
    with bound(to_first=False):
        assert os.sched_getaffinity(0) == (ours - {min(ours)} or ours)
    assert os.sched_getaffinity(0) == ours


def test_the_processor_time_of_another_process_is_told_to_less_than_a_hundredth(tmp_path: Path) -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ntime.sleep(60)"
    log = tmp_path / "log"
    server = Server("spinning", [sys.executable, "-c", spin], log)
    try:
        server.wait(lambda: log.stat().st_size > 0)
        spent = server.cpu_s()
        assert 0.2 <= spent < 5
        time.sleep(0.05)
        assert server.cpu_s() - spent < 0.01, "it sleeps"
    finally:
        server.stop()
    assert server.cpu_s() == 0.0
