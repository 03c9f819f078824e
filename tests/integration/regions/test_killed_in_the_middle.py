"""A control plane is killed while it takes in what agents pool: every submission is there wholly or not at all."""

import subprocess
import sys
import time

import numpy as np

from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.pool import Standing, Submission
from upriver.pool_sums import part_of
from upriver_control.store.database import open_database
from upriver_control.store.pools import PoolTable

VERSION = "sha256:" + "a" * 64
CHILDREN, KILLS = 4, 3
PROGRAM = """
import sys
from tests.integration.regions.test_killed_in_the_middle import submission
from upriver_control.store.database import open_database
from upriver_control.store.pools import PoolTable
table = PoolTable(open_database(sys.argv[1]), 0.0)
epoch = int(sys.argv[2])
while True:
    epoch += 1
    for child in range(4):
        table.submit(submission(child, epoch), 1.0)
    print(epoch, flush=True)
"""


def learnt(child: int, epoch: int, model: int) -> HeadStatistics:
    sums = nothing(32, ("a", "b"))
    sums.add(np.random.default_rng(1000 * child + 10 * epoch + model).normal(size=32), np.array([0.25, 0.75]))
    return sums


def submission(child: int, epoch: int):
    """A child's sums of three models in one of its states."""
    parts = [part_of(f"m{model}", VERSION, "north", learnt(child, epoch, model)) for model in range(3)]
    return Submission(f"child-{child}", {f"child-{child}": epoch}, tuple(parts), f"{child}.{epoch}")


def test_what_was_taken_in_is_whole_wherever_the_control_plane_was_killed(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    database = open_database(url)
    epoch = 0
    for kill in range(KILLS):
        command = [sys.executable, "-c", PROGRAM, url, str(epoch)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(0.013 * (kill + 1))
            process.kill()
        table = PoolTable(database, 0.0)
        roster = table.roster()
        assert min(roster.values()) >= told  # what was answered is kept
        epoch = max(roster.values())
        for model in range(3):
            (part,) = table.sums(f"m{model}", VERSION)
            assert isinstance(part.sums, HeadStatistics)
            whole = merged(learnt(child, roster[f"child-{child}"], model) for child in range(CHILDREN))
            np.testing.assert_allclose(part.sums.outer, whole.outer, atol=1e-6)
        again = submission(0, roster["child-0"])
        assert table.submit(again, 2.0).standing is Standing.COUNTED  # who did not hear the answer sends it once more
    database.close()
