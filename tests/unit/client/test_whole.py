"""Files that are there whole, old or new, whatever happens while they are written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
        writer = subprocess.Popen([sys.executable, "-c", WRITING, str(path)])
        began = path.stat().st_mtime_ns
        deadline = time.monotonic() + 20
        while path.stat().st_mtime_ns == began and time.monotonic() < deadline:
            time.sleep(0.001 * (1 + number % 3))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
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
