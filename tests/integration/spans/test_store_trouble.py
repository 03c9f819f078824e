"""A span store that is full, damaged or sent times that are days off: what can be told is told, and what is missing."""

import itertools
import sqlite3
import time
from contextlib import closing

import grpc
import pytest
from sqlalchemy import event

from bench.many_spans import Mesh, export, question, requests
from tests.agent_process import until
from tests.question_server import asking, question_server
from tests.unit.control_plane.fleet_facts import active, agent
from upriver.errors import DiskTrouble
from upriver_control.spans.skew import MIN_OFFSET_NS

LONG_AGO_NS = 1_750_000_000 * 10**9
TWO_DAYS_NS = 2 * 86_400 * 10**9
MESH = Mesh(devices=2, clouds=1, began_ns=LONG_AGO_NS)


@pytest.fixture
def server(tmp_path):
    with question_server(tmp_path) as running:
        yield running


@pytest.fixture
def ask(server):
    with asking(server) as asker:
        yield asker


def fill(server, mesh=MESH, count=20):
    for request, _ in requests(mesh, range(count)):
        server.intake.offer(request.SerializeToString()).result(30)


def unavailable(call, *arguments, **more):
    with pytest.raises(grpc.RpcError) as told:
        list(call(*arguments, **more))
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
    return told.value.details()


def test_a_full_store_takes_no_more_and_shows_what_it_has_and_goes_on_when_there_is_room(server, ask):
    fill(server)
    limit = {"pages": 0}

    @event.listens_for(server.database.engine, "checkout")
    def _bound(connection, _record, _proxy):
        connection.execute(f"PRAGMA max_page_count={limit['pages'] or 1 << 30}")

    limit["pages"] = 1  # SQLite takes that for as many as there are
    with pytest.raises(DiskTrouble, match="full"):
        fill(server, Mesh(seed=7, began_ns=LONG_AGO_NS), 400)
    told = ask.span_store()
    assert "full" in told.trouble
    assert (told.refused, told.spans) == (1, 100)
    assert len(ask.list().questions) == 20
    found = ask.trace("last")
    assert len(found.spans) == 7
    assert any("can't be kept" in line and "full" in line for line in found.missing)
    limit["pages"] = 0
    fill(server, Mesh(seed=7, began_ns=LONG_AGO_NS), 400)
    assert ask.span_store().trouble == ""
    assert ask.summarize().kept == 420


def test_a_store_that_is_damaged_meanwhile_is_told_and_agents_are_still_seen(server, ask):
    fill(server)
    server.report(agent(1, active(rows=30, active_for_s=30.0)))
    with closing(sqlite3.connect(server.file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    server.database.engine.dispose()
    with server.file.open("r+b") as file:
        file.seek(1024)
        file.write(b"x" * (server.file.stat().st_size - 1024))
    server.database.engine.dispose()
    for call, arguments in ((ask.list, ()), (ask.summarize, ()), (ask.trace, ("last",)), (ask.rates, ())):
        assert "malformed" in unavailable(call, *arguments)
    assert "malformed" in ask.span_store().trouble
    (mesh,) = ask.mesh(once=True)
    assert mesh.agents[0].rows_per_s == 1.0
    assert len(mesh.missing) == 1
    assert "malformed" in mesh.missing[0]
    assert not unavailable(ask.watch).isspace()
    for file in (server.file, *server.folder.glob("spans.sqlite-*")):
        file.unlink()  # by whoever looks after it
    watch = ask.watch()
    next(watch)
    fill(server)
    seen = set()
    for news in itertools.islice(watch, 20):  # they may come in several messages
        seen |= {one.trace for one in news.questions}
        if len(seen) == 20:
            break
    watch.cancel()
    assert len(seen) == 20
    assert len(ask.list().questions) == 20
    assert len(ask.trace("last").spans) == 7
    until(lambda: (told := ask.span_store()).spans == 100 and not told.trouble, what="that all is well")


def test_clocks_that_are_two_days_off_are_put_right_and_told(server, ask):
    """The device's clock is two days behind, and told with its spans; the cloud's is two days ahead, and not told."""
    mesh = Mesh(devices=1, clouds=1, began_ns=time.time_ns() - 10**9)
    device, cloud = [], []
    for name, span in question(mesh, 1):
        moved = -TWO_DAYS_NS if name.startswith("device") else TWO_DAYS_NS
        span.start_time_unix_nano += moved
        span.end_time_unix_nano += moved
        (device if moved < 0 else cloud).append(span)
    server.keep("device-0", device, TWO_DAYS_NS)
    server.keep("cloud-0", cloud)
    (listed,) = ask.list().questions
    assert abs(listed.time.ToNanoseconds() - time.time_ns()) < 60 * 10**9
    found = ask.trace(mesh.trace(1).hex())
    assert found.question.time == listed.time
    clocks = {clock.agent: (clock.offset.ToNanoseconds(), clock.estimated) for clock in found.clocks}
    assert clocks["device-0"] == (-TWO_DAYS_NS, False)
    ahead, estimated = clocks["cloud-0"]
    assert abs(ahead - TWO_DAYS_NS) < MIN_OFFSET_NS
    assert estimated
    below, above = found.hops
    assert below.start.ToNanoseconds() == 0
    assert 0 < above.start.ToNanoseconds() < above.start.ToNanoseconds() + above.length.ToNanoseconds()
    assert above.start.ToNanoseconds() + above.length.ToNanoseconds() <= below.length.ToNanoseconds()
    assert "clock of cloud-0 is 48 h ahead" in found.why
    assert "clock of device-0 is 2.0 days behind" in found.why


def test_huge_and_wrong_spans_are_refused_alone_and_counted_and_the_trace_is_told(server, ask):
    sent = [span for _, span in question(MESH, 1)]
    huge, wrong = type(sent[0])(), type(sent[0])()
    huge.CopyFrom(sent[2])
    huge.name = "n" * 70_000
    wrong.CopyFrom(sent[3])
    wrong.span_id = bytes(8)
    taken = server.intake.offer(
        export("device-1", [*sent[:2], huge, wrong, *sent[4:], *sent[4:]]).SerializeToString()
    ).result(30)
    assert taken.rejected == 2
    found = ask.trace(MESH.trace(1).hex())
    assert len(found.spans) == 5
    assert found.missing
    told = ask.span_store()
    assert (told.received, told.rejected, told.duplicates) == (5, 2, 3)
