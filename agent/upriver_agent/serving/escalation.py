"""One request's way up: asked of one upstream, then of others beside it or after it, until one answers.

`resilience/race.py` decides; here its steps are taken. Everything runs on callbacks, so no thread waits for an
upstream. `done` is called exactly once.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

import grpc

from upriver import logs
from upriver.discovery.port import AgentRecord
from upriver.errors import Unreachable, UpriverError
from upriver.parameters import Reason
from upriver.tracing import EventName
from upriver_agent.cascade import failed_escalation
from upriver_agent.envelope import Envelope, envelope_to_metadata
from upriver_agent.reserve import MIN_S, escalation_timeout_s
from upriver_agent.resilience.race import Ask, Cancel, Cause, Denied, Form, Over, Race, Step, Wake, Why
from upriver_agent.resilience.watch import Change, Ending
from upriver_agent.serving.endings import Failed, read_ending
from upriver_agent.serving.outbound import Outbound, Outgoing
from upriver_agent.serving.request import UpstreamAnswer
from upriver_agent.telemetry import EscalateSpan, QuestionTrace
from upriver_agent.upstream.guard import Effect, Permit
from upriver_agent.upstream.links import Link, PendingCall
from upriver_agent.upstream.timer import Appointment
from upriver_agent.upstream.upstreams import Upstreams

_LOG = logging.getLogger(__name__)

_ENDINGS = {Why.OVERTAKEN: Ending.OVERTAKEN, Why.GIVEN_UP: Ending.TIMED_OUT, Why.NEEDLESS: Ending.CUT_SHORT}
_WHY = {
    Why.OVERTAKEN: "another upstream answered before it",
    Why.GIVEN_UP: "it was waited for long enough",
    Why.NEEDLESS: "another upstream answered",
}
_EVENTS = {Cause.RETRY: EventName.RETRY, Cause.HEDGE: EventName.HEDGE}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an escalation: an answer, or why there is none; `gone` when the caller does not wait any more."""

    answer: UpstreamAnswer | None = None
    reason: Reason = Reason.UPSTREAM_DOWN
    gone: bool = False
    bytes_up: int = 0


@dataclass(slots=True)
class _Candidate:
    """An upstream that may be asked, and the place that was claimed with it."""

    record: AgentRecord
    permit: Permit | None = None


@dataclass(frozen=True, slots=True)
class _Try:
    """A call under way."""

    permit: Permit
    link: Link
    span: EscalateSpan
    pending: PendingCall
    ask: Ask[_Candidate]
    special: bool


class WayUp:
    """The escalation of one request; `deadline_s` is when its answer is due, by the clock of the upstreams' guard."""

    def __init__(
        self,
        upstreams: Upstreams,
        outbound: Outbound,
        envelope: Envelope,
        candidates: Iterator[AgentRecord],
        deadline_s: float,
        hop_delay_s: float,
        trace: QuestionTrace,
        done: Callable[[Outcome], None],
    ) -> None:
        self._upstreams = upstreams
        self._guard = upstreams.guard
        self._outbound = outbound
        self._model = outbound.escalation.model
        self._rows = outbound.escalation.rows
        self._envelope = envelope
        self._candidates = candidates
        self._deadline_s = deadline_s
        self._hop_delay_s = hop_delay_s
        self._trace = trace
        self._done = done
        self._lock = threading.Lock()  # of the race and of what it asks of us meanwhile
        self._race: Race[_Candidate] = Race(self._guard.hedging, deadline_s, self)
        self._tries: dict[int, _Try] = {}
        self._wakes: list[Appointment] = []
        self._answer: UpstreamAnswer | None = None
        self._gone = False
        self._envelope_bytes = _bytes_of(envelope_to_metadata(envelope))
        self._sent = 0

    def start(self) -> None:
        """Asks the first upstream."""
        if self._hop_delay_s <= 0:
            self._begin()
            return
        now = self._guard.now()
        self._upstreams.timer.at(min(now + self._hop_delay_s, max(now, self._deadline_s - MIN_S)), self._begin)

    def cancel(self) -> None:
        """The caller is gone: calls in flight are cancelled, so that the tiers above stop too."""
        with self._lock:
            self._gone = not self._race.over
            steps = self._race.leave()
        self._take(steps)

    # What the race asks, with the lock held.

    def next(self) -> _Candidate | None:
        """The next upstream in order."""
        record = next(self._candidates, None)
        return None if record is None else _Candidate(record)

    def form(self, candidate: _Candidate, time_left_s: float) -> Form:
        """What is known of an upstream."""
        reserve_s = self._upstreams.links.to(candidate.record).reserve_s
        return Form(escalation_timeout_s(time_left_s, reserve_s), *self._guard.usual_s(candidate.record))

    def begin(self, candidate: _Candidate) -> Reason | None:
        """Claims a place with an upstream, if the question may still send what it would take."""
        bounded = self._envelope.byte_budget is not None
        if bounded and self._over_budget(self._outgoing(candidate.record).size):
            self._trace.event(EventName.HELD_BACK, candidate.record.agent, Reason.BYTE_BUDGET)
            return Reason.BYTE_BUDGET
        permit = self._guard.begin(candidate.record)
        if isinstance(permit, Reason):
            self._trace.event(EventName.HELD_BACK, candidate.record.agent, permit)
            return permit
        candidate.permit = permit
        return None

    def is_trial(self, candidate: _Candidate) -> bool:
        """Whether an upstream that was left alone is being tried."""
        return candidate.permit is not None and candidate.permit.trial

    def release(self, candidate: _Candidate) -> None:
        """Gives an unused place back."""
        if candidate.permit is not None:
            self._guard.ended(candidate.permit, Ending.CUT_SHORT)
            candidate.permit = None

    def afford(self) -> bool:
        """Takes a second try out of the budgets: the agent's, and the bytes that this question may still send."""
        return not self._over_budget(self._outbound.least) and self._guard.afford()

    def _over_budget(self, message_bytes: int) -> bool:
        budget = self._envelope.byte_budget
        return budget is not None and self._sent + message_bytes + self._envelope_bytes > budget

    def _outgoing(self, record: AgentRecord) -> Outgoing:
        return self._outbound.to(self._upstreams.links.to(record).reads(self._model))

    # Events.

    def _begin(self) -> None:
        with self._lock:
            steps = self._race.start(self._guard.now())
        self._take(steps)

    def _woken(self, number: int, patient: bool) -> None:
        with self._lock:
            steps = self._race.woken(number, patient, self._guard.now())
        self._take(steps)

    def _failed(self, number: int, failure: UpriverError) -> None:
        with self._lock:
            steps = self._race.failed(number, failure, self._guard.now())
        self._take(steps)

    # Steps.

    def _take(self, steps: list[Step[_Candidate]]) -> None:
        for step in steps:
            match step:
                case Ask():
                    self._ask_safely(step)
                case Wake():
                    wake = partial(self._woken, step.number, step.patient)
                    self._wakes.append(self._upstreams.timer.at(step.at_s, wake))
                case Cancel():
                    self._drop(step)
                case Denied():
                    self._trace.event(EventName.BUDGET_EMPTY)
                case Over():
                    self._finish(step.winner)
                case _:
                    assert_never(step)

    def _ask_safely(self, ask: Ask[_Candidate]) -> None:
        # The caller of a callback swallows what it raises, and then nobody would ever answer the question.
        try:
            self._ask(ask)
        except Exception as error:  # noqa: BLE001 - told, logged, and the next upstream is asked
            if not isinstance(error, ValueError):  # the channel was closed: we are ending, or the link was pruned
                about = logs.about(self._trace.trace_id, self._envelope.question)
                _LOG.exception("%s could not be asked", ask.candidate.record.agent, extra=about)
            self.release(ask.candidate)
            self._failed(ask.number, Unreachable(str(error)))

    def _ask(self, ask: Ask[_Candidate]) -> None:
        record, permit = ask.candidate.record, ask.candidate.permit
        assert permit is not None  # noqa: S101 - the race asks those that it has claimed
        if self._race.over:
            self.release(ask.candidate)
            return
        if permit.trial:
            self._trace.event(EventName.BREAKER_TRIAL, record.agent)
        if ask.cause in _EVENTS:
            self._trace.event(_EVENTS[ask.cause], record.agent)
        link = self._upstreams.links.to(record)
        with self._lock:
            outgoing = self._outgoing(record)
            metadata = self._travelling(outgoing)
            size = outgoing.size + _bytes_of(metadata)
            self._sent += size
        span = self._trace.escalate(record.agent, record.tier, self._rows)
        traced = span.metadata()
        span.sends(size + _bytes_of(traced))
        try:
            pending = link.send(outgoing.message, (*metadata, *traced), ask.timeout_s)
        except ValueError as error:
            span.failed(Reason.UPSTREAM_DOWN, str(error))
            raise
        self._guard.asked(ask.cause, size + _bytes_of(traced), record.agent)
        made = _Try(permit, link, span, pending, ask, outgoing.special)
        with self._lock:
            self._tries[ask.number] = made
            self._sent += _bytes_of(traced)
            over = self._race.over
        if over:
            self._drop(Cancel(ask.number, Why.NEEDLESS))
        pending.add_done_callback(lambda call: self._settle(call, made))

    def _travelling(self, outgoing: Outgoing) -> tuple[tuple[str, str], ...]:
        """The envelope's metadata: what this message and the tries before it take is off the byte budget."""
        budget = self._envelope.byte_budget
        if budget is None:
            return envelope_to_metadata(self._envelope)
        left = budget - self._sent - outgoing.size - self._envelope_bytes
        return envelope_to_metadata(replace(self._envelope, byte_budget=max(0, left)))

    def _drop(self, step: Cancel) -> None:
        made = self._tries.pop(step.number, None)
        if made is None:
            return
        made.pending.cancel()
        why = "the caller is gone" if self._gone else _WHY[step.why]
        self._ended(made, _ENDINGS[step.why], Unreachable(f"cancelled: {why}"))

    def _finish(self, winner: int | None) -> None:
        for wake in self._wakes:
            wake.cancel()
        if self._gone:
            self._done(Outcome(gone=True, bytes_up=self._sent))
        elif winner is not None and self._answer is not None:
            self._done(Outcome(answer=self._answer, bytes_up=self._sent))
        else:
            self._done(Outcome(reason=_reason(self._race), bytes_up=self._sent))

    # How calls end.

    def _settle(self, call: PendingCall, made: _Try) -> None:
        made.link.settled()
        if self._tries.pop(made.ask.number, None) is None:
            return  # dropped already
        agent, question = made.link.record.agent, self._envelope.question
        found = read_ending(call, self._rows, agent, self._trace.trace_id, question)
        if isinstance(found, Failed):
            self._unanswered(found, made)
        else:
            self._answered(found, made)

    def _answered(self, answer: UpstreamAnswer, made: _Try) -> None:
        self._ended(made, Ending.ANSWERED, None)
        made.link.heard(self._model, answer.reads)
        made.link.learn(self._guard.now() - made.permit.since, answer.served_ns / 1e9)
        made.span.done(answer.answers.facts)
        with self._lock:
            steps = self._race.answered(made.ask.number)
            if steps:
                self._answer = answer
        if steps:
            self._guard.won(made.ask.cause)
        self._take(steps)

    def _unanswered(self, failed: Failed, made: _Try) -> None:
        ending = failed.ending
        if made.special and failed.code is grpc.StatusCode.INVALID_ARGUMENT:
            made.link.heard(self._model, frozenset())  # another program may run there by now, that reads less
        if ending is Ending.TIMED_OUT and not self._guard.was_patient(made.permit.record, made.ask.timeout_s):
            ending = Ending.CUT_SHORT
        self._ended(made, ending, failed.failure)
        self._failed(made.ask.number, failed.failure)

    def _ended(self, made: _Try, ending: Ending, failure: UpriverError | None) -> None:
        record = made.permit.record
        effect = self._guard.ended(made.permit, ending, self._upstreams.peers)
        if failure is not None:
            made.span.failed(failed_escalation([failure]), str(failure))
        if effect.change is not None or effect.ejected:
            self._tell(effect, record.agent)

    def _tell(self, effect: Effect, agent: str) -> None:
        if effect.change is not None:
            opened = effect.change is Change.OPENED
            self._trace.event(EventName.BREAKER_OPENED if opened else EventName.BREAKER_CLOSED, agent)
        for name in effect.ejected:
            self._trace.event(EventName.EJECTED, name)


def _bytes_of(metadata: Sequence[tuple[str, str]]) -> int:
    return sum(len(key) + len(value) for key, value in metadata)


def _reason(race: Race[_Candidate]) -> Reason:
    """Why no upstream answered."""
    if race.failures:
        return failed_escalation(race.failures)
    for reason in (Reason.BYTE_BUDGET, Reason.UPSTREAM_FULL):
        if reason in race.obstacles:
            return reason
    return Reason.BREAKER_OPEN if race.obstacles else Reason.UPSTREAM_DOWN
