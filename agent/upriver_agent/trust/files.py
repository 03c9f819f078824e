"""A folder's lock against other processes."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from upriver.errors import Unreachable

_LOOK_S: Final = 0.01


@contextmanager
def alone(folder: Path, timeout_s: float) -> Iterator[None]:
    """Holds the folder's lock, against threads and processes; the kernel frees it when its holder dies.

    Raises Unreachable when another one holds it for longer than the timeout, OSError as the disk does.
    """
    ends = time.monotonic() + timeout_s
    with (folder / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > ends:
                    raise Unreachable(f"{folder} has been in use for {timeout_s:.0f} s; expected it to be free") from (
                        error
                    )
                time.sleep(_LOOK_S)
        yield
