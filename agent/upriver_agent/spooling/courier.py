"""The thread that takes spans out of memory and sends them, or has them kept until somebody takes them."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from upriver.backoff import full_jitter_s
from upriver_agent.spooling.encoding import Batch, encode
from upriver_agent.spooling.lanes import Lanes, Worth
from upriver_agent.spooling.replay import MOST_PASSED, Passed, Source, Turns
from upriver_agent.spooling.sending import Later, Outcome, Refused, Taken
from upriver_agent.spooling.spool import Spool
from upriver_agent.spooling.table import Kept
from upriver_agent.spooling.telling import Told

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_LOG = logging.getLogger(__name__)


class Sending(Protocol):
    """What the courier needs of `sending.Sender`."""

    def send(self, body: bytes) -> Outcome:
        """Sends the bytes of one export."""

    def close(self) -> None:
        """Ends what is being sent."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: spans gather for `gather_s`; `first_s` and `longest_s` bound the pauses while nobody takes them.

    At the end, what waits is sent for at most `flush_s`.
    """

    gather_s: float = 0.4
    first_s: float = 1.0
    longest_s: float = 60.0
    flush_s: float = 1.0


class Courier:
    """Sends what waits in `lanes`; what nobody takes goes into the spool, if there is one, and is sent later."""

    def __init__(
        self,
        lanes: Lanes,
        sender: Sending,
        spool: Spool | None,
        name: str,
        pace: Pace,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is where spans go, for people."""
        self._lanes = lanes
        self._sender = sender
        self._spool = spool
        self._name = name
        self._pace = pace
        self._chance = chance
        self._clock = clock
        self.sent = dict.fromkeys(Worth, 0)
        """Spans that a receiver has, since the start, by worth."""
        self._lost = dict.fromkeys(Worth, 0)
        self._turns = Turns()
        self._passed = Passed()
        self._in_hand: list[Batch] = []
        self._failures = 0
        self._retry_at = 0.0
        self._disk_at = 0.0
        self._gone: Kept | None = None
        self._told_gone = False
        self._lost_before = 0
        self._told = Told()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-spans", daemon=True)

    @property
    def lost(self) -> dict[Worth, int]:
        """Spans that nobody will see, since the start, by worth."""
        return {worth: self._lost[worth] + self._lanes.dropped[worth] for worth in Worth}

    @property
    def waiting(self) -> dict[Worth, int]:
        """Spans that wait in memory, by worth."""
        return self._lanes.waiting()

    @property
    def kept_spans(self) -> int:
        """Spans that wait on the disk."""
        return 0 if self._spool is None else self._spool.spans

    def start(self) -> None:
        """Begins, in the background; what an earlier run has kept is sent too."""
        self._thread.start()

    def close(self) -> None:
        """Sends what waits, for at most `flush_s`, has the rest kept, and ends."""
        self._over.set()
        self._lanes.end()
        self._thread.join(self._pace.flush_s)
        self._sender.close()  # a call that is under way fails, and its spans are kept
        self._thread.join(self._pace.flush_s)
        if self._spool is not None:
            self._spool.close(self._pace.flush_s)

    def _run(self) -> None:
        if self._spool is not None:
            self._guarded(self._spool.start)
        while not self._over.is_set():
            self._guarded(self._step)
        self._guarded(self._finish)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does a piece of the work: one that fails as nobody foresaw is told, and does not end what comes after it."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told; all later spans would be lost with the thread
            self._stumbled(error)
            self._leave_disk()
            self._pause(0.0)

    def _step(self) -> None:
        """Waits for what is to be done, and does one piece of it."""
        pause_s = self._retry_at - self._clock() if self._failures else 0.0
        if pause_s > 0:
            self._over.wait(min(pause_s, self._pace.gather_s))
            self._put_away()
            return
        if not self._has_kept() and not self._in_hand:
            self._lanes.wait(self._disk_at - self._clock() if self.kept_spans else None)
            self._lanes.gather(self._pace.gather_s)
        self._round()

    def _round(self) -> None:
        """One export, of what has its turn; while nobody takes spans, what was kept is tried."""
        new = bool(self._in_hand) or len(self._lanes) > 0
        kept = self._has_kept()
        source = self._turns.next(new and not (self._failures and kept), kept)
        if source is Source.KEPT:
            self._send_kept()
        elif source is Source.NEW:
            self._send_new()

    def _send_new(self) -> None:
        if len(self._in_hand) < 2:  # the other end is tried as well
            self._in_hand += self._taken()
        while self._in_hand:
            end = -1 if self._other_end() else 0
            if not self._settled(self._in_hand[end], self._sent(self._in_hand[end])):
                break
            del self._in_hand[end]
        self._put_in_hand_away()

    def _sent(self, batch: Batch) -> Outcome:
        try:
            return self._sender.send(batch.body)
        except Exception as error:  # noqa: BLE001 - told; it counts as not taken
            self._stumbled(error)
            return Later(_named(error))

    def _taken(self) -> list[Batch]:
        return [batch for worth, spans in self._lanes.take() for batch in self._encoded(worth, spans)]

    def _encoded(self, worth: Worth, spans: "Sequence[ReadableSpan]") -> list[Batch]:
        """Spans as batches, without those that can't be encoded."""
        try:
            return encode(worth, spans)
        except Exception as error:  # noqa: BLE001 - counted and told; the others need not be lost with it
            if len(spans) == 1:
                self._lose(worth, 1, f"they can't be encoded: {_named(error)}")
                return []
        half = len(spans) // 2
        return self._encoded(worth, spans[:half]) + self._encoded(worth, spans[half:])

    def _has_kept(self) -> bool:
        """Whether anything is kept, and the disk need not be left alone."""
        return self.kept_spans > 0 and self._clock() >= self._disk_at

    def _send_kept(self) -> None:
        kept = None if self._spool is None else self._spool.one(newest=self._other_end())
        if self._spool is None or kept is None:
            self._leave_disk()
            return
        if kept != self._gone and not self._settled(kept.batch, self._sent(kept.batch)):
            return
        if self._spool.drop(kept):
            self._gone = None if kept == self._gone else self._gone
        else:
            self._gone = kept  # it would be sent again and again
            self._leave_disk()

    def _other_end(self) -> bool:
        """Whether the newest is tried in place of the oldest: every other time while nothing is taken, as it may be the
        oldest alone that nobody takes."""
        return self._failures % 2 == 1

    def _leave_disk(self) -> None:
        """A disk that gives nothing, or lets go of nothing, is tried again after the longest pause."""
        self._disk_at = self._clock() + self._pace.longest_s

    def _put_away(self) -> None:
        """Has what waits in memory kept on the disk, if there is a spool."""
        self._put_in_hand_away()
        while self._spool is not None and not self._in_hand and len(self._lanes):
            self._in_hand = self._taken()
            self._put_in_hand_away()

    def _put_in_hand_away(self) -> None:
        while self._spool is not None and self._in_hand:
            lost = self._spool.keep(self._in_hand[0])
            if lost is None:
                return  # the disk takes nothing: memory is what there is
            for worth, spans in lost.items():
                self._lost[worth] += spans
            self._in_hand = self._in_hand[1:]

    def _settled(self, batch: Batch, outcome: Outcome) -> bool:
        """Whether a batch need not be sent again."""
        key = hash(batch.body)
        match outcome:
            case Taken():
                rejected = min(outcome.rejected, batch.spans)  # whatever the receiver says
                self.sent[batch.worth] += batch.spans - rejected
                self._lose(batch.worth, rejected, f"{self._name} rejects them: {outcome.why}")
            case Refused():
                self._lose(batch.worth, batch.spans, f"{self._name} refuses them: {outcome.why}")
            case Later():
                passed = self._passed.put_off(key)
                if passed < MOST_PASSED:
                    if not passed:  # else it is this one alone, as far as it tells
                        self._tell_gone(outcome.why)
                    self._pause(outcome.after_s)
                    return False
                why = f"{self._name} took others {passed} times and put these off ({outcome.why})"
                self._lose(batch.worth, batch.spans, why)
                self._passed.forget(key)
                return True
        self._passed.taken(key)
        self._tell_back()
        return True

    def _pause(self, after_s: float) -> None:
        self._failures += 1
        jitter_s = full_jitter_s(self._failures, self._pace.first_s, self._pace.longest_s, self._chance)
        self._retry_at = self._clock() + min(after_s, self._pace.longest_s) + jitter_s

    def _tell_gone(self, why: str) -> None:
        if self._told_gone:
            return
        self._told_gone = True
        kept = "those that find no room are lost" if self._spool is None else "they are kept until it does"
        _LOG.warning("%s takes no spans (%s); %s, and questions are answered as before", self._name, why, kept)
        self._lost_before = sum(self.lost.values())

    def _tell_back(self) -> None:
        self._failures = 0
        if self._told_gone:
            self._told_gone = False
            lost = sum(self.lost.values()) - self._lost_before
            _LOG.info("%s takes spans again; %d were lost, %d follow", self._name, lost, self.kept_spans)

    def _lose(self, worth: Worth, spans: int, why: str) -> None:
        """Counts what is lost, and tells why, once an hour for each reason."""
        self._lost[worth] += spans
        if spans and self._told.is_due(why, self._clock()):
            _LOG.warning("%d spans are lost: %s", spans, why)

    def _stumbled(self, error: Exception) -> None:
        """Tells what nobody foresaw, with where it was, once an hour for each."""
        if self._told.is_due(_named(error), self._clock()):
            _LOG.error("sending spans failed, and goes on: %s", _named(error), exc_info=error)

    def _finish(self) -> None:
        ends_at = self._clock() + self._pace.flush_s
        while (self._in_hand or len(self._lanes)) and not self._failures and self._clock() < ends_at:
            self._send_new()
        self._put_away()


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
