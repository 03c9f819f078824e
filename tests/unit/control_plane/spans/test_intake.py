"""Spans are taken in groups, answered when they are committed, and refused rather than waited for."""

import sqlite3
import threading
from concurrent.futures import wait

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.many_spans import Mesh, export, question, requests
from upriver.errors import DiskTrouble, Draining, InvalidInput, QueueFull, Unreachable
from upriver_control.spans.intake import Counts, Intake
from upriver_control.spans.store import SpanStore, open_spans

MESH = Mesh()
NOW_NS = MESH.began_ns + 10**9


@pytest.fixture
def database(tmp_path):
    opened = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def intake(database):
    made = Intake(SpanStore(database), lambda: NOW_NS, max_bytes=1 << 20)
    yield made
    made.close()


def asked(index):
    """The exports of one question, one for each agent."""
    spans = {}
    for agent, span in question(MESH, index):
        spans.setdefault(agent, []).append(span)
    return [export(agent, of).SerializeToString() for agent, of in spans.items()]


def test_what_is_answered_is_there(intake, database):
    intake.start()
    futures = [intake.offer(raw) for index in range(10) for raw in asked(index)]
    assert [future.result(30) for future in futures] == [(0, ())] * len(futures)
    store = SpanStore(database)
    assert store.standing().spans == 50
    assert len(store.trace(MESH.trace(1))) == 7
    assert intake.counts == Counts(received=50)
    assert intake.queued_bytes >= 0


def test_what_came_before_is_taken_and_not_kept_twice(intake, database):
    intake.start()
    (raw,) = asked(0)
    for _ in range(3):
        assert intake.offer(raw).result(30).rejected == 0
    assert intake.counts == Counts(received=3, duplicates=6)
    assert SpanStore(database).standing().spans == 3


def test_wrong_spans_are_refused_by_themselves(intake):
    good = Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=5)
    wrong = Span(trace_id=b"t" * 15, span_id=b"s" * 8, start_time_unix_nano=5)
    huge = Span(trace_id=b"t" * 16, span_id=b"h" * 8, start_time_unix_nano=5, name="n" * 70_000)
    intake.start()
    taken = intake.offer(export("till", [wrong, good, huge]).SerializeToString()).result(30)
    assert taken.rejected == 2
    assert "expected 16 bytes" in taken.reasons[0]
    assert "at most 65536 are taken" in taken.reasons[1]
    assert intake.counts == Counts(received=1, rejected=2)


def test_what_is_no_request_is_told_to_its_sender_alone(intake):
    wrong = intake.offer(b"\xff")
    right = intake.offer(asked(0)[0])
    intake.start()
    with pytest.raises(InvalidInput):
        wrong.result(30)
    assert right.result(30).rejected == 0


def test_a_full_queue_refuses_at_once_and_takes_again(intake):
    (raw,) = asked(0)
    fitting = (1 << 20) // (len(raw) + 512)
    waiting = [intake.offer(raw) for _ in range(fitting)]
    with pytest.raises(QueueFull, match="wait to be written"):
        intake.offer(raw)
    assert intake.queued_bytes <= 1 << 20
    intake.start()
    assert not wait(waiting, 60).not_done
    assert intake.offer(raw).result(30).rejected == 0
    assert intake.counts.refused == 1


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits(database):
    intake = Intake(SpanStore(database), lambda: NOW_NS, max_bytes=10)
    intake.start()
    assert intake.offer(asked(0)[0]).result(30).rejected == 0
    intake.close()


def test_a_locked_database_refuses_and_takes_again_when_it_is_free(tmp_path):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")  # it would wait for two seconds
    holder = sqlite3.connect(tmp_path / "spans.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    intake = Intake(SpanStore(database), lambda: NOW_NS)
    intake.start()
    (raw,) = asked(0)
    with pytest.raises(Unreachable, match="locked"):
        intake.offer(raw).result(30)
    assert "locked" in intake.trouble
    holder.execute("ROLLBACK")
    assert intake.offer(raw).result(30).rejected == 0
    assert intake.trouble == ""
    assert intake.counts == Counts(received=3, refused=1)
    intake.close()
    database.close()


def test_a_full_disk_refuses_and_keeps_what_was_there(database):
    store = SpanStore(database)
    intake = Intake(store, lambda: NOW_NS)
    intake.start()
    (raw,) = asked(0)
    assert intake.offer(raw).result(30).rejected == 0
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    more = [intake.offer(request.SerializeToString()) for request, _ in requests(MESH, range(200, 900))]
    assert not wait(more, 60).not_done
    with pytest.raises(DiskTrouble, match="full"):
        more[-1].result()
    assert "full" in intake.trouble
    assert len(store.trace(MESH.trace(0))) == 3
    intake.close()


def test_many_senders_at_once_are_all_answered(intake, database):
    intake.start()

    def send(first):
        for index in range(first, first + 20):
            for raw in asked(index):
                intake.offer(raw).result(60)

    threads = [threading.Thread(target=send, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert SpanStore(database).standing().spans == 4 * 100
    assert intake.queued_bytes == 0 or intake.offer(asked(0)[0]).result(30) == (0, ())


def test_what_waits_when_it_closes_is_written(database):
    intake = Intake(SpanStore(database), lambda: NOW_NS)
    waiting = [intake.offer(raw) for index in range(5) for raw in asked(index)]
    intake.start()
    intake.close()
    assert all(future.result(0) == (0, ()) for future in waiting)
    with pytest.raises(Draining):
        intake.offer(b"")


def test_a_sender_that_does_not_wait_for_its_answer_keeps_nobody_else_from_theirs(intake, database):
    waiting = intake.offer(asked(0)[0])
    assert not waiting.cancel()
    intake.start()
    assert intake.offer(asked(2)[0]).result(30).rejected == 0
    assert SpanStore(database).standing().spans == 6


def test_a_clock_that_is_off_is_put_right_and_flagged(intake, database):
    two_days = 2 * 86_400 * 10**9
    intake.start()
    intake.offer(asked(0)[0], offset_ns=two_days).result(30)
    (facts, *_) = SpanStore(database).trace(MESH.trace(0))
    assert (facts.start_ns, facts.offset_ns) == (MESH.began_ns, two_days)
