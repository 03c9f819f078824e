"""What becomes of a job's process: what it prints is its log, what it fails of is told, and it ends with its time."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from upriver_control.working.child import ChildFailed, Program, run_child

PLAYED = """
import os, subprocess, sys, time
what = open(sys.argv[1]).read()
if what == "logs":
    print("first", file=sys.stderr)
    sys.stderr.write("10%\\r20%\\rdone\\n" + "x" * 100_000 + "\\n")
    print('{"doing": "training", "progress": 0.5}', flush=True)
    print('{"made": true}', flush=True)
elif what == "hangs":
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, file=sys.stderr, flush=True)
    time.sleep(600)
elif what == "fails":
    print('{"failed": "for this reason"}', flush=True)
else:
    sys.exit("for that reason")
"""


def run(folder, what, **more):
    """Runs the program; gives what it said it does, and its log."""
    (folder / "played.py").write_text(PLAYED)
    order = folder / "order"
    order.write_text(what)
    program = Program("played", "preparing", "finishing", **{"environ": {"PYTHONPATH": str(folder)}, **more})
    told, printed = [], []
    try:
        asyncio.run(run_child(program, order, lambda doing, share: told.append((doing, share)), printed.append))
    except ChildFailed as error:
        error.add_note("\n".join(printed))
        raise
    return told, printed


def test_what_it_prints_is_the_log_where_that_is_kept_and_no_line_is_without_end(tmp_path):
    told, printed = run(tmp_path, "logs", logs=True)
    assert told == [("training", 0.5)]
    assert printed[:2] == ["first", "done"]
    assert all(len(line) <= 1 << 14 for line in printed)
    assert run(tmp_path, "logs")[1] == []


def test_it_ends_with_its_time_and_so_does_what_it_has_started(tmp_path):
    with pytest.raises(ChildFailed, match=r"it took more than 1.5 s") as caught:
        run(tmp_path, "hangs", logs=True, timeout_s=1.5)
    pid = int(caught.value.__notes__[0])
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")


@pytest.mark.parametrize(
    ("what", "told"),
    [("fails", "^for this reason$"), ("dies", "its process ended with exit status 1: for that reason")],
)
def test_why_it_failed_is_what_it_says_or_else_its_last_line(tmp_path, what, told):
    with pytest.raises(ChildFailed, match=told):
        run(tmp_path, what)


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ChildFailed, match=r"can't run /nowhere/python: No such file"):
        run(tmp_path, "logs", python="/nowhere/python")
