"""Rates of the last minute, from what agents report."""

from dataclasses import replace

from tests.unit.control_plane.fleet_facts import NEW, active, agent
from upriver_control.history.recent import NOTHING, Recent
from upriver_control.spans.counting import MAX_COUNT

START = 1000.0


def reporting(recent, at, rows, escalated=0, pair=None, boot="boot-1", active_for=None, bucket=40):
    more = {} if pair is None else {"pair": pair}
    slot = active(rows=rows, escalated=escalated, bucket=bucket, **more)
    slot = replace(slot, active_for_s=at - START if active_for is None else active_for)
    recent.heard(replace(agent(1, slot), boot=boot), at)
    return recent.rates("a00001", at)


def test_a_rate_is_over_the_last_minute_whatever_was_before():
    recent = Recent()
    for second in range(0, 600, 15):
        found = reporting(recent, START + 600 + second, 10_000 + (2 * second if second < 300 else 600))
    assert found == NOTHING
    recent = Recent()
    for second in range(0, 600, 15):
        found = reporting(recent, START + 600 + second, 10_000 + 2 * second, 100 + second // 5)
    assert abs(found.rows_per_s - 2.0) < 1e-9
    assert abs(found.escalated_share - 0.1) < 1e-9
    assert 2 ** (40 / 4) * 1000 <= found.p95_ns <= 2 ** (41 / 4) * 1000


def test_a_first_report_counts_only_when_its_pair_is_new():
    assert reporting(Recent(), START + 3600, 5000) == NOTHING
    assert reporting(Recent(), START + 30, 60).rows_per_s == 2.0


def test_reports_every_second_are_remembered_as_few():
    recent = Recent()
    for second in range(300):
        found = reporting(recent, START + 3600 + second, 5 * second)
    assert abs(found.rows_per_s - 5.0) < 1e-9
    assert len(recent._samples["a00001"]) <= 10  # what it keeps of each of very many agents


def test_a_restart_and_another_version_never_make_rates_negative():
    recent = Recent()
    reporting(recent, START + 100, 5000, 50)
    found = reporting(recent, START + 115, 10, 1, boot="boot-2", active_for=5)
    assert 0 < found.rows_per_s <= 10
    found = reporting(recent, START + 130, 6, 0, pair=NEW, boot="boot-2", active_for=3)
    assert found.rows_per_s > 0
    assert 0 <= found.escalated_share <= 1


def test_an_agent_that_is_silent_is_told_to_do_nothing_and_one_that_is_gone_is_forgotten():
    recent = Recent()
    reporting(recent, START + 30, 60)
    assert recent.rates("a00001", START + 400) == NOTHING
    recent.forget({})
    assert recent.rates("a00001", START + 31) == NOTHING


def test_counters_that_no_agent_can_have_are_bounded_where_they_are_read():
    slot = replace(active(rows=2**63 - 1, escalated=-5), active_for_s=1e300)
    (told,) = Recent().heard(replace(agent(1, slot), lessons={"digits": 2**62}), START)
    assert (told.rows, told.escalated_rows) == (MAX_COUNT, 0)
    assert told.lessons in (0, MAX_COUNT)
    assert told.active_for_s < 1e9
