"""Files that are there whole, old or new, whatever happens while they are written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent_process import until
from upriver.whole import write_whole

WRITING = """
import sys
from pathlib import Path
from upriver.whole import write_whole
size = 0
while True:
    size = size % 9 + 1
    write_whole(Path(sys.argv[1]), bytes([size]) * (size * 200_000))
"""


def test_folders_are_made_and_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_after_kill_9_the_file_is_whole_and_one_aside_is_left_at_most(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"\x01" * 200_000)
    for number in range(10):
        began = path.stat().st_mtime_ns
        with subprocess.Popen([sys.executable, "-c", WRITING, str(path)]) as writer:
            try:
                until(lambda began=began: path.stat().st_mtime_ns != began, 60, "a file that is written anew")
                time.sleep(0.0007 * number)
            finally:
                writer.kill()
        assert writer.returncode == -signal.SIGKILL
        data = path.read_bytes()
        assert data == data[:1] * (data[0] * 200_000)
        assert {one.name for one in tmp_path.iterdir()} <= {"file", ".file.new"}


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
