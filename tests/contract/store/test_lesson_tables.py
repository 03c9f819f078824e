"""Lessons, trainings and sources in SQLite and in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.handed_lessons import lesson
from upriver.errors import NotFound
from upriver_control.jobs import JobState, cancelled
from upriver_control.jobs.training import Evaluation, Executor, Training, TrainResult, TrainSpec, trained
from upriver_control.lessons.files import LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.store.heads import HOLD_S, HeadTable
from upriver_control.store.lessons import LessonTable, Part
from upriver_control.store.questions import QuestionTable, StoredQuestions
from upriver_control.store.registry import RegistryStore
from upriver_control.store.trainings import Source, SourceKind, SourceTable, TrainingTable

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SPEC = TrainSpec("models/m/versions/1", A, "north", executor=Executor.RAY, settings={"epochs": 3.0})


def part(name, ids, date="2026-09-21"):
    return Part(name, "m", "north", date, len(ids), 100, {"seven": len(ids)})


@pytest.fixture
def table(database):
    return LessonTable(database)


def test_a_file_comes_with_all_of_its_lessons_or_not_at_all(table):
    first = table.add(part("one", ["a", "b"]), ["a", "b"])
    assert first is not None
    assert table.add(part("two", ["b", "c"]), ["b", "c"]) is None
    assert table.known(["a", "b", "c"]) == {"a", "b"}
    assert table.parts() == [first]
    assert (table.count("m"), table.size_bytes(), table.models(), table.has("two")) == (2, 100, ["m"], False)
    assert (table.count("m", "2026-09-21"), table.count("m", "2026-09-22")) == (2, 0)
    table.placed(first)
    assert [one.staged for one in table.parts("m", "north", "2026-09-21")] == [False]
    assert table.parts("m", "south") == table.parts("other") == table.parts(since="2026-09-22") == []


def test_what_is_forgotten_leaves_its_file_and_never_comes_back(table):
    first = table.add(part("one", ["a", "b"]), ["a", "b"])
    assert table.forget(["a", "later"], 5.0) == 1
    assert table.ids([first]) == {first.number: {"b"}}
    assert [one.dirty for one in table.parts()] == [True]
    assert table.add(part("two", ["later"]), ["later"]) is None
    assert table.expire("2026-09-21", 6.0) == 0  # that it was forgotten is remembered for a time
    assert table.known(["later"]) == set()


def test_files_are_put_together_once_and_only_as_they_were_read(table):
    parts = [table.add(part(name, [name]), [name]) for name in "ab"]
    merged = table.swap(parts, part("c", ["a", "b"]), ["a", "b"])
    assert table.swap(parts, part("d", ["a", "b"]), ["a", "b"]) is None
    assert ([one.name for one in table.parts()], sorted(one.name for one in table.gone())) == (["c"], ["a", "b"])
    for one in table.gone():
        table.deleted(one)
    table.forget(["a"], 1.0)
    assert table.swap([merged], part("e", ["a", "b"]), ["a", "b"]) is None  # one was forgotten meanwhile
    assert table.expire("2026-09-22", 0.0) == 1
    assert (table.known(["a", "b"]), table.count("m")) == ({"a"}, 0)


def test_run_again_after_a_commit_that_nobody_was_told_of_it_gives_what_was_committed(table, database, monkeypatch):
    write = database.write
    monkeypatch.setattr(database, "write", lambda change: (write(change), write(change))[1])
    first, second = (table.add(part(name, [name]), [name]) for name in "ab")
    assert table.parts() == [first, second]
    merged = table.swap([first, second], part("c", ["a", "b"]), ["a", "b"])
    assert (merged.name, table.parts(), table.ids([merged])) == ("c", [merged], {merged.number: {"a", "b"}})


def test_what_postgresql_can_not_keep_is_refused_alike_and_stops_nothing(table, tmp_path):
    keeper = Keeper(table, LessonFiles(str(tmp_path / "lessons")), Bounds(), lambda: 1.0)
    nul = [lesson("a\0"), lesson("b", region="\0"), lesson("c", label="\0", trace="\0"), lesson("d")]
    done = keeper.submit(nul, ["e\0", "f"])
    assert (sorted(done.kept), sorted(done.refused)) == (["c", "d", "f"], ["a\0", "b", "e\0"])
    assert table.known([one.id for one in nul if "\0" not in one.id]) == {"c", "d"}


def test_of_many_that_bring_the_same_lesson_one_does(table):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: table.add(part(f"p{number}", ["a"]), ["a"]), range(8)))
    assert sum(one is not None for one in found) == 1
    assert table.count("m") == 1


def test_a_training_is_kept_as_it_was(database):
    table = TrainingTable(database)
    made, created = table.create(Training("t", "m", 1.0, SPEC, trigger="an alarm"), "r")
    assert (created, table.create(Training("u", "m", 2.0, SPEC), "r")) == (True, (made, False))
    claimed = table.claim("me", 3.0, 9.0)
    assert (claimed.state, claimed.attempt, claimed.spec) == (JobState.RUNNING, 1, SPEC)
    assert table.claim("you", 4.0, 9.0) is None
    result = TrainResult(7, 3, (Evaluation("north", 3, 3, 1),), A, B, left_out={"why": 2}, new_labels=("x",))
    kept = table.save_with(trained(replace(claimed, log=("one", "two"), logged=9), result, 5.0))
    assert table.get("m", "t") == kept
    assert (kept.result, kept.log, kept.logged, kept.name) == (result, ("one", "two"), 9, "models/m/trainings/t")
    with pytest.raises(NotFound, match="no training models/m/trainings/u"):
        table.get("m", "u")


def test_what_an_open_training_replays_is_kept_past_its_time(database):
    questions, table = QuestionTable(RegistryStore(database)), TrainingTable(database)
    questions.keep(StoredQuestions(B, 5, True, 100, 1.0))
    job, _ = table.create(Training("t", "m", 1.0, replace(SPEC, replay=B)), "r")
    assert (questions.forget(2.0), questions.get(B).questions) == (0, 5)
    table.save_with(cancelled(job, 3.0))
    assert questions.forget(4.0) == 1


def test_what_holds_blobs_is_read_while_others_are_being_removed(database):
    store = RegistryStore(database)
    sources, asked, heads = SourceTable(store), QuestionTable(store), HeadTable(store)
    sources.keep(A, {SourceKind.KERAS: Source(A, 5)}, 1.0)
    asked.keep(StoredQuestions(A, 5, True, 9, 99.0))
    heads.hold(B, 0.0)
    seen = []
    store.sweep(2 * HOLD_S, lambda digest: seen.append((digest, sources.of(A), asked.get(A).questions, heads.get(A))))
    assert seen == [(B, {SourceKind.KERAS: Source(A, 5)}, 5, None)]


def test_sources_hold_their_blobs_until_something_else_takes_their_place(database):
    store = RegistryStore(database)
    table = SourceTable(store)
    table.keep(A, {SourceKind.KERAS: Source(B, 5)}, 1.0)
    swept = []
    assert (table.of(A), store.sweep(9.0, swept.append), swept) == ({SourceKind.KERAS: Source(B, 5)}, 0, [])
    assert table.one(A, SourceKind.KERAS, "v") == Source(B, 5)
    with pytest.raises(NotFound, match="v has no replay beside it"):
        table.one(A, SourceKind.REPLAY, "v")
    table.forget(0.5, 9.0)
    assert table.of(A)
    table.forget(2.0, 9.0)  # no version of this digest was ever published
    assert (table.of(A), store.sweep(9.5, swept.append), swept) == ({}, 1, [B])
