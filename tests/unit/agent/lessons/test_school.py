"""Taking lessons in the background: nothing waits, what there is no room for is counted, no disk stops it."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.agent.lessons.making import opened
from tests.unit.agent.lessons.test_making import DIGEST, heard
from upriver_agent import coin
from upriver_agent.lessons import inbox, school
from upriver_agent.lessons.inbox import Inbox
from upriver_agent.lessons.lesson import Choice
from upriver_agent.lessons.making import LessonMaker
from upriver_agent.lessons.rules import Quotas
from upriver_agent.lessons.school import NO_CLASSES, NO_EMBEDDING, OFF, TOP, UNTRUSTED, School, SchoolRules
from upriver_agent.place import Place
from upriver_agent.versions.manifest import TaskKind

RULES = SchoolRules(enabled=True, trusted=True, trusts_people=True, keeps=False)


def made(book, rules=RULES, tier="device", quotas=None, steady=lambda: 0.0):
    place = Place("me", tier, "here", ("device", "cloud"))
    maker = LessonMaker("me", 0.0, quotas or Quotas(0.0, 0.0, lambda: 0.0), None, lambda: 2000.0)
    return School(place, rules, book, maker, lambda model: None, steady)


def version(kind=TaskKind.CLASSIFY, embedding="embedding"):
    manifest = SimpleNamespace(task=SimpleNamespace(kind=kind), outputs=SimpleNamespace(embedding=embedding))
    digest = SimpleNamespace(manifest=manifest, digest=DIGEST)
    return SimpleNamespace(model="digits", version=digest, pupil=None, untaught="")


def told(number, rows=1):
    embedding = np.random.default_rng(number).normal(size=(rows, 4)).astype(np.float32)
    scores = [[0.4, 0.3, 0.3]] * rows
    return heard(scores, [[0, 0, 1]] * rows, question=coin.question_id(number, 1), embedding=embedding)


def step(one):
    while one.step(0.0):
        pass


def test_what_is_heard_is_kept(tmp_path):
    with opened(tmp_path) as book:
        one = made(book)
        for number in range(200):
            one._inbox.hear(told(number, rows=1 + number % 3))
        step(one)
        assert book.count(Choice())[0] == sum(1 + number % 3 for number in range(200))
        assert one.counters() == {"taken": book.count(Choice())[0], "dropped": 0}


@pytest.mark.parametrize(
    ("rules", "tier", "loaded", "why"),
    [
        (RULES, "device", version(), ""),
        (SchoolRules(False, True, True, False), "device", version(), OFF),
        (RULES, "cloud", version(), TOP),
        (RULES, "device", version(kind=TaskKind.DETECT), NO_CLASSES),
        (RULES, "device", version(embedding=None), NO_EMBEDDING),
        (SchoolRules(True, False, True, False), "device", version(), UNTRUSTED),
    ],
)
def test_a_version_that_does_not_learn_says_why(tmp_path, rules, tier, loaded, why):
    with opened(tmp_path) as book:
        made(book, rules, tier).attend(loaded)
        assert loaded.untaught == why
        assert (loaded.pupil is None) == bool(why)


def test_what_there_is_no_room_for_is_dropped_and_counted_and_nobody_waits(monkeypatch):
    monkeypatch.setattr(inbox, "MOST", 3)
    box = Inbox()
    for number in range(5):
        box.hear(told(number, rows=2))
    assert box.dropped == 4
    assert [box.get(0.0).question for _ in range(3)] == [told(number).question for number in range(3)]
    assert box.get(0.0) is None
    monkeypatch.setattr(inbox, "MOST", 1000)
    monkeypatch.setattr(inbox, "MOST_BYTES", 100)
    for number in range(5):
        box.hear(told(number, rows=2))  # 32 bytes of embeddings and 48 of scores each
    assert box.dropped == 12
    box.get(0.0)
    box.hear(told(9))
    assert box.dropped == 12


def test_a_disk_that_fails_loses_lessons_clearly_and_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with opened(tmp_path / "file") as book:
        one = made(book)
        one._inbox.hear(told(1, rows=3))
        one.audited("cloud-1", "p", False)
        step(one)
        assert one.counters()["dropped"] == 3
        assert "lessons.db" in book.journal.trouble
        (tmp_path / "file").unlink()
        one._inbox.hear(told(2, rows=2))
        step(one)
        assert book.count(Choice())[0] == 2
        assert book.journal.trouble == ""


def test_what_can_not_be_made_into_lessons_does_not_keep_the_rest_from_it(tmp_path):
    with opened(tmp_path) as book:
        one = made(book)
        one._inbox.hear(told(1)._replace(answers=None))
        one.answered("q-1", "digits", b"\xff", b"\xff")
        one._inbox.hear(told(2))
        step(one)
        assert book.count(Choice())[0] == 1
        assert one.counters()["dropped"] == 2


def test_a_flood_from_one_caller_is_bounded_and_others_are_heard(tmp_path):
    with opened(tmp_path) as book:
        one = made(book, quotas=Quotas(0.0, 10.0, lambda: 0.0))
        for number in range(100):
            one._inbox.hear(told(number))
        one._inbox.hear(told(100)._replace(source="ipv4:10.0.0.2"))
        step(one)
        assert one.counters()["quota"] == 90
        assert book.count(Choice(source="ipv4:10.0.0.2"))[0] == 1


def test_a_flood_that_becomes_no_lessons_keeps_none_from_the_disk(tmp_path):
    with opened(tmp_path) as book:
        one = made(book, quotas=Quotas(0.0, 1.0, lambda: 0.0))
        numbers = itertools.count()
        one._inbox.get = lambda timeout_s: told(next(numbers))
        one.audited("cloud-1", "sha256:up", False)
        assert one.step(0.0)
        assert book.count(Choice())[0] == 1
        assert book.standings()["cloud-1"].evidence.audits == 1


def test_audits_reach_the_book_and_quarantine_shows(tmp_path):
    with opened(tmp_path) as book:
        one = made(book)
        one._inbox.hear(told(1))
        for _ in range(5):
            one.audited("cloud-1", "sha256:up", False)
        step(one)
        one._inbox.hear(told(2))
        step(one)
        assert one.counters()["quarantine"] == 1
        assert book.standings()["cloud-1"].quarantined
        assert list(book.all_of("digits", DIGEST)) == []


def test_what_was_heard_before_the_end_is_kept(tmp_path):
    with opened(tmp_path) as book:
        one = made(book)
        one.start()
        for number in range(50):
            one._inbox.hear(told(number))
        one.close()
        assert book.count(Choice())[0] == 50


def test_old_lessons_go_when_time_passes(tmp_path):
    now = [2000.0]
    with opened(tmp_path, lambda: now[0]) as book:
        one = made(book, steady=lambda: now[0])
        one._inbox.hear(told(1))
        step(one)
        now[0] += 3700.0
        step(one)
        assert book.count(Choice())[0] == 0
    assert school._TICK_S < 3600.0
