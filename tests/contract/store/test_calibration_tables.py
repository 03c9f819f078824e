"""Calibrations, policies and questions in SQLite and in a real PostgreSQL."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

import pytest
from sqlalchemy import event

from upriver.errors import InvalidInput, NotFound
from upriver_control.jobs import Job, JobState, Result, Spec, TierResult, TierSpec, cancelled, succeeded
from upriver_control.store.calibrations import JobTable
from upriver_control.store.policies import PolicyTable, StoredPolicy
from upriver_control.store.questions import QuestionTable, StoredQuestions
from upriver_control.store.registry import RegistryStore

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SPEC = Spec(
    max_loss=0.005,
    confidence=0.95,
    tiers=(TierSpec("device", "models/m/versions/1", A), TierSpec("cloud", "models/m/versions/2", B, cost=7.0)),
    data=A,
)


def job(number: int, model: str = "m") -> Job:
    return Job(id=f"j{number}", model=model, spec=SPEC, created=float(number))


@pytest.fixture
def table(database):
    return JobTable(database)


def test_a_request_makes_one_calibration_however_often_it_comes(table):
    first, created = table.create(job(1), "r")
    again, created_again = table.create(job(2), "r")
    assert (created, created_again, again) == (True, False, first)
    assert table.of_request("r") == first == table.get("m", "j1")
    with pytest.raises(NotFound, match="models/m/calibrations/j2"):
        table.get("m", "j2")
    with pytest.raises(NotFound):
        table.get("other", "j1")


def test_a_request_that_comes_to_several_processes_at_once_makes_one(table, database):
    together = Barrier(4)

    @event.listens_for(database.engine, "before_cursor_execute")
    def _meet(connection, cursor, statement, *_):
        if statement.startswith("INSERT"):
            with suppress(BrokenBarrierError):  # SQLite has one writer at a time: they never meet there
                together.wait(0.5)

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda number: table.create(job(number), "r"), range(4)))
    assert [created for _, created in made].count(True) == 1
    assert {one.id for one, _ in made} == {table.of_request("r").id}


def test_the_outcome_is_kept_as_it_was_with_thresholds_that_are_infinite(table):
    made, _ = table.create(job(1), "r")
    result = Result(tiers=(TierResult("device", "v", B, math.inf), TierResult("cloud", "w", "", -math.inf)),
                    tune_questions=3, calibrate_questions=4, notes=("a", "b"))  # fmt: skip
    kept = table.save(succeeded(made, result, 9.0))
    assert kept is not None
    assert table.get("m", "j1") == kept
    assert kept.result == result


def test_only_who_saw_the_newest_revision_may_change_it(table):
    made, _ = table.create(job(1), "r")
    kept = table.save(cancelled(made, 2.0))
    assert kept is not None
    assert table.save(replace(made, doing="late")) is None
    assert table.get("m", "j1").state is JobState.CANCELLED


def test_each_calibration_is_taken_by_one_process_until_its_lease_ends(table):
    for number in range(6):
        table.create(job(number), f"r{number}")
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda owner: table.claim(owner, 10.0, 20.0), [f"p{one}" for one in range(6)]))
    assert sorted(one.id for one in taken if one is not None) == [f"j{number}" for number in range(6)]
    assert table.claim("late", 19.0, 30.0) is None
    again = table.claim("late", 20.0, 30.0)
    assert again is not None
    assert (again.id, again.attempt, again.owner) == ("j0", 2, "late")


def test_a_lease_is_prolonged_by_saving(table):
    table.create(job(1), "r")
    mine = table.claim("p", 0.0, 10.0)
    assert mine is not None
    assert table.save(replace(mine, until=99.0)) is not None
    assert table.claim("other", 50.0, 60.0) is None


def test_run_again_after_a_commit_that_nobody_was_told_of_a_change_is_kept(table, database, monkeypatch):
    for number in range(2):
        table.create(job(number), f"r{number}")
    write = database.write
    monkeypatch.setattr(database, "write", lambda change: (write(change), write(change))[1])
    assert [table.create(job(9), "r9")[0].id, table.count_open("m")] == ["j9", 3]
    mine = table.claim("p", 0.0, 10.1)
    assert (mine.id, table.get("m", "j0"), table.get("m", "j1").owner) == ("j0", mine, "")
    kept = table.save(replace(mine, until=99.1, progress=0.1), [policy("abcdef")])
    assert table.get("m", "j0") == kept
    ended = table.save(succeeded(kept, Result((), 0, 0), 5.0), [policy("abcdef")])
    assert table.get("m", "j0") == ended
    assert table.save(replace(kept, progress=0.2)) is None


def test_pages_are_newest_first_and_by_model(table):
    for number in range(5):
        table.create(job(number, "m" if number % 2 else "other"), f"r{number}")
    page = table.page(size=2)
    assert [one.id for one in page.jobs] == ["j4", "j3"]
    assert [one.id for one in table.page(before=page.before).jobs] == ["j2", "j1", "j0"]
    assert [one.id for one in table.page("m").jobs] == ["j3", "j1"]
    assert len(table.open_jobs()) == 5
    assert table.count_open("m") == 2


def policy(digits: str, model: str = "m") -> StoredPolicy:
    return StoredPolicy(model, f"sha256:{digits:0<64}", "models/m/versions/1", A, "device", "c", "{}", 1.0)


def test_a_policy_is_found_by_the_beginning_of_its_digest(database):
    table = PolicyTable(database)
    for one in (policy("abcdef12"), policy("abcdef34"), policy("abcdef34"), policy("0123456", "n")):
        table.add(one)
    assert table.get("models/m/policies/abcdef1") == policy("abcdef12")
    assert table.get("models/-/policies/sha256:012345") == policy("0123456", "n")
    assert [one.digest for one in table.page()[0]] == [
        policy(one).digest for one in ("0123456", "abcdef34", "abcdef12")
    ]
    page, before = table.page("m", size=1)
    assert page == (policy("abcdef34"),)
    assert table.page("m", before) == ((policy("abcdef12"),), 0)
    with pytest.raises(InvalidInput, match="several"):
        table.get("models/m/policies/abcdef")
    with pytest.raises(NotFound):
        table.get("models/m/policies/012345")
    for wrong in ("abcdef12", "models/m/policies/abc", "models/m/policies/ABCDEF12", "models//policies/abcdef12"):
        with pytest.raises(InvalidInput, match="no policy's name"):
            table.get(wrong)


def test_questions_go_when_their_time_is_over_and_no_open_calibration_needs_them(database):
    registry = RegistryStore(database)
    table, jobs = QuestionTable(registry), JobTable(database)
    for digest, until in ((A, 10.0), (B, 10.0)):
        table.keep(StoredQuestions(digest, 5, True, 100, until))
    made, _ = jobs.create(job(1), "r")
    table.keep(StoredQuestions(B, 5, True, 100, 5.0))
    assert table.get(B).until == 10.0
    assert table.forget(9.0) == 0
    assert table.forget(10.0) == 1
    with pytest.raises(NotFound, match="upload it again"):
        table.get(B)
    swept: list[str] = []
    assert registry.sweep(11.0, swept.append) == 1
    assert swept == [B]
    jobs.save(cancelled(made, 11.0))
    assert table.forget(12.0) == 1
    assert registry.sweep(13.0, swept.append) == 1


def test_a_blob_that_questions_hold_is_not_swept(database):
    registry = RegistryStore(database)
    table = QuestionTable(registry)
    table.keep(StoredQuestions(A, 5, True, 100, 1.0))
    table.forget(2.0)
    table.keep(StoredQuestions(A, 5, True, 100, 50.0))
    assert registry.sweep(3.0, pytest.fail) == 0
