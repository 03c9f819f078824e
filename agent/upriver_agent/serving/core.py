"""The serving core: a request comes in, its answer goes out, now or later, whatever the transport.

A local confident answer is made on the calling thread with no lock, log line, queue or span: check, infer, score,
compare, answer. Only what escalates, or a large model, leaves the thread, and then a future is given.
"""

import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.errors import CallerGone, UpriverError
from upriver.parameters import DEGRADED_REASONS, Reason
from upriver.scores import Floats
from upriver.tensors import Array, Tensor
from upriver_agent.cascade import LOCAL_ONE, Decision, decide, decide_alone, stay
from upriver_agent.envelope import Envelope, first_envelope, next_envelope, options_to_parameters, parse_envelope
from upriver_agent.merge import AnswerInvalid, Answers, RowFacts, merge
from upriver_agent.place import Place
from upriver_agent.policy import effective_threshold
from upriver_agent.predictor import Prediction
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.escalation import Outcome, WayUp
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.request import Call, InferAnswer, InferRequest, MetadataPairs
from upriver_agent.serving.slots import Slots
from upriver_agent.telemetry import Marks, ParentContext, QuestionTrace, Telemetry
from upriver_agent.upstream.links import Escalation
from upriver_agent.upstream.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class CascadeRules:
    """The configured bounds of escalation; `trust_network` takes envelopes from anyone who reaches the port."""

    max_hops: int
    trust_network: bool
    byte_budget: int | None
    default_timeout_s: float
    hop_delay_s: float


@dataclass(slots=True)
class Inquiry:
    """A request on its way through this agent."""

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


class ServingCore:
    """Answers requests with the agent's own models, and asks upstream for the rows that they are not sure of."""

    def __init__(
        self,
        place: Place,
        rules: CascadeRules,
        slots: Slots,
        admission: Admission,
        upstreams: Upstreams,
        telemetry: Telemetry,
    ) -> None:
        self._place = place
        self._rules = rules
        self._slots = slots
        self._admission = admission
        self._upstreams = upstreams
        self._telemetry = telemetry
        self._path = (place.agent,)

    def infer(self, request: InferRequest, call: Call) -> "InferAnswer | Future[InferAnswer]":
        """Answers a request: at once when it can, else by a future that ends within the caller's deadline.

        Raises (or the future does) the errors of `upriver.errors`; a failed escalation is not one of them.
        """
        marks = Marks(time.time_ns())
        parent = None
        try:
            self._admission.enter()
        except UpriverError as error:
            self._telemetry.failed(self._telemetry.extract(call.metadata()), marks, request.model, error)
            raise
        try:
            metadata = call.metadata()
            parent = self._telemetry.extract(metadata)
            outcome = self._begin(request, call, metadata, parent, marks)
        except BaseException as error:
            self._admission.leave()
            if isinstance(error, UpriverError):
                self._telemetry.failed(parent, marks, request.model, error)
            raise
        if type(outcome) is InferAnswer:
            self._admission.leave()
            return outcome
        assert isinstance(outcome, Future)  # noqa: S101 - narrows the type; `type() is` above is the hot path's test
        outcome.add_done_callback(lambda _: self._admission.leave())
        return outcome

    def _begin(
        self,
        request: InferRequest,
        call: Call,
        metadata: MetadataPairs,
        parent: ParentContext | None,
        marks: Marks,
    ) -> "InferAnswer | Future[InferAnswer]":
        loaded = self._slots.active(request.model, request.version)
        rows, arrays = loaded.contract.check(request.inputs)
        envelope = self._envelope(metadata, call)
        marks.infer_start_ns = time.time_ns()
        found = loaded.predict(arrays, rows)
        if not isinstance(found, Future):
            return self._judge(request, call, loaded, arrays, rows, envelope, parent, marks, found)
        later: Future[InferAnswer] = Future()

        def predicted(done: "Future[Prediction]") -> None:
            try:
                if done.cancelled():
                    raise CallerGone("the caller cancelled or disconnected before the model was free")
                outcome = self._judge(request, call, loaded, arrays, rows, envelope, parent, marks, done.result())
            except BaseException as error:  # noqa: BLE001 - the future carries it to the caller
                if isinstance(error, UpriverError):
                    self._telemetry.failed(parent, marks, request.model, error)
                later.set_exception(error)
                return
            if isinstance(outcome, Future):
                outcome.add_done_callback(lambda answered: _pass_on(answered, later))
            else:
                later.set_result(outcome)

        found.add_done_callback(predicted)
        if not call.on_end(found.cancel):
            found.cancel()
        return later

    def _envelope(self, metadata: MetadataPairs, call: Call) -> Envelope | None:
        for key, _ in metadata:
            if key.startswith("upriver-"):
                if self._rules.trust_network or call.authenticated():
                    return parse_envelope(metadata, self._rules.max_hops)
                return None
        return None

    def _judge(
        self,
        request: InferRequest,
        call: Call,
        loaded: LoadedVersion,
        arrays: dict[str, Array],
        rows: int,
        envelope: Envelope | None,
        parent: ParentContext | None,
        marks: Marks,
        prediction: Prediction,
    ) -> "InferAnswer | Future[InferAnswer]":
        marks.infer_end_ns = time.time_ns()
        confidence = loaded.score(prediction)
        if loaded.shadow is not None:
            loaded.shadow.offer(arrays, rows, prediction)
        options = request.options
        threshold = effective_threshold(loaded.policy, options.min_confidence)
        decision = decide_alone(confidence, threshold, options)
        if decision is not None:
            marks.decided_ns = time.time_ns()
            answer = self._local(request, loaded, prediction, confidence, decision)
            if rows == 1 and loaded.fixed_outputs:
                answer.replies = loaded.replies
            if envelope is not None:
                answer.served_ns = marks.decided_ns - marks.start_ns
            if self._telemetry.wants_local(parent):
                answer.trace_id = self._telemetry.local(parent, marks, request.model, answer.answers.facts, threshold)
            return answer
        inquiry = Inquiry(request, call, loaded, arrays, rows, envelope, parent, marks, prediction, confidence)
        if envelope is None:
            question = f"q-{secrets.token_hex(8)}"
            envelope = first_envelope(question, self._place.agent, self._rules.max_hops, self._rules.byte_budget)
        row_bytes = sum(_size(array) for array in arrays.values()) // rows
        time_left_s = call.time_left_s()
        upward = self._upstreams.look(time_left_s, row_bytes)
        decision = decide(confidence, threshold, options, envelope, self._place, request.model, upward)
        marks.decided_ns = time.time_ns()
        answer = self._local(request, loaded, prediction, confidence, decision)
        trace = self._telemetry.begin(parent, marks, request.model, envelope.question, answer.answers.facts, threshold)
        if not len(decision.escalate):
            return self._finish(inquiry, envelope, answer, trace)
        return self._escalate(inquiry, envelope, decision, answer, trace, time_left_s)

    def _local(
        self,
        request: InferRequest,
        loaded: LoadedVersion,
        prediction: Prediction,
        confidence: Floats,
        decision: Decision,
    ) -> InferAnswer:
        form = loaded.form
        outputs = prediction.outputs
        if prediction.scores is not None and outputs[form.scores_output] is not prediction.scores:
            outputs = {**outputs, form.scores_output: prediction.scores}
        return InferAnswer(
            loaded.model,
            loaded.name,
            request.id,
            Answers(
                outputs,
                self._facts(loaded.policy.digest, confidence, decision),
                form.labels,
                form.scores_output,
                form.scores_are_logits,
                form.classes_output,
                form.whole,
            ),
            request.outputs,
        )

    def _facts(self, policy: str, confidence: Floats, decision: Decision) -> tuple[RowFacts, ...]:
        place, path = self._place, self._path
        if decision is LOCAL_ONE:
            return (RowFacts(place.agent, place.tier, confidence.item(), True, Reason.CONFIDENT, False, path, policy),)
        return tuple(
            RowFacts(
                place.agent,
                place.tier,
                value,
                resolved,
                reason if reason is not None else Reason.UPSTREAM_DOWN,  # replaced when the escalation ends
                reason in DEGRADED_REASONS,
                path,
                policy,
            )
            for value, resolved, reason in zip(
                confidence.tolist(), decision.resolved.tolist(), decision.reasons, strict=True
            )
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
        request = inquiry.request
        rows = decision.escalate
        inputs = [_rows_of(request.inputs[name], array, rows) for name, array in inquiry.arrays.items()]
        sent_bytes = sum(_size(tensor.array) for tensor in inputs)
        inquiry.loaded.count_escalated(len(rows))
        escalation = Escalation(request.model, request.id, inputs, len(rows), options_to_parameters(request.options))
        later: Future[InferAnswer] = Future()

        def done(outcome: Outcome) -> None:
            try:
                later.set_result(self._settle(inquiry, envelope, decision, answer, trace, outcome))
            except BaseException as error:  # noqa: BLE001 - the future carries it to the caller
                if isinstance(error, UpriverError):
                    trace.fail(error)
                later.set_exception(error)

        way = WayUp(
            self._upstreams.links,
            escalation,
            next_envelope(envelope, self._place.agent, sent_bytes),
            self._upstreams.candidates(request.model, request.options, envelope),
            time.monotonic() + (self._rules.default_timeout_s if time_left_s is None else time_left_s),
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
    ) -> InferAnswer:
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
        if merged is None:
            merged = self._local(
                inquiry.request, inquiry.loaded, inquiry.prediction, inquiry.confidence, stay(decision, reason)
            ).answers
        answer.answers = merged
        answer.bytes_up = outcome.bytes_up + (outcome.answer.bytes_up if outcome.answer is not None else 0)
        return self._finish(inquiry, envelope, answer, trace)

    def _finish(self, inquiry: Inquiry, envelope: Envelope, answer: InferAnswer, trace: QuestionTrace) -> InferAnswer:
        answer.trace_id = trace.trace_id
        if inquiry.envelope is not None:
            answer.served_ns = time.time_ns() - inquiry.marks.start_ns
        if not all(row.resolved for row in answer.answers.facts):
            answer.ticket = envelope.question
        trace.finish(answer.answers.facts)
        return answer


def _pass_on(done: "Future[InferAnswer]", later: "Future[InferAnswer]") -> None:
    error = done.exception()
    if error is not None:
        later.set_exception(error)
    else:
        later.set_result(done.result())


def _rows_of(tensor: Tensor, array: Array, rows: NDArray[np.intp]) -> Tensor:
    return tensor if len(rows) == array.shape[0] else Tensor(tensor.name, tensor.datatype, array[rows])


def _size(array: Array) -> int:
    if array.dtype.kind == "O":
        return sum(len(item) for item in array.reshape(-1))
    return array.nbytes
