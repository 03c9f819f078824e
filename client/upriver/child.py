"""What a child process does before it works on something that may harm it: it bounds itself, answers on a stream that
nothing else writes to, and ends when its parent does."""

import math
import os
import resource
import threading
from collections.abc import Callable
from typing import TextIO


def answering() -> TextIO:
    """The stream for answers; whatever else this process prints to standard output is no answer, and a complaint."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def end_with_parent(end: Callable[[], object]) -> None:
    """Calls `end` from a thread when standard input has ended, as it does with whoever holds its other end."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=watch, daemon=True).start()


def limit(memory_mib: int, processor_s: float | None = None) -> None:
    """Bounds this process's address space and, if told, its processor time; it leaves no core file."""
    wanted = {resource.RLIMIT_AS: memory_mib << 20, resource.RLIMIT_CORE: 0}
    if processor_s is not None:
        wanted[resource.RLIMIT_CPU] = math.ceil(processor_s) + 1
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
