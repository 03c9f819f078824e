"""Spans in a database: kept once, found by what questions have, read in their order, gone within bounds."""

import asyncio
import dataclasses
import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from bench.many_spans import MODELS, REASONS, REGIONS, VERSIONS, Mesh, export, question, requests, span_ids
from upriver_control.spans import following
from upriver_control.spans.counting import MAX_COUNT, Observed
from upriver_control.spans.filters import Filter, conditions, matches
from upriver_control.spans.flags import IMPORTANT, Flag
from upriver_control.spans.histogram import summarize
from upriver_control.spans.intake import Intake
from upriver_control.spans.looking import figures as counted
from upriver_control.spans.rates import RateRow, RateTable
from upriver_control.spans.reading import read
from upriver_control.spans.rows import Group, Parsed, rows_of
from upriver_control.spans.schema import metadata
from upriver_control.spans.store import SpanStore, open_spans
from upriver_control.spans.sweeping import Bounds, Sweeper

MESH = Mesh(devices=4, clouds=2)
QUESTIONS = 60
SECOND_NS = 10**9
NOW_NS = MESH.began_ns + SECOND_NS
WIDE = Bounds(max_bytes=1 << 40, max_age_ns=1 << 60)


@pytest.fixture
def database(database_url):
    opened = open_spans(database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    return SpanStore(database)


def parsed_of(store, raw, received_ns=NOW_NS, offset_ns=0):
    batches = read(raw).batches
    numbers = store.origins([batch.origin for batch in batches], received_ns)
    return rows_of([Group(numbers[batch.origin], batch.spans) for batch in batches], received_ns, offset_ns)


def fill(store, first=0, questions=QUESTIONS, received_ns=NOW_NS):
    """Keeps questions and gives the rows of their hops."""
    hops = []
    for request, _ in requests(MESH, range(first, first + questions)):
        parsed = parsed_of(store, request.SerializeToString(), received_ns)
        store.write(parsed)
        hops += parsed.hops
    return hops


def test_the_migrations_make_the_tables_that_the_program_expects(database):
    def differences(connection):
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": "alembic_version_spans"}
        )
        return compare_metadata(context, metadata)

    assert database.read(differences) == []


def test_opening_again_keeps_what_is_there(database_url, store):
    fill(store, questions=2)
    again = open_spans(database_url)
    assert SpanStore(again).standing().spans == 10
    again.close()


def test_a_span_is_kept_once(store):
    (request, spans), *_ = requests(MESH, [0])
    parsed = parsed_of(store, request.SerializeToString())
    assert (store.write(parsed), store.write(parsed)) == (spans, 0)
    assert store.standing().spans == spans
    assert len(store.questions(Filter()).questions) == 1


def test_a_trace_is_read_as_it_came(store):
    fill(store)
    sent = {span.span_id: (agent, span) for agent, span in question(MESH, 1)}
    found = store.trace(MESH.trace(1))
    assert {facts.span: facts.raw for facts in found} == {
        own: span.SerializeToString() for own, (_, span) in sent.items()
    }
    assert all(facts.agent == sent[facts.span][0] for facts in found)
    assert [facts.start_ns for facts in found] == sorted(facts.start_ns for facts in found)
    told = TracesData.FromString(store.exported(MESH.trace(1)))
    assert sum(len(scope.spans) for resource in told.resource_spans for scope in resource.scope_spans) == 7
    assert store.trace(b"n" * 16) == []


FILTERS = [
    Filter(),
    Filter(search=MESH.trace(5).hex()),
    Filter(search=f"q-{MESH.seed:016x}-{7:016x}"),
    Filter(search="device-1"),
    Filter(search="cloud"),
    Filter(model=MODELS[1]),
    Filter(version=VERSIONS[2]),
    Filter(agent="device-2"),
    Filter(agent="cloud-1"),
    Filter(agent="nobody"),
    Filter(tier="cloud"),
    Filter(region=REGIONS[0], agent="cloud-1"),
    Filter(reason=REASONS[0]),
    Filter(answered_tier="cloud"),
    *(Filter(flags=int(flag)) for flag in Flag),
    Filter(flags=Flag.ESCALATED, model=MODELS[1]),
    Filter(from_ns=MESH.began_ns + 20 * MESH.every_ns, until_ns=MESH.began_ns + 30 * MESH.every_ns),
    Filter(min_latency_ns=20_000_000),
    Filter(every_hop=True),
    Filter(every_hop=True, tier="cloud"),
]


def hold_against(store, hops, filters=FILTERS):
    """Lists and figures have of these rows what the filters say, no more and no less."""
    of_trace = {}
    for hop in hops:
        of_trace.setdefault(hop.trace, []).append(hop)
    for wanted in filters:
        needed = conditions(wanted)
        expected = [hop for hop in hops if matches(needed, hop, of_trace[hop.trace])]
        page = store.questions(wanted, size=1000)
        assert sorted(page.questions) == sorted(expected), wanted
        assert [hop.at_ns for hop in page.questions] == sorted((hop.at_ns for hop in expected), reverse=True), wanted
        for few in (0, 20_000):  # both ways of looking for any hop of a trace
            figures = store.database.read(
                lambda connection, wanted=wanted, few=few: counted(connection, wanted, few=few)
            )
            told = summarize(figures.groups)
            assert (told.kept, told.estimated) == (len(expected), sum(hop.weight for hop in expected)), wanted
            assert dict(told.reasons).keys() == {hop.reason for hop in expected}, wanted
            assert not figures.truncated
            if expected:
                times = [hop.at_ns for hop in expected]
                assert (figures.from_ns, figures.until_ns) == (min(times), max(times)), wanted


def test_lists_and_figures_have_what_filters_say(store):
    hold_against(store, fill(store))


def test_what_is_swept_is_in_no_list_and_no_figure_and_what_it_had_in_common_goes_too(store, database):
    # Other versions, models and agents come than those that went: what they had in common is nobody's then.
    fill(store, questions=10)
    gone = Mesh(devices=9, clouds=3, seed=2)
    for request, _ in requests(gone, range(1, 40)):
        store.write(parsed_of(store, request.SerializeToString(), NOW_NS))
    later_ns = NOW_NS + 1000 * SECOND_NS
    left = fill(store, first=100, questions=20, received_ns=later_ns)
    sweeper = Sweeper(database, dataclasses.replace(WIDE, max_age_ns=500 * SECOND_NS))
    sweeper.sweep(later_ns)
    hold_against(store, left)
    with database.engine.connect() as connection:
        used = set(connection.exec_driver_sql("SELECT DISTINCT kind FROM hops").scalars())
        there = set(connection.exec_driver_sql("SELECT id FROM kinds").scalars())
    assert there == used
    hold_against(store, left + fill(store, first=1, questions=5, received_ns=later_ns + 1))  # of kinds that went


def test_of_too_many_the_newest_are_counted_and_it_is_told(store):
    hops = sorted(fill(store), key=lambda hop: hop.at_ns)

    def figures(wanted, **bounds):
        return store.database.read(lambda connection: counted(connection, wanted, **bounds))

    newest = figures(Filter(every_hop=True), summed=20)
    assert (summarize(newest.groups).kept, newest.truncated) == (20, True)
    assert newest.from_ns == hops[-20].at_ns
    until_ns = hops[50].at_ns
    before = figures(Filter(every_hop=True, until_ns=until_ns), summed=20)
    assert (summarize(before.groups).kept, before.until_ns, before.truncated) == (20, hops[49].at_ns, True)
    some = figures(Filter(every_hop=True, from_ns=hops[40].at_ns, until_ns=until_ns), summed=20)
    assert (summarize(some.groups).kept, some.truncated) == (10, False)
    assert not figures(Filter(), summed=len(hops)).truncated
    assert figures(Filter(tier="cloud"), probed=20, few=0).truncated
    assert not figures(Filter(tier="cloud"), probed=20).truncated


def test_pages_have_everything_once_while_more_come(store):
    hops = [hop for hop in fill(store) if hop.hop == 0]
    seen, after = [], None
    while True:
        page = store.questions(Filter(), after, size=7)
        seen += page.questions
        fill(store, first=1000 + 10 * len(seen), questions=2)
        after = page.after
        if after is None:
            break
    assert sorted(seen) == sorted(hops)


def test_questions_asked_at_the_same_time_are_all_on_some_page(store):
    hops = fill(store)
    same = [hop._replace(at_ns=NOW_NS, trace=bytes([1]) + hop.trace[1:]) for hop in hops]
    store.write(Parsed([], same, [], [], 0, ()))
    seen, after = [], None
    while True:
        page = store.questions(Filter(from_ns=NOW_NS, every_hop=True), after, size=4)
        seen += page.questions
        after = page.after
        if after is None:
            break
    assert sorted(seen) == sorted(same)


def test_edges_are_the_calls_of_the_last_minutes_with_those_that_failed(store, database):
    fill(store)
    edges = store.edges(0)
    up = {(MESH.device(index), MESH.cloud(index)) for index in range(QUESTIONS) if index % 2}
    assert {(edge.from_agent, edge.to_agent) for edge in edges} == up
    assert (sum(edge.calls for edge in edges), sum(edge.failed for edge in edges)) == (QUESTIONS // 2, 0)
    for number, error in ((1, "can't be reached"), (2, "cancelled: nobody needs it")):
        (_, call) = question(MESH, 1)[3]
        call.span_id = bytes([number]) * 8
        call.status.code, call.status.message = 2, error
        raw = export("device-1", [call]).SerializeToString()
        for _ in range(2):
            store.write(parsed_of(store, raw))
    edges = store.edges(0)
    assert (sum(edge.calls for edge in edges), sum(edge.failed for edge in edges)) == (QUESTIONS // 2 + 2, 1)
    assert store.edges(NOW_NS) == []
    store.write(parsed_of(store, raw, received_ns=NOW_NS + 301 * SECOND_NS))
    Sweeper(database, WIDE).sweep(NOW_NS + 700 * SECOND_NS)
    assert store.edges(0) == []


def test_what_comes_from_now_on_is_read_newest_first_and_what_is_too_much_is_counted(store):
    fill(store, questions=4)
    begun = store.newest()
    assert store.fresh(begun, 100) == ((), begun, 0)
    hops = fill(store, 4, 6)
    found = store.fresh(begun, 100)
    assert sorted(found.rows) == sorted(hops)
    assert (found.last, found.skipped) == (store.newest(), 0)
    some = store.fresh(begun, 5)
    assert (some.rows, some.last, some.skipped) == (found.rows[:5], found.last, len(hops) - 5)


@pytest.mark.parametrize("most", [5, 1000])
def test_who_looks_is_told_of_what_comes_from_then_on_and_of_how_much_was_left_out(store, monkeypatch, most):
    monkeypatch.setattr(following, "MAX_READ", most)
    fill(store, questions=4)

    async def looked():
        looking = following.Following(store, Intake(store))
        news = looking.follow(Filter(every_hop=True))
        assert await asyncio.wait_for(anext(news), 60) == ((), 0)
        hops = fill(store, 4, 6)
        working = asyncio.create_task(looking.run())  # now, so that they are read at once
        told = await asyncio.wait_for(anext(news), 60)
        working.cancel()
        await news.aclose()
        return hops, told

    hops, told = asyncio.run(looked())
    assert set(told.questions) <= set(hops)
    assert (len(told.questions), told.skipped) == (min(most, len(hops)), max(0, len(hops) - most))


def test_a_question_is_found_by_its_id_where_it_was_first_asked(store):
    hops = fill(store, questions=4)
    first = next(hop for hop in hops if hop.trace == MESH.trace(3) and hop.hop == 0)
    assert store.first_of(first.question) == (first.trace, first.span)
    assert store.first_of("q-never") is None
    assert store.first_of("") is None
    assert store.question(first.trace, first.span) == first
    assert store.question(first.trace, b"another.") is None
    assert store.count(first.trace) == 7
    assert store.count(bytes(16)) == 0


def test_thresholds_are_those_of_who_answered(store):
    hops = fill(store, questions=4)
    asked = [hop for hop in hops if hop.hop == 0]
    found = store.thresholds(asked)
    assert {(hop.trace, hop.answered_by) for hop in asked if hop.agent != hop.answered_by} <= found.keys()
    assert set(found.values()) == {0.7}
    assert store.thresholds([]) == {}


def test_whose_spans_came_since_when_is_known(store):
    fill(store, questions=4)
    assert store.senders() == {"device-0", "device-1", "device-2", "device-3", "cloud-1"}
    assert store.senders(NOW_NS + 1) == frozenset()


def test_spans_are_read_in_the_order_of_coming_and_the_place_is_kept(store):
    fill(store, questions=4)
    assert store.begin("forward:a") == store.after(0, 1000, 1 << 30)[-1].id
    fill(store, first=100, questions=4)
    cursor = store.begin("forward:a")
    seen = []
    while batch := store.after(cursor, 3, 1 << 30):
        seen += [kept.raw for kept in batch]
        cursor = batch[-1].id
    assert len(seen) == 20
    store.came_to("forward:a", cursor)
    store.came_to("forward:a", 1)  # never back
    assert store.begin("forward:a") == cursor
    assert store.waiting("forward:a") == (0, 0)
    assert len(store.after(0, 1000, 1)) == 1
    store.begin("forward:b")
    assert store.waiting("forward:a") == (0, 0)
    assert store.begin("forward:a") == cursor
    store.came_to("forward:of another database", 3)
    assert store.reached("forward:of another database") == 3


def test_what_is_too_old_goes_with_all_that_was_made_of_it(store, database):
    fill(store, questions=10)
    fill(store, first=100, questions=10, received_ns=NOW_NS + 1000 * SECOND_NS)
    sweeper = Sweeper(database, dataclasses.replace(WIDE, max_age_ns=500 * SECOND_NS))
    assert sweeper.sweep(NOW_NS + 1001 * SECOND_NS).spans == 50
    assert store.standing().spans == 50
    assert len(store.questions(Filter(), size=100).questions) == 10
    assert store.trace(MESH.trace(1)) == []
    assert sweeper.sweep(NOW_NS + 1001 * SECOND_NS).spans == 0
    assert sweeper.sweep(NOW_NS + 5000 * SECOND_NS).spans == 50
    assert (store.standing().spans, store.standing().oldest_ns) == (0, 0)
    fill(store, first=200, questions=1, received_ns=NOW_NS + 6000 * SECOND_NS)
    assert len(store.trace(MESH.trace(200))) == 3


def test_a_clock_that_is_set_back_takes_nothing_that_kept_spans_have_in_common(store, database):
    fill(store, first=1, questions=1, received_ns=NOW_NS + 86_400 * SECOND_NS)
    fill(store, first=100, questions=1)
    Sweeper(database, WIDE).sweep(NOW_NS + 120 * SECOND_NS)
    assert [len(store.trace(MESH.trace(index))) for index in (1, 100)] == [7, 3]


def test_who_reads_by_a_new_connection_does_not_wait_for_who_writes(tmp_path):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    store = SpanStore(database)
    fill(store, questions=1)
    database.engine.dispose()
    with closing(sqlite3.connect(tmp_path / "spans.sqlite", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert store.standing().spans > 0
    database.close()


def test_a_file_gives_back_what_is_free_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("upriver_control.spans.sweeping.MAX_FREE", 4096)
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    store = SpanStore(database)
    fill(store, questions=600)

    def pages():
        with database.engine.connect() as connection:
            return [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "freelist_count")
            ]

    before, _ = pages()
    Sweeper(database, dataclasses.replace(WIDE, max_age_ns=1)).sweep(NOW_NS + 10**6 * SECOND_NS)
    after, free = pages()
    assert after < before / 2
    assert free <= 1
    database.close()


def test_what_goes_before_it_was_sent_on_is_counted(store, database):
    store.begin("forward:a")
    fill(store, questions=10)
    store.came_to("forward:a", store.after(0, 20, 1 << 30)[-1].id)
    Sweeper(database, dataclasses.replace(WIDE, max_age_ns=1)).sweep(NOW_NS + SECOND_NS)
    assert store.waiting("forward:a") == (0, 30)


def test_remarkable_questions_stay_twice_as_long(tmp_path):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    store = SpanStore(database)
    for first in range(0, 6000, 3000):
        fill(store, first, 3000)
    size = store.standing().bytes
    Sweeper(database, Bounds(size * 9 // 10, WIDE.max_age_ns)).sweep(NOW_NS)
    assert store.standing().bytes <= size * 9 // 10
    left = {kept.raw for kept in store.after(0, 100_000, 1 << 30)}
    early = [index for index in range(500) if question(MESH, index)[0][1].SerializeToString() in left]
    late = [index for index in range(5500, 6000) if question(MESH, index)[0][1].SerializeToString() in left]
    hops = store.questions(Filter(until_ns=MESH.began_ns + 500 * MESH.every_ns), size=1000).questions
    assert early
    assert all(hop.flags & IMPORTANT for hop in hops)
    assert len(late) == 500
    database.close()


REPORT = Observed("till", "digits", "boot-1", "v1", "eu", 30, 3, 30.0, 630.0)


def test_rates_are_what_reports_say_more_than_those_before(database):
    table = RateTable(database)
    table.count([REPORT, REPORT._replace(agent="other", region="us")], 10)
    table.count([REPORT._replace(rows=90, escalated_rows=9, active_for_s=90.0, at=690.0)], 11)
    eu = [RateRow(10, "eu", "digits", "v1", 60, 6, 0), RateRow(11, "eu", "digits", "v1", 30, 3, 0)]
    assert table.between(0, 100, region="eu") == eu
    assert table.between(10, 11, region="us") == [RateRow(10, "us", "digits", "v1", 30, 3, 0)]
    assert table.between(0, 100, model="digits", region="eu", step=5) == [RateRow(10, "eu", "digits", "v1", 90, 9, 0)]
    assert table.between(7, 100, model="digits", region="eu", step=93) == [RateRow(7, "eu", "digits", "v1", 90, 9, 0)]
    assert table.between(0, 100, model="faces") == []
    assert table.sweep(11) == 2
    assert table.between(0, 100) == eu[1:]


def test_counts_that_nobody_has_are_bounded_and_others_counted_beside_them(database):
    table = RateTable(database)
    huge = REPORT._replace(rows=MAX_COUNT, escalated_rows=MAX_COUNT, lessons=MAX_COUNT, active_for_s=1.0)
    for boot in ("b1", "b2", "b3"):
        table.count([huge._replace(agent=f"{agent} of {boot}") for agent in ("one", "other")], 10)
    table.count([REPORT._replace(region="us")], 10)
    assert sum(row.rows for row in table.between(0, 100, region="us")) == 30
    assert {row.rows for row in table.between(0, 100, region="eu")} == {MAX_COUNT}


def test_what_several_processes_bring_of_an_agent_counts_once(database):
    one, two = RateTable(database), RateTable(database)
    later = REPORT._replace(rows=50, active_for_s=50.0, at=650.0)
    for table in (one, two, one):
        table.count([REPORT], 10)
    two.count([later], 10)
    one.count([REPORT], 10)
    assert [row.rows for row in one.between(0, 100)] == [50]


def test_lessons_are_those_of_a_steps_last_minute_and_each_agents_once_a_minute(database):
    table = RateTable(database)
    for minute, lessons in ((10, 5), (10, 7), (11, 9), (12, 0)):
        at = minute * 60 + 30.0
        table.count([REPORT._replace(at=at, active_for_s=at - 600, lessons=lessons)], minute)
    table.count([REPORT._replace(agent="other", version="v2", lessons=4, at=670.0)], 11)
    told = {(row.minute, row.version): row.lessons for row in table.between(0, 100)}
    assert told == {(10, "v1"): 5, (10, "v2"): 0, (11, "v1"): 9, (11, "v2"): 4}
    assert [row.lessons for row in table.between(0, 100, step=5)] == [9, 4]


def test_more_reports_than_one_transaction_takes_are_all_counted(database):
    table = RateTable(database)
    table.count([REPORT._replace(agent=f"a{number}") for number in range(1100)], 10)
    assert [row.rows for row in table.between(0, 100)] == [33000]


def test_an_origin_that_nobody_uses_goes(store, database):
    fill(store, questions=4)
    fill(store, first=1, questions=1, received_ns=NOW_NS + 10_000 * SECOND_NS)
    Sweeper(database, dataclasses.replace(WIDE, max_age_ns=500 * SECOND_NS)).sweep(NOW_NS + 10_000 * SECOND_NS)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM origins").scalar_one() == 2
    fresh = SpanStore(database)
    fill(fresh, first=1, questions=1, received_ns=NOW_NS + 10_001 * SECOND_NS)
    assert len(fresh.trace(MESH.trace(1))) == len(span_ids(MESH, 1))
