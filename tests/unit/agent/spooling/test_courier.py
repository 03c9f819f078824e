"""What the courier does while nobody takes spans, and when somebody does again."""

import logging
import threading
import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from tests.agent_process import until
from upriver.errors import InvalidInput
from upriver.parameters import Reason
from upriver_agent.merge import RowFacts
from upriver_agent.spooling.courier import Courier, Pace
from upriver_agent.spooling.encoding import Batch, make_tracer
from upriver_agent.spooling.lanes import Lanes, Worth
from upriver_agent.spooling.replay import MOST_PASSED
from upriver_agent.spooling.sending import Later, Outcome, Refused, Taken
from upriver_agent.spooling.spool import Spool
from upriver_agent.spooling.table import Kept
from upriver_agent.spooling.telling import AGAIN_S
from upriver_agent.telemetry import Marks, Telemetry

FAST = Pace(gather_s=0.01, first_s=0.02, longest_s=0.05, flush_s=60.0)


class Moody:
    """Answers as it is told, and has the spans that it took."""

    def __init__(self, mood: Outcome) -> None:
        self.mood = mood
        self.took: list[str] = []
        self.calls = self.put_off = 0
        self.broken: list[Exception] = []
        self.never = b""
        """Exports with this in them are always put off, whatever the mood."""
        self._lock = threading.Lock()

    def send(self, body: bytes) -> Outcome:
        with self._lock:
            self.calls += 1
            if self.broken:
                raise self.broken.pop()
            if self.never and self.never in body:
                self.put_off += 1
                return Later("DEADLINE_EXCEEDED: it is too much")
            if isinstance(self.mood, Taken):
                request = pb.ExportTraceServiceRequest.FromString(body)
                spans = [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
                self.took += [a.value.string_value for s in spans for a in s.attributes if a.key == "upriver.model"]
            return self.mood

    def close(self) -> None:
        """Nothing is open."""


class Worn(Spool):
    """A disk that does not let go of what it has, or does not give it, for the next few times."""

    holds = 3
    hides = 0
    looks = 0
    broken: Exception | None = None

    def keep(self, batch: Batch) -> dict[Worth, int] | None:
        if self.broken is not None:
            error, self.broken = self.broken, None
            raise error
        return super().keep(batch)

    def drop(self, kept: Kept) -> bool:
        self.holds -= 1
        return self.holds < 0 and super().drop(kept)

    def one(self, newest: bool = False) -> Kept | None:
        self.looks += 1
        self.hides -= 1
        return super().one(newest) if self.hides < 0 else None


class Sent:
    """A courier at work, with `spool_bytes` of room on the disk."""

    def __init__(
        self, mood: Outcome, folder: Path, spool_bytes: int, spool: Spool | None = None, begin: bool = True
    ) -> None:
        self.later_s = 0.0
        self.lanes = Lanes(10_000)
        self.sender = Moody(mood)
        self.spool = spool or (Spool(folder, spool_bytes) if spool_bytes else None)
        self.courier = Courier(self.lanes, self.sender, self.spool, "the collector", FAST, clock=self.clock)
        self.telemetry = Telemetry("device-1", "device", "home", 1.0)
        self.telemetry.use(*(make_tracer("device-1", self.lanes, worth) for worth in (Worth.IMPORTANT, Worth.ORDINARY)))
        if begin:
            self.courier.start()

    def clock(self) -> float:
        return time.monotonic() + self.later_s

    def sure(self, name: str) -> None:
        fact = RowFacts("device-1", "device", 0.9, True, Reason.CONFIDENT, False, ("device-1",), "sha256:aa")
        marks = Marks(time.time_ns())
        marks.infer_start_ns = marks.infer_end_ns = marks.decided_ns = marks.start_ns
        self.telemetry.local(None, marks, name, [fact], 0.5)

    def until_kept(self, spans: int) -> None:
        until(lambda: self.courier.kept_spans == spans, what=f"{spans} spans on the disk")

    def until_settled(self, spans: int) -> None:
        courier = self.courier
        until(lambda: courier.kept_spans + sum(courier.lost.values()) == spans, what=f"{spans} spans, kept or lost")

    def fail(self, name: str) -> None:
        self.telemetry.failed(None, Marks(time.time_ns()), name, InvalidInput("wrong"))


def test_what_was_kept_is_sent_in_its_order_and_both_changes_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "upriver_agent.spooling")
    sent = Sent(Later("UNAVAILABLE: nobody there"), tmp_path, 1 << 20)
    for number in range(5):
        sent.fail(f"m{number}")
        sent.until_kept(number + 1)
    tries = sent.sender.calls
    until(lambda: sent.sender.calls > tries + 3, what="further tries")
    sent.sender.mood = Taken()
    until(lambda: not sent.courier.kept_spans, what="an empty spool")
    sent.courier.close()
    first = sent.sender.took[0]
    assert first in ("m0", "m4"), "the newest is tried as well, in case it is the oldest alone that nobody takes"
    assert [first, *sorted(sent.sender.took[1:])] == sent.sender.took
    assert sorted(sent.sender.took) == ["m0", "m1", "m2", "m3", "m4"]
    gone, back = [record.getMessage() for record in caplog.records]
    assert "the collector takes no spans (UNAVAILABLE: nobody there); they are kept" in gone
    assert "takes spans again; 0 were lost" in back


def test_when_the_disk_has_no_room_ordinary_spans_go_and_everything_important_comes(tmp_path: Path) -> None:
    sent = Sent(Later("nobody there"), tmp_path, 12_000)
    for number in range(10):
        sent.sure(f"ordinary-{number}")
        sent.fail(f"important-{number}")
        sent.until_settled(4 * (number + 1))
    sent.sender.mood = Taken()
    until(lambda: not sent.courier.kept_spans, what="an empty spool")
    sent.courier.close()
    came = [name for name in sent.sender.took if name.startswith("important")]
    assert came == [f"important-{number}" for number in range(10)]
    assert len(sent.sender.took) < 20
    assert sent.courier.lost[Worth.IMPORTANT] == 0
    assert sent.courier.lost[Worth.ORDINARY] == 3 * (20 - len(sent.sender.took))


def test_what_waits_at_the_end_is_there_at_the_next_start(tmp_path: Path) -> None:
    sent = Sent(Later("nobody there"), tmp_path, 1 << 20)
    sent.fail("early")
    sent.courier.close()
    again = Sent(Taken(), tmp_path, 1 << 20)
    until(lambda: again.sender.took, what="the span")
    again.courier.close()
    assert again.sender.took == ["early"]


def test_however_much_waits_at_the_end_all_of_it_is_kept(tmp_path: Path) -> None:
    sent = Sent(Later("nobody there"), tmp_path, 64 << 20, begin=False)
    for number in range(1_000):
        sent.fail(f"m{number}")
    sent.courier.start()
    sent.courier.close()
    assert sent.courier.kept_spans == 1_000
    assert sum(sent.courier.lost.values()) == 0
    again = Sent(Taken(), tmp_path, 64 << 20)
    until(lambda: len(again.sender.took) == 1_000, what="the spans")
    again.courier.close()


def test_without_a_spool_what_waits_in_memory_is_sent_later(tmp_path: Path) -> None:
    sent = Sent(Later("nobody there"), tmp_path, 0)
    sent.fail("one")
    until(lambda: sent.sender.calls > 2, what="several tries")
    sent.sender.mood = Taken()
    until(lambda: sent.sender.took, what="the span")
    sent.courier.close()
    assert sent.sender.took == ["one"]
    assert sum(sent.courier.lost.values()) == 0


def test_what_is_refused_is_lost_counted_and_told_and_the_next_ones_are_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = Sent(Refused("INVALID_ARGUMENT: no"), tmp_path, 1 << 20)
    sent.fail("bad")
    until(lambda: sent.courier.lost[Worth.IMPORTANT] == 1, what="the loss")
    sent.sender.mood = Taken()
    sent.fail("good")
    until(lambda: sent.sender.took, what="the next span")
    sent.courier.close()
    assert sent.sender.took == ["good"]
    assert "1 spans are lost: the collector refuses them: INVALID_ARGUMENT: no" in caplog.text


def test_a_loss_is_told_once_and_again_when_an_hour_has_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sent = Sent(Refused("no"), tmp_path, 1 << 20)
    for later_s in (0.0, 10.0, AGAIN_S + 20):
        sent.later_s = later_s
        lost = sent.courier.lost[Worth.IMPORTANT]
        sent.fail("bad")
        until(lambda: sent.courier.lost[Worth.IMPORTANT] > lost, what="the loss")  # noqa: B023 - called at once
    sent.courier.close()
    assert [record.getMessage() for record in caplog.records] == [
        "1 spans are lost: the collector refuses them: no"
    ] * 2


def test_a_receiver_can_reject_no_more_than_it_was_sent(tmp_path: Path) -> None:
    sent = Sent(Taken(2**40, "no"), tmp_path, 1 << 20)
    sent.fail("one")
    until(lambda: sent.courier.lost[Worth.IMPORTANT], what="the loss")
    sent.courier.close()
    assert (sent.courier.lost[Worth.IMPORTANT], sent.courier.sent[Worth.IMPORTANT]) == (1, 0)


def test_a_span_that_cannot_be_encoded_is_lost_alone_and_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = Sent(Taken(), tmp_path, 1 << 20, begin=False)
    sent.fail("before")
    sent.telemetry.failed(None, Marks(time.time_ns()), "bad", InvalidInput("half a pair: \ud800"))
    sent.fail("after")
    sent.courier.start()
    until(lambda: len(sent.sender.took) == 2, what="the others")
    sent.courier.close()
    assert sent.sender.took == ["before", "after"]
    assert sent.courier.lost[Worth.IMPORTANT] == 1
    assert "1 spans are lost: they can't be encoded: UnicodeEncodeError" in caplog.text


def test_what_nobody_foresaw_is_told_and_spans_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = Worn(tmp_path, 1 << 20)
    sent = Sent(Later("nobody there"), tmp_path, 1 << 20, disk, begin=False)
    sent.sender.broken = [TypeError("metadata of no kind")]
    disk.broken = ValueError("a row of no kind")
    disk.holds = 0
    sent.courier.start()
    sent.fail("one")
    sent.until_kept(1)
    sent.sender.mood = Taken()
    sent.fail("two")
    until(lambda: len(sent.sender.took) == 2, what="both spans")
    sent.courier.close()
    assert sorted(sent.sender.took) == ["one", "two"]
    assert "goes on: TypeError: metadata of no kind" in caplog.text
    assert "goes on: ValueError: a row of no kind" in caplog.text


@pytest.mark.parametrize("spool_bytes", [1 << 20, 0])
def test_a_batch_that_is_always_put_off_holds_nobody_up_and_is_lost_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spool_bytes: int
) -> None:
    caplog.set_level(logging.INFO, "upriver_agent.spooling")
    sent = Sent(Later("nobody there"), tmp_path, spool_bytes)
    sent.sender.never = b"never"
    sent.fail("never")
    until(lambda: sent.sender.put_off > 2, what="several tries")
    sent.fail("kept-1")
    sent.fail("kept-2")
    tries = sent.sender.calls
    until(lambda: sent.sender.calls > tries + 3, what="further tries")
    assert sum(sent.courier.lost.values()) == 0, "a receiver that is away loses nothing"
    sent.sender.mood = Taken()
    until(lambda: len(sent.sender.took) == 2, what="those behind it")
    came = 2
    while not sent.courier.lost[Worth.IMPORTANT]:
        assert came < 100, "it holds others up for ever"
        sent.fail(f"new-{came}")
        until(lambda: len(sent.sender.took) == came + 1, what="a new one")  # noqa: B023 - called at once
        came += 1
    until(lambda: not sent.courier.kept_spans, what="an empty spool")
    sent.courier.close()
    assert len(sent.sender.took) == came
    assert sent.courier.lost[Worth.IMPORTANT] == 1
    assert came > MOST_PASSED / 2
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(";")[0] for line in told] == [
        "the collector takes no spans (DEADLINE_EXCEEDED: it is too much)",
        "the collector takes spans again",
        f"1 spans are lost: the collector took others {MOST_PASSED} times and put these off"
        " (DEADLINE_EXCEEDED: it is too much)",
    ]


def test_while_the_disk_takes_nothing_spans_wait_in_memory(tmp_path: Path) -> None:
    (tmp_path / "spans.db").mkdir()
    sent = Sent(Later("nobody there"), tmp_path, 1 << 20)
    sent.fail("first")
    until(lambda: sent.sender.calls > 2, what="several tries")
    sent.fail("second")
    sent.sender.mood = Taken()
    until(lambda: len(sent.sender.took) == 2, what="both spans")
    sent.courier.close()
    assert sorted(sent.sender.took) == ["first", "second"]
    assert sum(sent.courier.lost.values()) == 0


def test_what_the_disk_does_not_let_go_of_is_sent_once_and_new_spans_are_sent_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "upriver_agent.spooling")
    disk = Worn(tmp_path, 1 << 20)
    sent = Sent(Later("nobody there"), tmp_path, 1 << 20, disk)
    sent.fail("old")
    sent.until_kept(1)
    sent.sender.mood = Taken()
    until(lambda: disk.holds < 3, what="a try to let go of it")
    sent.fail("new")
    until(lambda: not sent.courier.kept_spans, what="an empty spool")
    until(lambda: len(sent.sender.took) == 2, what="both spans")
    sent.courier.close()
    assert sent.sender.took == ["old", "new"]
    assert sent.courier.sent[Worth.IMPORTANT] == 2
    assert len([record for record in caplog.records if "again" in record.getMessage()]) == 1


def test_a_disk_that_gives_nothing_is_left_alone_for_a_while_and_new_spans_are_sent_meanwhile(tmp_path: Path) -> None:
    disk = Worn(tmp_path, 1 << 20)
    sent = Sent(Later("nobody there"), tmp_path, 1 << 20, disk)
    sent.fail("old")
    sent.until_kept(1)
    disk.hides = 10**9
    until(lambda: disk.looks > 3, what="looks at the disk")
    began, looks = time.monotonic(), disk.looks
    sent.sender.mood = Taken()
    for number in range(5):
        sent.fail(f"new-{number}")
        until(lambda: len(sent.sender.took) == number + 1, what="a new span")  # noqa: B023 - called at once
    assert disk.looks - looks <= (time.monotonic() - began) / FAST.longest_s + 2
    disk.hides = 0
    until(lambda: not sent.courier.kept_spans, what="an empty spool")
    sent.courier.close()
    assert sent.sender.took[-1] == "old"
