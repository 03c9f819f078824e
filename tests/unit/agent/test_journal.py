"""The journal: what was committed is there again whatever ended the process, and no disk stops an agent."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.errors import DiskTrouble, Draining, QueueFull, UpriverError
from upriver_agent.journal import Journal, writing

WAIT_S = 60
SCHEMA = [["CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"]]
MORE = [*SCHEMA, ["ALTER TABLE note ADD COLUMN kind TEXT NOT NULL DEFAULT 'old'"]]


@contextmanager
def journal(path, schema=SCHEMA, **options):
    made = Journal(path, schema, **options)
    made.start()
    try:
        yield made
    finally:
        assert made.close(WAIT_S)


def add(text, id_=None):
    return lambda connection: connection.execute("INSERT INTO note (id, text) VALUES (?, ?)", (id_, text)).lastrowid


def texts(connection):
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY id")]


def test_what_was_written_is_read_and_is_there_again_after_a_start(tmp_path):
    with journal(tmp_path / "j.db") as first:
        assert first.write(add("a")).result(WAIT_S) == 1
        assert first.read(texts) == ["a"]
        first.write(add("b"))
    with journal(tmp_path / "j.db") as second:
        assert second.read(texts) == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j.db"]
    assert (tmp_path / "j.db").stat().st_mode & 0o777 == 0o600


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["add", "raise", "break", "restart"]), max_size=30))
def test_a_write_that_fails_changes_nothing_and_fails_no_other(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("j") / "j.db"
    kept, pending = [], []

    def raising(connection):
        add("lost")(connection)
        raise ZeroDivisionError

    open_one = Journal(path, SCHEMA)
    open_one.start()
    for number, step in enumerate(steps):
        if step == "add":
            kept.append(str(number))
            pending.append((open_one.write(add(str(number))), None))
        elif step == "raise":
            pending.append((open_one.write(raising), ZeroDivisionError))
        elif step == "break":
            pending.append(
                (open_one.write(lambda connection: connection.execute("INSERT INTO note VALUES (1)")), DiskTrouble)
            )
        else:
            assert open_one.close(WAIT_S)
            open_one = Journal(path, SCHEMA)
            open_one.start()
    for future, error in pending:
        assert type(future.exception(WAIT_S)) is (error or type(None))
    assert open_one.read(texts) == kept
    assert open_one.close(WAIT_S)


def test_a_file_that_is_not_written_is_closed_and_opened_again(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_IDLE_S", 0.01)
    with journal(tmp_path / "j.db") as one:
        for number in range(3):
            one.write(add(str(number))).result(WAIT_S)
            deadline = time.monotonic() + WAIT_S
            while opened(tmp_path):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["j.db"]
            assert one.read(texts) == [str(before) for before in range(number + 1)]
            assert opened(tmp_path) == []


def opened(folder):
    """Files below a folder that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += [target for target in [link.readlink()] if folder in target.parents]
    return found


def test_writes_that_wait_together_share_a_transaction(tmp_path):
    with journal(tmp_path / "j.db") as one:
        held, go, run = threading.Event(), threading.Event(), []

        def hold(connection):
            connection.set_trace_callback(run.append)
            held.set()
            assert go.wait(WAIT_S)

        one.write(hold)
        assert held.wait(WAIT_S)
        futures = [one.write(add(str(number))) for number in range(20)]
        go.set()
        assert [future.result(WAIT_S) for future in futures] == list(range(1, 21))
        assert run.count("COMMIT") == 2


def test_too_many_writes_are_refused_and_a_closed_journal_takes_none(tmp_path):
    with journal(tmp_path / "j.db", max_pending=2) as one:
        held, go = threading.Event(), threading.Event()

        def hold(connection):
            held.set()
            assert go.wait(WAIT_S)

        one.write(hold)
        assert held.wait(WAIT_S)
        futures = [one.write(add(str(number))) for number in range(3)]
        assert isinstance(futures[2].exception(WAIT_S), QueueFull)
        assert futures[0].cancel()
        go.set()
        assert futures[1].result(WAIT_S) == 1
        assert one.read(texts) == ["1"]
    assert isinstance(one.write(add("late")).exception(WAIT_S), Draining)


def test_an_older_file_is_brought_up_and_a_newer_one_is_set_aside(tmp_path):
    path = tmp_path / "j.db"
    with journal(path) as one:
        one.write(add("a")).result(WAIT_S)
    with journal(path, MORE) as two:
        assert two.read(lambda connection: connection.execute("SELECT text, kind FROM note").fetchall()) == [
            ("a", "old")
        ]
    with journal(path) as three:
        assert three.read(texts) == []
        assert three.set_aside == 1
    assert (tmp_path / "j.db.damaged").exists()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 400, b"SQLite format 3\0" + b"\0" * 4080])
def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begun(tmp_path, content, caplog):
    path = tmp_path / "j.db"
    path.write_bytes(content)
    with journal(path) as one:
        assert one.write(add("a")).result(WAIT_S) == 1
        assert one.set_aside == (1 if content else 0)
    assert ("set aside as j.db.damaged" in caplog.text) == bool(content)


def test_a_file_with_other_tables_is_set_aside(tmp_path):
    path = tmp_path / "j.db"
    with journal(path, [["CREATE TABLE note (id INTEGER PRIMARY KEY)"]]):
        pass
    with journal(path) as one:
        one.write(add("a")).result(WAIT_S)
        assert one.set_aside == 1


@settings(max_examples=40, deadline=None)
@given(
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=600)), min_size=1),
    cut=st.none() | st.floats(0, 1),
)
def test_whatever_happens_to_the_file_an_agent_starts_and_writes(tmp_path_factory, damage, cut):
    path = tmp_path_factory.mktemp("j") / "j.db"
    with journal(path) as one:
        rows = [(str(number) * 300,) for number in range(40)]
        one.write(lambda connection: connection.executemany("INSERT INTO note (text) VALUES (?)", rows)).result(WAIT_S)
    content = bytearray(path.read_bytes())
    for where, junk in damage:
        at = int(where * len(content))
        content[at : at + len(junk)] = junk
    path.write_bytes(content if cut is None else content[: int(cut * len(content))])
    with journal(path, durable=False) as two:
        for _ in range(3):  # damage that the check at the start does not see is found by a write, and acted on
            failure = two.write(add("new")).exception(WAIT_S)
            if failure is None:
                break
            assert isinstance(failure, UpriverError)
        else:
            raise AssertionError(failure)
        try:
            assert two.read(texts)[-1] == "new"
        except DiskTrouble:  # a row that was not looked at before; it is acted on, and the next read is well
            two.write(lambda _: None).exception(WAIT_S)


def test_damage_that_a_read_finds_is_acted_on(tmp_path):
    path = tmp_path / "j.db"
    rows = [(str(number) * 50,) for number in range(400)]
    with journal(path) as one:
        one.write(lambda connection: connection.executemany("INSERT INTO note (text) VALUES (?)", rows)).result(WAIT_S)
        other = sqlite3.connect(path)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        with pytest.raises(DiskTrouble):
            one.read(texts)
        assert one.write(add("new")).result(WAIT_S) == 1
        assert one.read(texts) == ["new"]
        assert one.set_aside == 1


PROGRAM = """
import sys
from pathlib import Path
from upriver_agent.journal import Journal
from tests.unit.agent.test_journal import SCHEMA, add
journal = Journal(Path(sys.argv[1]), SCHEMA, durable=False)
journal.start()
for number in range(10**6):
    futures = [journal.write(add(f"{number}-{part}")) for part in range(8)]
    for part, future in enumerate(futures):
        future.result()
        print(f"{number}-{part}", flush=True)
"""


@pytest.mark.parametrize("lines", [1, 50, 333])
def test_nothing_that_was_committed_is_lost_by_kill_9(tmp_path, lines):
    path = tmp_path / "j.db"
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)
    told = [child.stdout.readline().strip() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    told += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.wait(WAIT_S)
    with journal(path) as one:
        assert one.set_aside == 0
        assert one.read(texts)[: len(told)] == told


LIMITED = """
import sys, resource
from pathlib import Path
from upriver.errors import DiskTrouble
from upriver_agent.journal import Journal
from tests.unit.agent.test_journal import SCHEMA, add, texts
limit = int(sys.argv[2])
if limit == 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]), SCHEMA, retry_s=0.0)
journal.start()
if limit:
    journal.write(add("first")).result(60)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
kept = ["first"] if limit else []
failure = None
for number in range(1000):
    failure = journal.write(add(str(number) * 1000)).exception(60)
    if failure is not None:
        break
    kept.append(str(number) * 1000)
assert isinstance(failure, DiskTrouble), failure
assert "j.db" in str(failure), failure
assert journal.trouble and journal.failed == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.write(add("after")).result(60)
assert not journal.trouble
assert journal.read(texts) == [*kept, "after"], "what was committed"
assert journal.close()
print("well")
"""


@pytest.mark.parametrize("limit", [0, 1, 100_000, 300_000])
def test_files_that_can_not_grow_fail_writes_clearly_and_lose_nothing(tmp_path, limit):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "j.db"), str(limit)], capture_output=True, text=True, timeout=180
    )
    assert done.stdout == "well\n", done.stderr


def test_a_folder_that_can_not_be_made_fails_writes_and_reads_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with journal(tmp_path / "file" / "j.db", retry_s=0.0) as one:
        with pytest.raises(DiskTrouble, match=r"j\.db"):
            one.write(add("a")).result(WAIT_S)
        with pytest.raises(DiskTrouble, match=r"j\.db"):
            one.read(texts)
        (tmp_path / "file").unlink()
        assert one.write(add("a")).result(WAIT_S) == 1


def test_a_disk_that_failed_is_left_alone_for_a_while(tmp_path):
    now = [0.0]
    (tmp_path / "file").write_text("in the way")
    with journal(tmp_path / "file" / "j.db", retry_s=5.0, clock=lambda: now[0]) as one:
        assert isinstance(one.write(add("a")).exception(WAIT_S), DiskTrouble)
        (tmp_path / "file").unlink()
        assert isinstance(one.write(add("a")).exception(WAIT_S), DiskTrouble)
        now[0] = 5.0
        assert one.write(add("a")).result(WAIT_S) == 1


def test_a_reader_does_not_write_and_never_sees_half_a_transaction(tmp_path):
    with journal(tmp_path / "j.db") as one:
        with pytest.raises(DiskTrouble):
            one.read(add("a"))
        assert one.write(add("a")).result(WAIT_S) == 1
        held, go = threading.Event(), threading.Event()

        def half(connection):
            add("b")(connection)
            held.set()
            assert go.wait(WAIT_S)
            add("c")(connection)

        done = one.write(half)
        assert held.wait(WAIT_S)
        assert one.read(texts) == ["a"]
        go.set()
        done.result(WAIT_S)
        assert one.read(texts) == ["a", "b", "c"]
