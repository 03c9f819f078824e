"""Kills the control plane's part of learning at random points, and looks each time at what the next start finds.

Run as a program: `python -m tests.integration.control_learning_crashes FOLDER POINTS SEED`. It has no thread and forks
a worker for each point, which begins with looking at what is on the disk; the last one is not killed. What was begun
and what was acknowledged a worker notes in a file, unbuffered. Each turn, and each transaction that writes, it
tells through a pipe: a point is some of them and a moment, so that a slow machine kills at the same places.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from sqlalchemy import Connection, event

from tests.integration.control_learning_looks import look
from tests.integration.control_learning_plane import TURN_S, Plane

MOST_STEPS, LONGEST_S = 90, 0.02


def work(folder: Path, point: int, seed: int, turns: int, for_ever: bool) -> None:
    """Looks at what is there, then takes in, tidies and makes heads until it is killed; writes a byte for each step."""
    plane = Plane(folder, point, seed)
    event.listen(plane.database.engine, "begin", lambda connection: _tell(connection, turns))
    look(plane, every=not for_ever)
    while for_ever:
        os.write(turns, b".")
        plane.now += TURN_S
        what = plane.chance.random()
        if what < 0.15:
            for _ in range(6):
                plane.pool()
        elif what < 0.5:
            for _ in range(4):
                plane.hand_up()
            plane.tidy()
        else:
            plane.heads_turn()
    plane.database.close()


def _tell(connection: Connection, turns: int) -> None:
    if connection.get_execution_options().get("upriver_writes"):
        os.write(turns, b".")


def begin(folder: Path) -> None:
    """Makes the database and all that is there before anybody learns."""
    plane = Plane(folder, 0, 0)
    plane.publish_version()
    plane.database.close()


def main(folder: Path, points: int, seed: int) -> int:
    """Gives how many workers failed instead of being killed."""
    chance = random.Random(seed)  # noqa: S311 - a test's course, no secret
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "a library has begun a thread: forks may hang"
    failed = 0
    for point in range(-1, points + 1):
        is_killed = 0 <= point < points
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)  # so that a worker whose parent is gone finds nobody to tell its turns, and ends
            begin(folder) if point < 0 else work(folder, point, seed * 1000 + point, told, is_killed)
            os._exit(0)  # what is raised before ends it with 1
        os.close(told)
        if is_killed:
            for _ in range(chance.randint(0, MOST_STEPS)):
                os.read(heard, 1)
            time.sleep(LONGEST_S * chance.random() ** 3)  # mostly about as long as a transaction takes
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(heard)
        code = os.waitstatus_to_exitcode(status)
        if code not in ((0, -signal.SIGKILL) if is_killed else (0,)):
            print(f"point {point}: ended with {code}", flush=True)
            failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
