"""One request's way up: from candidate to candidate until one answers, time is up or the caller is gone.

Everything here runs on callbacks, so no thread waits for an upstream. `done` is called exactly once.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc

from upriver.discovery.port import AgentRecord
from upriver.errors import CallerGone, DeadlineExpired, InvalidInput, QueueFull, Unreachable, UpriverError
from upriver.parameters import Reason
from upriver_agent import wire
from upriver_agent.cascade import failed_escalation
from upriver_agent.envelope import Envelope, envelope_to_metadata
from upriver_agent.merge import AnswerInvalid
from upriver_agent.reserve import escalation_timeout_s
from upriver_agent.serving.request import UpstreamAnswer
from upriver_agent.telemetry import EscalateSpan, QuestionTrace
from upriver_agent.upstream.links import Escalation, Link, Links, PendingCall

_LOG = logging.getLogger(__name__)

_KINDS: dict[grpc.StatusCode | None, type[UpriverError]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExpired,
    grpc.StatusCode.RESOURCE_EXHAUSTED: QueueFull,
    grpc.StatusCode.UNAVAILABLE: Unreachable,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an escalation: an answer, or why there is none; `gone` when the caller does not wait any more."""

    answer: UpstreamAnswer | None = None
    reason: Reason = Reason.UPSTREAM_DOWN
    gone: bool = False
    bytes_up: int = 0


class WayUp:
    """The escalation of one request."""

    def __init__(
        self,
        links: Links,
        escalation: Escalation,
        envelope: Envelope,
        candidates: Iterator[AgentRecord],
        deadline_s: float,
        hop_delay_s: float,
        trace: QuestionTrace,
        done: Callable[[Outcome], None],
    ) -> None:
        self._links = links
        self._rows = escalation.rows
        self._message = wire.write_request(
            escalation.model, escalation.id, escalation.inputs, escalation.parameters, escalation.rows > 1
        )
        self._metadata = envelope_to_metadata(envelope)
        self._bytes = self._message.ByteSize() + sum(len(key) + len(value) for key, value in self._metadata)
        self._candidates = candidates
        self._deadline_s = deadline_s
        self._hop_delay_s = hop_delay_s
        self._trace = trace
        self._done = done
        self._lock = threading.Lock()
        self._pending: PendingCall | None = None
        self._over = False
        self._sent = 0
        self._failures: list[UpriverError] = []

    def start(self) -> None:
        """Asks the first candidate."""
        if self._hop_delay_s <= 0:
            self._next()
            return
        timer = threading.Timer(self._hop_delay_s, self._next)
        timer.daemon = True
        timer.start()

    def cancel(self) -> None:
        """The caller is gone: the call in flight is cancelled, so that the tiers above stop too."""
        with self._lock:
            if self._over:
                return
            self._over = True  # before the call is cancelled: its callback must not go on to the next candidate
            pending = self._pending
        if pending is not None:
            pending.cancel()
        self._done(Outcome(gone=True, bytes_up=self._sent))

    def _next(self) -> None:
        while not self._over:
            record = next(self._candidates, None)
            if record is None or any(isinstance(failure, DeadlineExpired) for failure in self._failures):
                self._finish(Outcome(reason=failed_escalation(self._failures), bytes_up=self._sent))
                return
            link = self._links.to(record)
            timeout_s = escalation_timeout_s(self._deadline_s - time.monotonic(), link.reserve_s)
            if timeout_s <= 0:
                self._failures.append(DeadlineExpired("no time left to ask an upstream"))
                continue
            if self._ask(link, timeout_s):
                return

    def _ask(self, link: Link, timeout_s: float) -> bool:
        span = self._trace.escalate(link.record.agent, link.record.tier, self._rows, self._bytes)
        started = time.monotonic()
        try:
            pending = link.send(self._message, (*self._metadata, *span.metadata()), timeout_s)
        except ValueError as error:  # the channel was closed: the agent is going away or the link was pruned
            self._fail(Unreachable(str(error)), link, span)
            return False
        self._sent += self._bytes
        with self._lock:
            self._pending = pending
            over = self._over
        if over:
            pending.cancel()
        pending.add_done_callback(lambda call: self._settle(call, link, span, started))
        return True

    def _settle(self, call: PendingCall, link: Link, span: EscalateSpan, started: float) -> None:
        # grpc swallows what its callbacks raise, and then nobody would ever answer the caller.
        try:
            self._answered(call, link, span, started)
        except Exception as error:  # noqa: BLE001 - told, logged, and the caller gets the own answer
            _LOG.exception("an escalation to %s could not be settled", link.record.agent)
            self._failures.append(Unreachable(f"settling the escalation failed: {error}"))
            self._finish(Outcome(reason=Reason.UPSTREAM_DOWN, bytes_up=self._sent))

    def _answered(self, call: PendingCall, link: Link, span: EscalateSpan, started: float) -> None:
        link.settled()
        if self._over:
            span.failed(Reason.UPSTREAM_DOWN, "cancelled: the caller is gone")
            return
        try:
            answer = wire.read_answer(call.result(), self._rows)
        except grpc.FutureCancelledError:
            self._fail(CallerGone("the call was cancelled"), link, span)
        except grpc.RpcError as error:
            self._fail(_kind_of(error), link, span)
        except (InvalidInput, AnswerInvalid) as error:
            self._fail(Unreachable(f"its answer can't be used: {error}"), link, span)
            _LOG.warning("upstream %s gave an answer that can't be used: %s", link.record.agent, error)
        else:
            link.learn(time.monotonic() - started, answer.served_ns / 1e9)
            span.done(answer.answers.facts)
            self._finish(Outcome(answer=answer, bytes_up=self._sent))
            return
        self._next()

    def _fail(self, failure: UpriverError, link: Link, span: EscalateSpan) -> None:
        self._failures.append(failure)
        span.failed(failed_escalation([failure]), str(failure))

    def _finish(self, outcome: Outcome) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        self._done(outcome)


def _kind_of(error: grpc.RpcError) -> UpriverError:
    if not isinstance(error, grpc.Call):
        return Unreachable(str(error))
    code = error.code()
    if code not in _KINDS:
        _LOG.warning("an upstream refused an escalation: %s: %s", code.name, error.details())
    return _KINDS.get(code, Unreachable)(f"{code.name}: {error.details()}")
