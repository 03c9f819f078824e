"""kill -9 at 50 random points of journal, update, forgetting and promotion: see learning_crashes, which does it."""

import os
import subprocess
import sys
from pathlib import Path

POINTS = 50


def test_whenever_learning_is_killed_nothing_is_lost_comes_back_or_answers_unproven(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.learning_crashes", str(tmp_path), str(POINTS), "7"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["client", "agent", "."])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    notes = (tmp_path / "notes").read_text().splitlines()
    assert sum(note.startswith("kept") for note in notes) > 100
    assert sum(note.startswith("gone") for note in notes) > 0
    assert int(notes[-1].removeprefix("whole ")) >= 1, "heads were promoted on the way"
