"""Lessons: the same promises in a folder, in another file system of fsspec's, and over S3's protocol."""

from collections import Counter

import fsspec
import pyarrow.parquet as pq
import pytest

from tests.handed_lessons import lesson
from upriver.errors import NotFound
from upriver_control.lessons.files import STAGING, LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.lessons.tables import table_of
from upriver_control.store.database import open_database
from upriver_control.store.lessons import LessonTable, Part


@pytest.fixture
def keeper(url, tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/db")
    yield Keeper(LessonTable(database), LessonFiles(url), Bounds(), lambda: 1_790_000_000.0)
    database.close()


def files(url):
    system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    system.invalidate_cache()
    return system, sorted(path for path in system.find(root) if path.endswith(".parquet"))


def ids(url):
    """What lies in its place, as any engine reads it."""
    system, paths = files(url)
    found = Counter()
    for path in paths:
        if f"/{STAGING}/" not in path:
            with system.open(path, "rb") as file:
                found.update(pq.read_table(file)["id"].to_pylist())
    return found


def test_lessons_are_in_their_place_once_and_small_files_become_one(keeper, url):
    for number in range(9):
        assert keeper.submit([lesson(f"l{number}"), lesson(f"l{number}")], []).kept == [f"l{number}"]
    keeper.submit([lesson("l0")], ["l1"])
    wanted = {f"l{number}": 1 for number in range(9) if number != 1}
    read = Counter(id_ for _, table in keeper.each("digits", "", "") for id_ in table["id"].to_pylist())
    assert read == wanted
    keeper.tidy()
    assert ids(url) == wanted
    _, paths = files(url)
    assert len(paths) == 1
    assert "/model=digits/region=north/date=2026-09-21/part-" in paths[0]


def test_a_move_that_was_interrupted_is_made_up_for_and_one_that_was_done_is_left(keeper, url):
    found = keeper.files
    table = _table()
    part = Part("one", "digits", "north", "2026-09-21", 1, found.stage("one", table), {"seven": 1})
    assert found.read(part)["id"].to_pylist() == ["a"]  # from where it was written
    found.place(part)
    found.place(part)
    assert (ids(url), found.read(part).num_rows) == ({"a": 1}, 1)
    found.delete(part)
    found.delete(part)
    with pytest.raises(NotFound):
        found.read(part)


def test_what_lies_aside_is_told_by_its_age(keeper):
    keeper.files.stage("orphan", _table())
    assert list(keeper.files.staged(3600.0)) == []
    assert list(keeper.files.staged(-60.0)) == ["orphan"]
    keeper.files.drop("orphan")
    assert list(keeper.files.staged(-60.0)) == []


def test_a_training_elsewhere_reads_the_rows_at_a_url_that_goes(keeper, url):
    assert keeper.files.trainings() == []
    place = keeper.files.for_training("t1", [_table(), _table()])
    system, root = fsspec.core.url_to_fs(place)
    system.invalidate_cache()
    assert len(system.find(root)) == 2
    assert keeper.files.trainings() == ["t1"]
    keeper.files.after_training("t1")
    keeper.files.after_training("t1")
    assert keeper.files.trainings() == []
    system.invalidate_cache()
    assert system.find(root) == []


def _table():
    return table_of([lesson("a")], 1_790_000_000.0)
