"""Spans go on to another receiver as they came, by whoever leads, on either database."""

import asyncio
import threading

import grpc
import pytest

from bench.many_spans import Mesh, requests
from tests.agent_process import until
from tests.otlp_bytes import byte_receiver
from upriver_control.spans.forwarding import Forwarding, Receiver
from upriver_control.spans.reading import read
from upriver_control.spans.rows import Group, rows_of
from upriver_control.spans.store import IN_ORDER, SpanStore, open_spans

MESH = Mesh(devices=3, clouds=1)


@pytest.fixture
def stores(database_url):
    """Two control planes on one database."""
    databases = [open_spans(database_url), open_spans(database_url)]
    yield [SpanStore(database) for database in databases]
    for database in databases:
        database.close()


@pytest.fixture
def receiver():
    with byte_receiver() as receiver:
        yield receiver


def raws(indices):
    """Every span's bytes as they are sent, by request."""
    return [request.SerializeToString() for request, _ in requests(MESH, indices)]


def keep(store, raw, now_ns=MESH.began_ns):
    batches = read(raw).batches
    numbers = store.origins([batch.origin for batch in batches], now_ns)
    parsed = rows_of([Group(numbers[batch.origin], batch.spans) for batch in batches], now_ns)
    store.write(parsed)
    return [row.raw for row in parsed.spans]


def spans_in(requests_):
    """Spans' bytes in the order in which they came to a receiver."""
    return [span.raw for request in requests_ for batch in read(request).batches for span in batch.spans]


def forwarding(work, *forwardings):
    """Runs `work` on a thread while spans are forwarded."""

    async def run():
        tasks = [asyncio.create_task(one.run()) for one in forwardings]
        try:
            await asyncio.to_thread(work)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_whoever_leads_sends_every_span_once_and_bit_for_bit(stores, receiver):
    leader = [True, False]
    sent = []

    def work():
        until(lambda: all(store.waiting(target.name) == (0, 0) for store in stores), what="the beginning")
        for number, raw in enumerate(raws(range(30))):
            sent.extend(keep(stores[number % 2], raw))
        until(lambda: len(spans_in(receiver.requests)) == len(sent), what="all spans of the first")
        until(lambda: stores[0].waiting(target.name) == (0, 0), what="the note of it")
        leader[:] = False, False
        for raw in raws(range(100, 110)):
            sent.extend(keep(stores[0], raw))
        receiver.code = grpc.StatusCode.UNAVAILABLE
        leader[:] = False, True
        until(lambda: forwardings[1].trouble, what="the receiver's trouble to be known")
        assert not forwardings[0].trouble
        receiver.code = None
        until(lambda: stores[1].waiting(target.name) == (0, 0), what="all spans of the second")

    target = Receiver(receiver.url)
    stores[0].begin(target.name)
    forwardings = [
        Forwarding(store, target, lambda number=number: leader[number], chance=lambda: 0.01)
        for number, store in enumerate(stores)
    ]
    forwarding(work, *forwardings)
    assert spans_in(receiver.requests) == sent, "in the order in which they came"


def test_a_receiver_that_answers_what_is_no_answer_gets_the_spans_when_it_does(stores, receiver):
    receiver.answer = b"\xff\xff"
    target = Receiver(receiver.url)
    stores[0].begin(target.name)
    one = Forwarding(stores[0], target, chance=lambda: 0.01)

    def work():
        sent = keep(stores[0], raws([0])[0])
        until(lambda: "expected an OTLP/gRPC receiver" in one.trouble, what="the trouble to be told")
        receiver.answer = b""
        until(lambda: stores[0].waiting(target.name) == (0, 0), what="the spans to be sent")
        assert spans_in(receiver.requests[-1:]) == sent

    forwarding(work, one)


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.real_postgresql)], indirect=True)
def test_who_writes_waits_for_who_began_before_so_that_no_id_comes_to_light_late(stores):
    first, second = stores
    one, other = raws([0]), raws([2])
    kept = []
    with first.database.engine.begin() as connection:  # in the middle of a write of the first
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (IN_ORDER,))
        writing = threading.Thread(target=lambda: kept.extend(keep(second, other[0])))
        writing.start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: connection.exec_driver_sql(waits).scalar_one() == 1, what="the second to wait")
        assert first.after(0, 100, 1 << 30) == []
    writing.join(60)
    keep(first, one[0])
    assert [kept_.raw for kept_ in first.after(0, 100, 1 << 30)][: len(kept)] == kept
