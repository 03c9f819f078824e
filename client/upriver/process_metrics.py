"""Families about the process itself, named as Prometheus' own clients name them."""

import os
import resource
import time
from collections.abc import Iterator
from importlib.metadata import version as installed_version
from pathlib import Path

from upriver.families import Family, Kind, Sample


class ProcessMetrics:
    """Memory, CPU time and start of this process, counted from when this is made."""

    def __init__(self) -> None:
        self._started = time.time()
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def families(self) -> Iterator[Family]:
        """All of them."""
        build = [Sample({"version": installed_version("upriver")}, 1)]
        yield Family("upriver_build", Kind.INFO, "This program.", "", build)
        rss = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * self._page_bytes
        yield Family("process_resident_memory_bytes", Kind.GAUGE, "Memory in use.", "bytes", [Sample({}, rss)])
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = [Sample({}, used.ru_utime + used.ru_stime)]
        yield Family("process_cpu_seconds", Kind.COUNTER, "CPU time used.", "seconds", cpu)
        since = [Sample({}, self._started)]
        yield Family("process_start_time_seconds", Kind.GAUGE, "When it started.", "seconds", since)
