"""What becomes of a job's process: what it prints is its log, what it fails of is told, and it ends with its time."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.agent_process import until
from upriver_control.working import child
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
elif what in ("leaves", "leaves apart"):
    child = subprocess.Popen(["sleep", "600"], stdout=1, start_new_session=what != "leaves")
    print(child.pid, file=sys.stderr, flush=True)
    print('{"made": true}', flush=True)
elif what == "babbles":
    print("no answer", flush=True)
    time.sleep(600)
elif what == "fails":
    print('{"failed": "for this reason"}', flush=True)
else:
    sys.exit("for that reason")
"""


def played(folder, what, **more):
    """The program and its order."""
    (folder / "played.py").write_text(PLAYED)
    order = folder / "order"
    order.write_text(what)
    return Program("played", "preparing", "finishing", **{"environ": {"PYTHONPATH": str(folder)}, **more}), order


def run(folder, what, **more):
    """Runs the program; gives what it said it does, and its log."""
    told, printed = [], []
    program, order = played(folder, what, **more)
    asyncio.run(run_child(program, order, lambda doing, share: told.append((doing, share)), printed.append))
    return told, printed


def test_what_it_prints_is_the_log_where_that_is_kept_and_no_line_is_without_end(tmp_path):
    told, printed = run(tmp_path, "logs", logs=True)
    assert told == [("training", 0.5)]
    assert printed[:2] == ["first", "done"]
    assert all(len(line) <= 1 << 14 for line in printed)
    assert run(tmp_path, "logs")[1] == []


def test_it_ends_with_its_time(tmp_path):
    with pytest.raises(ChildFailed, match=r"it took more than 0.1 s"):
        run(tmp_path, "hangs", timeout_s=0.1)


def test_when_it_is_not_wanted_any_more_it_ends_and_so_does_what_it_has_started(tmp_path):
    program, order = played(tmp_path, "hangs", logs=True)
    printed = []

    async def begun_and_cancelled():
        begun = asyncio.Event()
        work = run_child(program, order, lambda *_: None, lambda line: (printed.append(line), begun.set()))
        task = asyncio.create_task(work)
        async with asyncio.timeout(60):
            await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(begun_and_cancelled())
    until(lambda: not _runs(int(printed[0])), what="the end of what it has started")


@pytest.mark.parametrize("what", ["leaves", "leaves apart"])
def test_what_it_leaves_behind_holds_nobody_up_and_ends_if_it_can_be_found(tmp_path, monkeypatch, what):
    monkeypatch.setattr(child, "_LAST_WORDS_S", 0.1)
    program, order = played(tmp_path, what, logs=True)
    printed = []

    async def run_and_look():
        await asyncio.wait_for(run_child(program, order, lambda *_: None, printed.append), 60)
        if what == "leaves":
            until(lambda: not _runs(int(printed[0])), 20, "the end of what it has left")
        else:
            os.kill(int(printed[0]), signal.SIGKILL)
            await asyncio.sleep(0.1)  # its streams are closed

    asyncio.run(run_and_look())


def test_a_process_that_says_what_is_no_answer_is_ended(tmp_path):
    with pytest.raises(ValueError, match="Expecting value"):
        asyncio.run(asyncio.wait_for(run_child(*played(tmp_path, "babbles"), print, print), 60))


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
