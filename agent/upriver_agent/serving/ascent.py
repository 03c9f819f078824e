"""What happens with a request that is not answered here at once: rows go up, what comes back is put into its place.

Rows that could not go up keep the own answer, with the reason.
"""

import math
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from upriver.errors import CallerGone, UpriverError
from upriver.parameters import Mode, Reason
from upriver.scores import Floats
from upriver.tensors import Array
from upriver.tracing import EventName
from upriver_agent.cascade import Decision, decide, stay
from upriver_agent.coin import number_of, question_id
from upriver_agent.envelope import Envelope, first_envelope, is_unsifted, next_envelope, options_to_parameters
from upriver_agent.merge import AnswerInvalid, Answers, merge
from upriver_agent.place import Place
from upriver_agent.predictor import Prediction
from upriver_agent.reads import FUSED, ZSTD, join_reads
from upriver_agent.serving.escalation import Outcome, WayUp
from upriver_agent.serving.fusing import Joint, said
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.outbound import Outbound, rows_of, size_of
from upriver_agent.serving.own_answer import OwnAnswers
from upriver_agent.serving.packing import Packer
from upriver_agent.serving.request import Below, Call, InferAnswer, InferRequest, TicketOffice
from upriver_agent.telemetry import Marks, Origin, ParentContext, QuestionTrace, Stop, Telemetry
from upriver_agent.upstream.links import Escalation
from upriver_agent.upstream.upstreams import Upstreams

if TYPE_CHECKING:
    from upriver_agent.serving.meter import Meter


@dataclass(frozen=True, slots=True)
class CascadeRules:
    """The configured bounds of escalation; `trust_network` takes envelopes from anyone who reaches the port."""

    max_hops: int
    trust_network: bool
    byte_budget: int | None
    default_timeout_s: float
    hop_delay_s: float
    compress: bool = True


@dataclass(slots=True)
class Inquiry:
    """A request on its way through this agent; `usual` is the threshold that holds while there is no alarm.

    `prediction` and `confidence` are fused when the policy fuses: `joint` has both sides of that then.
    """

    request: InferRequest
    call: Call
    loaded: LoadedVersion
    arrays: dict[str, Array]
    rows: int
    envelope: Envelope | None
    parent: ParentContext | None
    marks: Marks
    prediction: Prediction
    confidence: Floats
    usual: float
    joint: Joint | None = None

    @property
    def fused(self) -> NDArray[np.bool_] | None:
        """Which rows are fused, [rows]; None when none can be."""
        return None if self.joint is None else self.joint.rows

    @property
    def said_here(self) -> Prediction:
        """What this version alone says."""
        return self.prediction if self.joint is None else self.joint.own

    @property
    def source(self) -> str:
        """Who asked us: the agent below, or else the caller."""
        if self.envelope is not None and self.envelope.visited:
            return f"agent {self.envelope.visited[-1]}"
        return self.call.caller()

    @property
    def said_below(self) -> Sequence[Below]:
        """What was said below, by a messenger that is to be believed."""
        return self.request.below if self.envelope is not None else ()


class Ascent:
    """Takes requests up from the agent at `place`."""

    def __init__(
        self,
        place: Place,
        rules: CascadeRules,
        own: OwnAnswers,
        upstreams: Upstreams,
        telemetry: Telemetry,
        numbers: Iterator[int],
        tickets: TicketOffice | None = None,
    ) -> None:
        """`numbers` gives questions that clients bring their numbers; see `coin`."""
        self._place = place
        self._rules = rules
        self._own = own
        self._upstreams = upstreams
        self._telemetry = telemetry
        self._numbers = numbers
        self._tickets = tickets
        self._packer = Packer(rules.compress)

    def _row_bytes(self, inquiry: Inquiry) -> int:
        model, arrays = inquiry.loaded.model, inquiry.arrays.items()
        return sum(self._packer.least(model, name, size_of(array)) for name, array in arrays) // inquiry.rows

    def reads(self, loaded: LoadedVersion) -> str:
        """What agents below are told that we read: see `reads`."""
        terms = {FUSED, *self._upstreams.links.wanted(loaded.model)}
        if self._packer.able:
            terms.add(ZSTD)
        if loaded.policy.document.fusion is not None:
            terms.update(loaded.policy.document.fusion.weights)
        return join_reads(terms)

    def take(self, inquiry: Inquiry, threshold: float) -> "InferAnswer | Future[InferAnswer]":
        """Decides every row, and answers: at once when none goes up, else by a future."""
        request, loaded, confidence, marks = inquiry.request, inquiry.loaded, inquiry.confidence, inquiry.marks
        options = request.options
        envelope = inquiry.envelope
        if envelope is None:
            question = request.again or question_id(next(self._numbers), secrets.randbits(64))
            envelope = first_envelope(question, self._place.agent, self._rules.max_hops, self._rules.byte_budget)
        time_left_s = inquiry.call.time_left_s()
        upward = self._upstreams.look(time_left_s, self._row_bytes(inquiry))
        decision = decide(confidence, threshold, options, envelope, self._place, request.model, upward)
        marks.decided_ns = time.time_ns()
        answer = self._own.make(request, loaded, inquiry.prediction, confidence, decision, inquiry.fused)
        facts = answer.answers.facts
        stop = stop_of(request, loaded, inquiry.envelope)
        trace = self._telemetry.begin(inquiry.parent, marks, request.model, envelope.question, facts, threshold, stop)
        if inquiry.joint is not None and inquiry.joint.versions:
            trace.fused(inquiry.joint.versions)
        if _overruled(inquiry, threshold).any():
            trace.event(EventName.ALARM)
        if not len(decision.escalate):
            return self._finish(inquiry, envelope, answer, trace)
        return self._escalate(inquiry, envelope, decision, answer, trace, time_left_s)

    def toss(self, inquiry: Inquiry, number: int, envelope: Envelope | None, answers: Answers) -> None:
        """Has the coin tossed for a request that was answered so, unless it is none that may be audited.

        `envelope` is None for a question that has no id yet.
        """
        watch = inquiry.loaded.watch
        if watch is None or (envelope is not None and envelope.audit) or inquiry.request.options.mode is Mode.LOCAL:
            return
        watch.notice(
            inquiry.loaded,
            inquiry.request,
            inquiry.arrays,
            number,
            "" if envelope is None else envelope.question,
            () if envelope is None else envelope.rows,
            is_unsifted(inquiry.envelope),
            self._rules.byte_budget if envelope is None else envelope.byte_budget,
            inquiry.prediction,
            inquiry.confidence,
            answers,
        )

    def _escalate(
        self,
        inquiry: Inquiry,
        envelope: Envelope,
        decision: Decision,
        answer: InferAnswer,
        trace: QuestionTrace,
        time_left_s: float | None,
    ) -> "Future[InferAnswer]":
        request, loaded = inquiry.request, inquiry.loaded
        rows = decision.escalate
        inputs = [rows_of(request.inputs[name], array, rows) for name, array in inquiry.arrays.items()]
        if not envelope.audit:
            loaded.count_escalated(len(rows))
        escalation = Escalation(
            request.model,
            request.id,
            inputs,
            len(rows),
            options_to_parameters(request.options),
            partial(said, loaded, inquiry.said_below, inquiry.said_here, rows),
        )
        later: Future[InferAnswer] = Future()

        def done(outcome: Outcome) -> None:
            try:
                settled = self._settle(inquiry, envelope, decision, answer, trace, outcome)
            except BaseException as error:  # noqa: BLE001 - the future carries it to the caller
                if isinstance(error, UpriverError):
                    trace.fail(error)
                    if loaded.meter is not None:
                        loaded.meter.failed(error.reason, inquiry.rows)
                later.set_exception(error)
                return
            if isinstance(settled, Future):
                settled.add_done_callback(lambda ticketed: pass_on(ticketed, later))
            else:
                later.set_result(settled)

        way = WayUp(
            self._upstreams,
            Outbound(escalation, self._packer),
            next_envelope(
                envelope,
                self._place.agent,
                0,
                rows.tolist() if len(rows) < inquiry.rows else (),
                alarmed=loaded.alarmed,
            ),
            self._upstreams.candidates(request.model, request.options, envelope, loaded.policy.document.escalate_to),
            self._upstreams.guard.now() + (self._rules.default_timeout_s if time_left_s is None else time_left_s),
            self._rules.hop_delay_s,
            trace,
            done,
        )
        if not inquiry.call.on_end(way.cancel):
            way.cancel()  # the caller left before we could ask anybody
        else:
            way.start()
        return later

    def _settle(
        self,
        inquiry: Inquiry,
        envelope: Envelope,
        decision: Decision,
        answer: InferAnswer,
        trace: QuestionTrace,
        outcome: Outcome,
    ) -> "InferAnswer | Future[InferAnswer]":
        if outcome.gone:
            raise CallerGone("the caller cancelled or disconnected before the answer came")
        reason = outcome.reason
        merged = None
        if outcome.answer is not None:
            try:
                merged = merge(answer.answers, outcome.answer.answers, decision.escalate, self._place.agent).answers
            except AnswerInvalid as error:
                trace.note(f"the upstream's answer can't be used: {error}")
                reason = Reason.UPSTREAM_DOWN
            else:
                if self._tickets is not None:
                    self._tickets.reached(inquiry.request.model, outcome.answer.answers.facts)
        if merged is None:
            merged = self._own.make(
                inquiry.request,
                inquiry.loaded,
                inquiry.prediction,
                inquiry.confidence,
                stay(decision, reason),
                inquiry.fused,
            ).answers
        elif inquiry.loaded.pupil is not None and not envelope.audit:
            inquiry.loaded.pupil.hear(
                inquiry.loaded,
                envelope.question,
                envelope.rows,
                decision.escalate,
                inquiry.said_here,
                inquiry.confidence,
                merged,
                inquiry.request,
                inquiry.source,
                Origin(trace.trace_id, trace.span_id),
            )
        answer.answers = _blamed(merged, decision, inquiry)
        answer.bytes_up = outcome.bytes_up + (outcome.answer.bytes_up if outcome.answer is not None else 0)
        return self._finish(inquiry, envelope, answer, trace)

    def _finish(
        self, inquiry: Inquiry, envelope: Envelope, answer: InferAnswer, trace: QuestionTrace
    ) -> "InferAnswer | Future[InferAnswer]":
        answer.trace_id, answer.span_id = trace.trace_id, trace.span_id
        if inquiry.envelope is not None:
            answer.served_ns = time.time_ns() - inquiry.marks.start_ns
            answer.reads = self.reads(inquiry.loaded)
        facts = answer.answers.facts
        if inquiry.loaded.meter is not None:
            _measure(inquiry.loaded.meter, inquiry, answer)
        # What a ticket asks again is not audited: audits must not see a question twice, least of all a hard one. Nor
        # does it get another ticket; a question that an agent below sent has its touch point's; and who wants this
        # agent's own answer and no other (mode=local) does not wait for a disk.
        if inquiry.loaded.watch is not None and not inquiry.request.again:
            self.toss(inquiry, number_of(envelope.question), envelope, answer.answers)
        request = inquiry.request
        mine = inquiry.envelope is None and not request.again and request.options.mode is not Mode.LOCAL
        if self._tickets is None or not mine or all(row.resolved for row in facts):
            trace.finish(facts)
            return answer
        later: Future[InferAnswer] = Future()

        def issued(done: "Future[tuple[str, ...]]") -> None:
            answer.tickets = done.result()
            trace.ticketed(sum(map(bool, answer.tickets)))
            trace.finish(facts)
            later.set_result(answer)

        issue = self._tickets.issue(envelope.question, request, answer, inquiry.call.time_left_s())
        issue.add_done_callback(issued)
        return later


def stop_of(request: InferRequest, loaded: LoadedVersion, envelope: Envelope | None) -> Stop:
    """What spans tell of this agent's place on a question's way; `envelope` is what came with it."""
    return Stop(loaded.version.digest, 0 if envelope is None else len(envelope.visited), request.origin)


def _measure(meter: "Meter", inquiry: Inquiry, answer: InferAnswer) -> None:
    now_ns, marks = time.time_ns(), inquiry.marks
    meter.slow(
        now_ns - marks.start_ns,
        now_ns - marks.decided_ns if answer.bytes_up else 0,
        inquiry.confidence,
        answer.answers.facts,
        answer.trace_id,
        now_ns / 1e9,
    )


def pass_on(done: "Future[InferAnswer]", later: "Future[InferAnswer]") -> None:
    """Gives one future's outcome to another, whichever it is: whoever waits for it must not wait for ever."""
    error = done.exception()
    if error is not None:
        later.set_exception(error)
    else:
        later.set_result(done.result())


def _overruled(inquiry: Inquiry, threshold: float) -> NDArray[np.bool_]:
    """Which rows would have ended here if the alarm had not rung, [rows]."""
    alarmed = threshold > inquiry.usual and inquiry.request.options.mode is Mode.AUTO
    return (inquiry.confidence >= inquiry.usual) & (inquiry.confidence > -math.inf) & alarmed


def _blamed(answers: Answers, decision: Decision, inquiry: Inquiry) -> Answers:
    """The answers, with the alarm as the reason of those that went up because of it and were resolved above."""
    if not inquiry.loaded.alarmed:
        return answers
    overruled = _overruled(inquiry, math.inf)
    facts = list(answers.facts)
    for row in decision.escalate.tolist():
        if overruled[row] and facts[row].resolved and len(facts[row].path) > 1:
            facts[row] = facts[row]._replace(reason=Reason.ALARM)
    return replace(answers, facts=tuple(facts))
