"""Audits in SQLite and in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from upriver_control.store.audits import Audit, AuditTable
from upriver_control.store.database import open_database

VERSION, POLICY, OTHER = ("sha256:" + digit * 64 for digit in "123")


@pytest.fixture
def table(database_url):
    database = open_database(database_url)
    yield AuditTable(database)
    database.close()


def audit(number: int, **fields) -> Audit:
    plain = Audit(
        agent="till",
        question=f"q-{number}",
        row=0,
        model="digits",
        tier="device",
        region="eu",
        version_digest=VERSION,
        policy_digest=POLICY,
        rules_digest=OTHER,
        asked=1.5,
        confidence=0.75,
        passes=True,
        answered_here=True,
        brought=True,
        agrees=True,
        answer="seven",
        top_answer="seven",
        draw=0.01,
        rate=0.02,
        features={"margin": 0.5},
    )
    return replace(plain, **fields)


def test_an_audit_comes_back_as_it_was_submitted(table):
    told = [audit(1), audit(2, confidence=None, passes=False, agrees=False, features={})]
    assert table.submit(told, now=10.0) == 2
    assert table.page("digits").audits == (told[1], told[0])


def test_an_audit_is_kept_once_however_often_and_from_wherever_it_comes(table):
    batches = [[audit(number) for number in range(start, start + 20)] for start in (0, 5, 10, 0)]
    with ThreadPoolExecutor(4) as pool:
        kept = sum(pool.map(lambda batch: table.submit(batch, 1.0), batches))
    assert kept == 30
    assert len(table.page("digits", size=100).audits) == 30
    assert table.submit([audit(3, agent="other"), audit(3, row=1), audit(3)], 1.0) == 2
    assert table.submit([], 1.0) == 0


def test_pages_go_from_the_newest_to_the_oldest_and_hold_what_was_asked_for(table):
    for number in range(7):
        table.submit([audit(number, agrees=number != 3, agent="till" if number % 2 else "other")], now=float(number))
    table.submit([audit(99, model="faces")], now=9.0)
    first = table.page("digits", size=3)
    second = table.page("digits", before=first.before, size=30)
    assert [one.question for one in (*first.audits, *second.audits)] == [f"q-{number}" for number in range(6, -1, -1)]
    assert second.before == 0
    assert [one.question for one in table.page("digits", disagreements=True).audits] == ["q-3"]
    assert len(table.page("digits", agent="other").audits) == 4
    assert table.page("digits", policy_digest=OTHER).audits == ()


def test_a_version_s_audits_are_read_whatever_policy_it_had(table):
    table.submit([audit(number, policy_digest=(POLICY, OTHER)[number % 2]) for number in range(5)], now=1.0)
    table.submit([audit(10, version_digest=OTHER), audit(11, tier="far-edge")], now=2.0)
    assert [one.question for one in table.of_version("digits", VERSION, tier="device")] == [
        f"q-{number}" for number in range(4, -1, -1)
    ]
    assert len(list(table.of_version("digits", VERSION))) == 6
    assert [one.question for one in table.of_version("digits", VERSION, since=1.5)] == ["q-11"]
    assert [one.question for one in table.of_version("digits", VERSION, limit=2)] == ["q-11", "q-4"]


def test_audits_of_a_question_are_those_that_agents_made_of_it(table):
    table.submit([audit(1), audit(1, row=2), audit(1, agent="other"), audit(2)], 1.0)
    assert [(one.agent, one.row) for one in table.of_question("q-1", ["till", "other", "nobody"])] == [
        ("other", 0),
        ("till", 0),
        ("till", 2),
    ]
    assert len(table.of_question("q-1", ["till"], limit=1)) == 1
    assert table.of_question("q-1", []) == []


def test_audits_are_counted_by_agent_and_pair(table):
    table.submit([audit(number, agrees=number > 1, passes=number != 1) for number in range(10)], now=5.0)
    table.submit([audit(20, agent="other", tier="far-edge", agrees=False)], now=6.0)
    by_agent = {one.agent: one for one in table.summarize("digits")}
    till = by_agent["till"]
    assert (till.audits, till.passed, till.disagreements, till.last) == (10, 9, 1, 5.0)
    assert (by_agent["other"].tier, by_agent["other"].disagreements) == ("far-edge", 1)
    assert table.summarize("faces") == []


def test_the_oldest_go_when_there_are_many_or_after_a_time(table):
    table.submit([audit(number) for number in range(10)], now=100.0)
    table.submit([audit(50, model="faces")], now=1.0)
    assert table.sweep(now=100.0, most=4, age_s=50.0) == 7
    assert [one.question for one in table.page("digits").audits] == ["q-9", "q-8", "q-7", "q-6"]
    assert table.page("faces").audits == ()
