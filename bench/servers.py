"""Servers under test as processes: started, timed to the first answer, their CPU and memory read from /proc."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_START_S = 120.0


class ServerFailed(Exception):
    """A server did not start."""


class Server:
    """One server, which may be several processes."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self.cold_s = 0.0
        self.first_cold_s = 0.0
        self._started = time.perf_counter()
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own benchmark servers
                list(command), stdout=out, stderr=subprocess.STDOUT, env=dict(environ or os.environ)
            )

    def wait(self, answered: Callable[[], bool]) -> None:
        """Waits for the first answer, looking every 5 ms; raises ServerFailed with the log."""
        while not answered():
            if self._process.poll() is not None or time.perf_counter() - self._started > _START_S:
                raise ServerFailed(f"{self.name} did not start: {self.log.read_text()[-1500:]}")
            time.sleep(0.005)
        self.cold_s = time.perf_counter() - self._started

    def cpu_s(self) -> float:
        """User and system time of all its processes so far."""
        return sum(map(_cpu_s, self._pids()))

    def rss_mb(self) -> float:
        """Resident memory of all its processes, 10^6 bytes."""
        pages = 0
        for pid in self._pids():
            fields = _stat(pid)
            pages += int(fields[21]) if fields else 0
        return pages * _PAGE / 1e6

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """Ends it and what it started."""
        pids = self._pids()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for pid in pids[1:]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue

    def _pids(self) -> list[int]:
        found, queue = [], [self._process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    queue += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
        return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    """What a process took of the processor, to the nanosecond (/proc has hundredths of a second); 0 when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0.0


@contextmanager
def bound(*, to_first: bool) -> Iterator[None]:
    """What is started meanwhile, and this process, has the first processor to itself, or all others.

    Where there is only one, both have it.
    """
    ours = os.sched_getaffinity(0)
    first = {min(ours)}
    os.sched_setaffinity(0, first if to_first else ours - first or ours)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)
