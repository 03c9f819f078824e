"""kill -9 at 50 random points of the control plane's part of learning: see control_learning_crashes, which does it."""

import os
import subprocess
import sys
from pathlib import Path

POINTS = 50
CALM = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # who forks must have no thread


def test_whenever_the_control_plane_is_killed_nothing_is_lost_counts_twice_or_passes_unproven(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.control_learning_crashes", str(tmp_path), str(POINTS), "7"],
        cwd=Path(__file__).parents[2],
        env=os.environ | CALM | ALONE | {"PYTHONPATH": os.pathsep.join(["client", "control_plane", "."])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    notes = (tmp_path / "notes").read_text().splitlines()
    many = {word: sum(note.startswith(word) for note in notes) for word in ("kept", "gone", "took", "verdict", "made")}
    assert many["kept"] > 100
    assert many["gone"] > 10
    assert many["took"] > 100
    assert many["verdict"] > 20
    assert many["made"] >= 5, "heads passed on the way"
    assert "merged 1" in notes, "files were put together on the way"
