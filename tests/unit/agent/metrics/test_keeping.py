"""What an agent tells of what it keeps."""

import threading
from pathlib import Path

from upriver.exposition import classic
from upriver.families import Bounded, Family
from upriver_agent.journal import Journal
from upriver_agent.metrics.keeping import Learnt, journal_families, span_families
from upriver_agent.otlp import SpanCounts


def told(families: "list[Family]") -> list[str]:
    return [line for line in classic(families).decode().splitlines() if not line.startswith("#")]


def test_a_journal_s_writes_that_wait_and_that_failed_are_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "tickets.db", [["CREATE TABLE t (x)"]])
    journal.start()
    held = threading.Event()
    first = journal.write(lambda _: held.wait(30))
    while journal.pending:
        held.wait(0.01)
    second = journal.write(lambda _: None)
    lines = told(list(journal_families([journal])))
    held.set()
    assert first.result(30)
    second.result(30)
    journal.close()
    assert 'upriver_journal_pending_writes{journal="tickets"} 1' in lines
    assert 'upriver_journal_writes_failed_total{journal="tickets"} 0' in lines
    assert 'upriver_journal_files_set_aside_total{journal="tickets"} 0' in lines


def test_spans_are_told_by_lane() -> None:
    counts = SpanCounts(
        {"important": 5, "ordinary": 7}, {"important": 0, "ordinary": 2}, {"important": 1, "ordinary": 0}, 40
    )
    lines = told(list(span_families(counts)))
    assert 'upriver_spans_sent_total{lane="ordinary"} 7' in lines
    assert 'upriver_spans_dropped_total{lane="ordinary"} 2' in lines
    assert 'upriver_spans_waiting{lane="important"} 1' in lines
    assert "upriver_spool_spans 40" in lines


def test_an_agent_that_sends_no_spans_tells_nothing_of_them() -> None:
    assert told(list(span_families(None))) == []


def test_lessons_are_told_by_label_as_long_as_there_are_not_too_many() -> None:
    learnt = Learnt(Bounded())
    learnt.promoted("digits")
    learnt.promoted("digits")
    by_label = {("digits", str(number)): 1 for number in range(100)}
    lines = told(list(learnt.families(by_label, {("digits", True): 2, ("digits", False): 9})))
    assert 'upriver_lessons_counted{model="digits",label="0"} 1' in lines
    assert 'upriver_lessons_counted{model="digits",label="other"} 36' in lines
    assert 'upriver_head_trials{model="digits",outcome="refused"} 9' in lines
    assert 'upriver_promotions_total{model="digits"} 2' in lines
