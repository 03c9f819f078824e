"""Single keys from the terminal, without waiting for Enter."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Gives a function that waits so many seconds for a key, and gives it; empty when none came.

    The terminal is as it was afterwards. Where the input is none, no key ever comes; Ctrl-C interrupts as ever.
    """
    if not sys.stdin.isatty():
        yield _none
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda wait_s: _key(number, wait_s)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _key(number: int, wait_s: float) -> str:
    ready, _, _ = select.select([number], [], [], wait_s)
    return os.read(number, 1).decode("ascii", "replace") if ready else ""


def _none(wait_s: float) -> str:
    select.select([], [], [], wait_s)
    return ""
