"""Each lesson is kept once: sent again, out of order, killed at any step, forgotten before or after it came."""

import os
from collections import Counter
from dataclasses import replace

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handed_lessons import lesson
from upriver.errors import DiskTrouble, NotFound, QueueFull
from upriver_control.lessons.files import STAGING, LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper, _to_merge
from upriver_control.lessons.tables import table_of
from upriver_control.store.database import open_database
from upriver_control.store.lessons import LessonTable, Part

NOW = 1_790_000_000.0


class Killed(BaseException):
    """The process ended here."""


class Steps:
    """Ends the process before its step number `left`."""

    def __init__(self):
        self.left = None

    def __call__(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class Files(LessonFiles):
    """Files where the process may end before and after whatever is done."""

    def __init__(self, url, steps):
        super().__init__(url)
        self.steps = steps

    def stage(self, name, table):
        self.steps()
        size = super().stage(name, table)
        self.steps()
        return size

    def place(self, part):
        self.steps()
        super().place(part)
        self.steps()

    def delete(self, part):
        self.steps()
        super().delete(part)
        self.steps()


class Place:
    """A control plane's lessons in a folder."""

    def __init__(self, folder, **bounds):
        self.folder = folder / "lessons"
        self.database = open_database(f"sqlite:///{folder}/db")
        self.steps, self.now = Steps(), NOW
        self.table = LessonTable(self.database)
        self.keeper = Keeper(self.table, Files(str(self.folder), self.steps), Bounds(**bounds), lambda: self.now)

    def ids(self):
        """What an engine finds that reads the folder."""
        if not list(self.folder.rglob("part-*.parquet")):
            return Counter()
        found = ds.dataset(str(self.folder), format="parquet", partitioning="hive")
        return Counter(found.to_table(columns=["id"])["id"].to_pylist())

    def read(self):
        return Counter(id_ for _, table in self.keeper.each("digits", "", "") for id_ in table["id"].to_pylist())

    def aside(self):
        return [path.name for path in (self.folder / STAGING).glob("*")]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.database.close()


def test_lessons_lie_by_model_region_and_date_and_any_engine_reads_them(place):
    done = place.keeper.submit([lesson("a"), lesson("b", "three", "south/1"), lesson("a")], [])
    assert (sorted(done.kept), done.refused) == (["a", "b"], {})
    files = sorted(str(path.relative_to(place.folder)) for path in place.folder.rglob("*.parquet"))
    assert [file.rpartition("/")[0] for file in files] == [
        "model=digits/region=north/date=2026-09-21", "model=digits/region=south%2F1/date=2026-09-21",
    ]  # fmt: skip
    rows = ds.dataset(str(place.folder), format="parquet", partitioning="hive").to_table().to_pylist()
    assert sorted((row["id"], row["region"], row["label"]) for row in rows) == [
        ("a", "north", "seven"), ("b", "south/1", "three"),
    ]  # fmt: skip
    assert rows[0]["inputs"][0]["shape"] == [14, 14, 1]
    assert place.aside() == []


def test_what_comes_again_is_kept_already_and_what_is_wrong_is_refused_with_every_reason(place):
    place.keeper.submit([lesson("a")], [])
    wrong = lesson("w", label="", version_digest="none", inputs=[])
    done = place.keeper.submit([lesson("b"), lesson("a", "three"), wrong], [])
    assert sorted(done.kept) == ["a", "b"]
    assert all(part in done.refused["w"] for part in ("label has 0", "version_digest is 'none'", "0 inputs"))
    assert place.ids() == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"scores": [1.0]}, "1 scores of 2 labels"),
        ({"confidence": float("nan")}, "not finite"),
        ({"model": "../up"}, "model id '../up'"),
        ({"own_label": "x" * 301}, "own_label has 301"),
        ({"agent": "a\0b"}, "agent has characters that can't be printed"),
        ({"region": "я" * 60}, "region takes 360 bytes in a path"),
    ],
)
def test_a_lesson_that_can_not_be_read_later_is_not_taken(place, more, told):
    assert told in place.keeper.submit([lesson("w", **more)], []).refused["w"]
    assert place.ids() == {}


def test_an_id_that_no_lesson_can_have_is_refused_and_not_to_be_sent_for_ever(place):
    done = place.keeper.submit([lesson("a\0b"), lesson("c")], ["", "d\0", "x" * 201, "e"])
    assert sorted(done.kept) == ["c", "e"]
    assert set(done.refused) == {"a\0b", "", "d\0", "x" * 200}


def test_a_forgotten_lesson_is_gone_at_once_from_what_is_read_and_soon_from_the_files(place):
    place.keeper.submit([lesson("a"), lesson("b")], [])
    done = place.keeper.submit([lesson("late")], ["a", "late"])  # the news of it came first
    assert sorted(done.kept) == ["a", "late", "late"]
    assert place.read() == {"b": 1}
    place.keeper.tidy()
    assert (place.ids(), place.aside()) == ({"b": 1}, [])
    assert place.keeper.submit([lesson("a")], []).kept == ["a"]  # a copy that was on its way
    assert place.read() == {"b": 1}
    place.keeper.submit([], ["b"])
    place.keeper.tidy()
    place.keeper.tidy()
    assert place.ids() == {}


def test_the_inputs_and_the_label_of_one_lesson_are_found_until_it_is_forgotten(place):
    place.keeper.submit([lesson("a"), lesson("b", "three", "south")], [])
    for _ in range(2):  # before its file was looked after, and afterwards
        found, whole = place.keeper.lesson("b"), lesson("b", "three", "south")
        assert list(found.inputs) == list(whole.inputs)
        assert (found.label, found.teacher_agent) == (whole.label, whole.teacher_agent)
        assert place.keeper.lesson("c") is None
        place.keeper.tidy()
    place.keeper.submit([], ["b"])
    assert place.keeper.lesson("b") is None


def test_small_files_are_put_together_and_old_ones_go(place):
    for number in range(9):
        place.keeper.submit([lesson(f"l{number}")], [])
    assert len(place.table.parts()) == 9
    place.keeper.tidy()
    place.keeper.tidy()
    assert [part.rows for part in place.table.parts()] == [9]
    assert place.ids() == place.read() == {f"l{number}": 1 for number in range(9)}
    place.now += 366 * 86_400
    place.keeper.tidy()
    place.keeper.tidy()
    assert (place.ids(), place.table.parts()) == ({}, [])


def test_files_of_before_spans_were_kept_are_put_together_with_new_ones(place):
    for number in range(9):
        made = table_of([lesson(f"l{number}", span="cd" * 8)], NOW)
        part = place.keeper._staged("digits", "north", "2026-01-01", made if number else made.drop_columns(["span"]))
        assert place.table.add(part, [f"l{number}"]) is not None
    place.keeper.tidy()
    place.keeper.tidy()
    assert [part.rows for part in place.table.parts()] == [9]
    ((_, table),) = place.keeper.each("digits", "", "")
    spans = dict(zip(table["id"].to_pylist(), table["span"].to_pylist(), strict=True))
    assert spans == {"l0": "", **{f"l{number}": "cd" * 8 for number in range(1, 9)}}


def test_so_much_is_put_together_at_once_as_may_be_in_memory():
    mib = 1 << 20
    parts = [Part(f"p{number}", "m", "r", "d", 1, 15 * mib, {}, number=number) for number in range(101)]
    large = Part("large", "m", "r", "d", 1, 16 * mib, {}, dirty=True)
    groups = _to_merge([large, *parts])
    assert [len(group) for group in groups] == [4] * 25 + [1]
    assert groups[-1] == [large]  # to be rewritten without what was forgotten; what is alone stays as it is
    assert [part for group in groups[:-1] for part in group] == parts[:100]
    assert _to_merge([replace(parts[0], dirty=True), *parts[1:7]]) == [[replace(parts[0], dirty=True)]]
    assert _to_merge([replace(parts[0], size_bytes=1)] * 7) == []


def test_who_reads_while_files_are_put_together_is_told_and_misses_nothing(place):
    for number in range(8):
        place.keeper.submit([lesson(f"l{number}")], [])
    reading = place.keeper.each("digits", "", "")
    next(reading)
    place.keeper.tidy()
    with pytest.raises(NotFound):
        list(reading)
    assert place.read() == {f"l{number}": 1 for number in range(8)}


def test_there_is_a_bound_and_a_full_disk_says_so_and_loses_nothing(tmp_path):
    place = Place(tmp_path, max_bytes=1)
    place.keeper.submit([lesson("a")], [])
    with pytest.raises(QueueFull, match="max_gib"):
        place.keeper.submit([lesson("b")], [])
    assert place.keeper.submit([lesson("a")], []).kept == ["a"]  # it is there
    assert place.keeper.submit([], ["a"]).kept == ["a"]
    place.database.close()


def test_a_disk_that_is_full_takes_nothing_and_the_next_try_does(place):
    place.folder.mkdir()
    aside = place.folder / STAGING
    aside.write_text("in the way, as a disk that is full is")
    with pytest.raises(DiskTrouble):
        place.keeper.submit([lesson("a")], [])
    assert place.read() == {}
    aside.unlink()
    assert place.keeper.submit([lesson("a")], []).kept == ["a"]
    assert place.ids() == {"a": 1}


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_of_keeping_and_putting_together_nothing_is_lost_or_twice(place, step):
    for number in range(8):
        place.keeper.submit([lesson(f"l{number}")], [])
    wanted = {f"l{number}": 1 for number in range(8)}

    def go_on():
        while True:
            place.keeper.submit([lesson("new")], [])
            place.keeper.tidy()
            place.keeper.submit([lesson(f"m{len(wanted)}")], [])
            wanted[f"m{len(wanted)}"] = 1

    place.steps.left = step
    with pytest.raises(Killed):
        go_on()
    place.steps.left = None
    assert place.read() <= Counter({**wanted, "new": 1, f"m{len(wanted)}": 1})
    done = place.keeper.submit([lesson("new"), *(lesson(name) for name in wanted)], [])
    assert sorted(done.kept) == sorted([*wanted, "new"])
    place.keeper.tidy()
    place.keeper.tidy()
    assert place.ids() == place.read() >= Counter({**wanted, "new": 1})
    assert set(place.ids().values()) == {1}


def test_a_change_that_is_run_again_though_it_was_committed_loses_no_file(place, monkeypatch):
    write = place.database.write
    monkeypatch.setattr(place.database, "write", lambda change: (write(change), write(change))[1])
    for number in range(8):
        place.keeper.submit([lesson(f"l{number}")], [])
    wanted = {f"l{number}": 1 for number in range(8)}
    assert place.ids() == place.read() == wanted
    place.keeper.tidy()
    assert [part.rows for part in place.table.parts()] == [8]
    assert place.ids() == place.read() == wanted


def test_what_nobody_claims_lies_aside_for_a_while_and_goes(place):
    place.steps.left = 1
    with pytest.raises(Killed):
        place.keeper.submit([lesson("a")], [])
    place.steps.left = None
    (orphan,) = place.aside()
    place.keeper.tidy()
    assert place.aside() == [orphan]  # somebody may be about to say that its lessons are there
    os.utime(place.folder / STAGING / orphan, (0, 0))
    place.keeper.tidy()
    assert (place.aside(), place.ids()) == ([], {})


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["send", "forget", "tidy", "kill"]), st.lists(st.integers(0, 12), max_size=6)),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_whatever_comes_in_whatever_order_each_is_there_once_or_was_forgotten(tmp_path_factory, actions):
    place = Place(tmp_path_factory.mktemp("lessons"))
    sent, forgotten = set(), set()
    for action, numbers in actions:
        names = [f"l{number}" for number in numbers]
        try:
            match action:
                case "send":
                    assert set(place.keeper.submit([lesson(name) for name in names], []).kept) == set(names)
                    sent |= set(names)
                case "forget":
                    place.keeper.submit([], names)
                    forgotten |= set(names)
                case "tidy":
                    place.keeper.tidy()
                case "kill":
                    place.steps.left = len(numbers)
                    place.keeper.submit([lesson(name) for name in names], [])
                    sent |= set(names)
                    place.keeper.tidy()
        except Killed:
            sent |= set(names) & set(place.read())
        place.steps.left = None
    place.keeper.tidy()
    place.keeper.tidy()
    wanted = dict.fromkeys(sent - forgotten, 1)
    assert place.ids() == place.read() == wanted
    place.database.close()


def test_a_file_holds_no_more_than_its_columns(place):
    place.keeper.submit([lesson("a")], [])
    (path,) = place.folder.rglob("*.parquet")
    assert "region" not in pq.read_schema(path).names


def test_forgotten_while_it_is_written_a_lesson_is_not_kept(place):
    stage = place.keeper.files.stage

    def staged(name, table):
        size = stage(name, table)
        place.keeper.files.stage = stage
        place.keeper.submit([], ["a"])
        return size

    place.keeper.files.stage = staged
    assert sorted(place.keeper.submit([lesson("a"), lesson("b")], []).kept) == ["a", "b"]
    assert place.ids() == place.read() == {"b": 1}
    assert place.aside() == []


def test_a_lesson_of_a_version_that_nobody_has_published_any_more_is_kept(place):
    assert place.keeper.submit([lesson("a", version_digest="sha256:" + "9" * 64)], []).kept == ["a"]


def test_a_file_that_can_not_be_moved_to_its_place_keeps_no_other_from_being_looked_after(place):
    place.folder.mkdir()
    (place.folder / "model=digits").write_text("in the way")
    with pytest.raises(DiskTrouble):
        place.keeper.submit([lesson("a")], [])
    for number in range(8):
        place.keeper.submit([lesson(f"l{number}", model="other")], [])
    place.keeper.tidy()
    assert sorted(part.rows for part in place.table.parts()) == [1, 8]
    (place.folder / "model=digits").unlink()
    place.keeper.tidy()
    assert place.ids() == {"a": 1, **{f"l{number}": 1 for number in range(8)}}


def test_a_damaged_file_is_named_and_keeps_nothing_else_from_being_looked_after(place):
    place.keeper.submit([lesson("a"), lesson("b")], [])
    place.keeper.submit([lesson("c", region="south"), lesson("d", region="south")], [])
    (path,) = place.folder.rglob("region=north/**/*.parquet")
    whole = path.read_bytes()
    path.write_bytes(b"no Parquet")
    place.keeper.submit([], ["b", "d"])
    with pytest.raises(DiskTrouble, match=rf"{path.name} is damaged"):
        place.read()
    place.keeper.tidy()
    path.write_bytes(whole)
    assert place.ids() == {"a": 1, "b": 1, "c": 1}
    place.keeper.tidy()
    assert place.ids() == place.read() == {"a": 1, "c": 1}
