"""One training, as a process of its own: `python -m upriver_control.training.work ORDER`.

It is run by the Python that has the `train` extra. Standard output gets one JSON object a line, as
`calibrating/work.py` does it; whatever else is printed is the training's log. When standard input ends, whoever started
it has gone: it ends with all its children.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from upriver import child
from upriver.errors import ProblemList, UpriverError
from upriver_control.calibrating.work import Telling
from upriver_control.jobs.training import Executor
from upriver_control.training.order import LESSONS, Order, read_order
from upriver_control.training.running import run

_LOOK_S: Final = 0.5


def main() -> int:
    """Does what the order says; the exit status is 0 whenever there is an answer."""
    telling = Telling(child.answering())
    child.end_with_parent(_end)
    order = read_order(Path(sys.argv[1]))
    if order.spec.executor is Executor.LOCAL:  # a cluster bounds its own; what Ray starts here maps more than it uses
        child.limit(order.memory_mib)
    _watch_disk(order, telling)
    try:
        if order.spec.executor is Executor.RAY:
            from upriver_control.training.on_ray import run_on_ray  # few have it

            run_on_ray(order, telling)
        else:
            run(order, _tables(order), telling)
        telling.line({"made": True})
    except MemoryError:
        telling.line({"failed": f"it needs more than {order.memory_mib} MiB of memory (training.memory_mib)"})
    except UpriverError as error:
        problems = error.problems if isinstance(error, ProblemList) else (str(error),)
        telling.line({"failed": "; ".join(problems)})
    except OSError as error:
        telling.line({"failed": f"{error.filename or order.folder}: {error.strerror or error}"})
    sys.stdout.flush()
    sys.stderr.flush()
    return 0


def _tables(order: Order) -> Iterator[pa.Table]:
    for path in sorted(order.path(LESSONS).glob("*.parquet")):
        yield pq.read_table(path)


def _watch_disk(order: Order, telling: Telling) -> None:
    """Ends everything when the folder has grown too large: user code may write without end."""

    def watch() -> None:
        while True:
            if _size(order.path()) > order.disk_mib << 20:
                telling.line({"failed": f"it wrote more than {order.disk_mib} MiB (training.disk_mib)"})
                _end()
            time.sleep(_LOOK_S)

    threading.Thread(target=watch, daemon=True).start()


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except FileNotFoundError:  # it was there a moment ago
                continue
    return total


def _end() -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
