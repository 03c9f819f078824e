"""The serving core: a request comes in, its answer goes out, now or later, whatever the transport.

A local confident answer is made on the calling thread with no lock, log line, queue or span: check, infer, score,
compare, answer. Only what escalates, or a large model, leaves the thread, and then a future is given.
"""

import math
import secrets
import time
from concurrent.futures import Future

from upriver.errors import CallerGone, InvalidInput, UpriverError
from upriver.parameters import META_ROWS, META_VISITED
from upriver.tensors import Array
from upriver.tracing import TRACEPARENT
from upriver_agent.cascade import decide_alone
from upriver_agent.coin import draw, number_of, numbers
from upriver_agent.envelope import MAX_AGENT_ID, Envelope, parse_envelope
from upriver_agent.place import Place
from upriver_agent.policy import effective_threshold
from upriver_agent.predictor import Prediction
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.ascent import Ascent, CascadeRules, Inquiry, pass_on, stop_of
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.own_answer import OwnAnswers
from upriver_agent.serving.request import Call, InferAnswer, InferRequest, MetadataPairs, TicketOffice
from upriver_agent.serving.slots import Slots
from upriver_agent.telemetry import Marks, ParentContext, Telemetry
from upriver_agent.upstream.upstreams import Upstreams


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
        tickets: TicketOffice | None = None,
    ) -> None:
        self._rules = rules
        self._slots = slots
        self._admission = admission
        self._telemetry = telemetry
        self._chance, self._rate = telemetry.chance, telemetry.rate
        self._own = OwnAnswers(place)
        self._numbers = numbers(secrets.randbits(64))
        self._ascent = Ascent(place, rules, self._own, upstreams, telemetry, self._numbers, tickets)

    def infer(self, request: InferRequest, call: Call) -> "InferAnswer | Future[InferAnswer]":
        """Answers a request: at once when it can, else by a future that ends within the caller's deadline.

        Raises (or the future does) the errors of `upriver.errors`; a failed escalation is not one of them.
        """
        marks = Marks(time.time_ns())
        parent = None
        scarce = None
        try:
            if not self._admission.enter():
                scarce = self._admission.enter_as(self._caller(call))
        except UpriverError as error:
            self._telemetry.failed(self._telemetry.extract(call.metadata()), marks, request.model, error)
            raise
        try:
            metadata = call.metadata()
            for key, _ in metadata:
                if key == TRACEPARENT:
                    parent = self._telemetry.extract(metadata)
                    break
            outcome = self._begin(request, call, metadata, parent, marks)
        except BaseException as error:
            self._admission.leave(scarce)
            if isinstance(error, UpriverError):
                self._telemetry.failed(parent, marks, request.model, error)
            raise
        if type(outcome) is InferAnswer:
            self._admission.leave(scarce)
            return outcome
        assert isinstance(outcome, Future)  # noqa: S101 - narrows the type; `type() is` above is the hot path's test
        outcome.add_done_callback(lambda _: self._admission.leave(scarce))
        return outcome

    def again(self, request: InferRequest, call: Call) -> "InferAnswer | Future[InferAnswer]":
        """Answers a question that a ticket asks again, as `infer` does but for admission: places are for callers.

        Who asks so bounds how many there are.
        """
        return self._begin(request, call, (), None, Marks(time.time_ns()))

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
        if envelope is not None:
            if envelope.rows and len(envelope.rows) != rows:
                raise InvalidInput(f"metadata {META_ROWS!r} names {len(envelope.rows)} rows: expected {rows}")
            if envelope.audit:
                self._admission.spare()
            else:
                self._admission.escalated(envelope.visited[-1], rows)
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
                outcome.add_done_callback(lambda answered: pass_on(answered, later))
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

    def _caller(self, call: Call) -> str:
        """Who asks, as far as that can be known: who proved it, the agent below, or an address."""
        if self._rules.trust_network and not call.authenticated():
            for key, value in call.metadata():
                if key == META_VISITED and isinstance(value, str):
                    return f"agent {value.rpartition(',')[2][:MAX_AGENT_ID]}"
        return call.caller()

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
        joint = None
        if loaded.fuse is not None:
            joint = loaded.fuse(prediction, confidence, request.below if envelope is not None else ())
            prediction, confidence = joint.prediction, joint.confidence
        options = request.options
        threshold = usual = effective_threshold(loaded.policy, options.min_confidence)
        watch = loaded.watch
        if watch is not None and watch.alarmed:
            threshold = math.inf
        decision = decide_alone(confidence, threshold, options)
        if decision is not None:
            marks.decided_ns = time.time_ns()
            meter = loaded.meter
            if meter is not None:
                meter.local(marks.decided_ns - marks.start_ns, confidence)
            answer = self._own.make(
                request, loaded, prediction, confidence, decision, None if joint is None else joint.rows
            )
            if rows == 1 and loaded.fixed_outputs and joint is None:
                answer.replies = loaded.replies
            if envelope is not None:
                answer.served_ns = marks.decided_ns - marks.start_ns
                answer.reads = self._ascent.reads(loaded)
            if self._chance() < self._rate if parent is None else self._telemetry.caller_wants(parent):
                answer.trace_id = self._telemetry.local(
                    parent,
                    marks,
                    request.model,
                    answer.answers.facts,
                    threshold,
                    () if joint is None else joint.versions,
                    stop_of(request, loaded, envelope),
                )
            if watch is not None and not request.again:
                number = next(self._numbers) if envelope is None else number_of(envelope.question)
                if rows > 1 or draw(number) < watch.limit or (envelope is not None and envelope.rows):
                    inquiry = Inquiry(
                        request,
                        call,
                        loaded,
                        arrays,
                        rows,
                        envelope,
                        parent,
                        marks,
                        prediction,
                        confidence,
                        usual,
                        joint,
                    )
                    self._ascent.toss(inquiry, number, envelope, answer.answers)
            return answer
        inquiry = Inquiry(
            request, call, loaded, arrays, rows, envelope, parent, marks, prediction, confidence, usual, joint
        )
        return self._ascent.take(inquiry, threshold)
