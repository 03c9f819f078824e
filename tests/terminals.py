"""Commands in a pseudo-terminal for the tests: what they show is what an operator sees."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

ROWS, COLUMNS = 40, 160
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A command that runs in a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._told = b""

    @property
    def text(self) -> str:
        """Everything that it has written so far, without what moves the cursor."""
        return _CONTROL.sub("", self._told.decode("utf-8", "replace"))

    def read(self, what: str = "", timeout_s: float = 60.0) -> str:
        """Reads until a text was written after the last call, or until the end; gives what was written since."""
        begun, ends = len(self.text), time.monotonic() + timeout_s
        while not what or what not in self.text[begun:]:
            if time.monotonic() > ends:
                raise AssertionError(f"{what or 'the end'} did not come in {timeout_s:g} s:\n{self.text[-3000:]}")
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self._told += os.read(self._master, 65536)
                except OSError:  # the other end is closed
                    if what:
                        raise AssertionError(f"{what} did not come:\n{self.text[-3000:]}") from None
                    break
        return self.text[begun:]

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())


@contextmanager
def terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Runs a command in a terminal of its own; killed at the end if it still runs."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**environment, "TERM": "xterm-256color"},
        start_new_session=True, preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        os.close(master)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
    # Tests that a shell has started in the background ignore interrupts, and what they start would too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
