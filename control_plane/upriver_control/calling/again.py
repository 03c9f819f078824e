"""Asks a question again, of an agent or of a version that is run here. Nothing is learnt from the answer.

An agent is asked with `upriver.mode = local`: it answers by itself, gives no ticket, and neither audits nor teaches.
"""

import asyncio
import hashlib
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from google.protobuf.duration_pb2 import Duration
from opentelemetry import trace as otel
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from upriver import parameters as names
from upriver import tracing
from upriver.errors import (
    DeadlineExpired,
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotLoaded,
    NotFound,
    NotNow,
    QueueFull,
    Unreachable,
)
from upriver.oip.v2 import inference_pb2 as oip
from upriver.parameters import Mode
from upriver.policies import read_policy
from upriver.request import parse_response
from upriver.tracing import Attribute, SpanName
from upriver.v1 import question_pb2 as pb
from upriver.v1 import train_pb2
from upriver_control.calling.asked import Asked, Calls, Inputs
from upriver_control.calling.choice import who_answers
from upriver_control.calling.handed import label_of, request_of
from upriver_control.calling.methods import MODEL_INFER
from upriver_control.calling.own_answer import ME, OwnAnswer
from upriver_control.observed import AgentFacts, SlotFacts
from upriver_control.spans.facts import LinkFacts
from upriver_control.store.records import StoredVersion, read_version_name
from upriver_control.working.threads import whole

ASK_S: Final = 30.0
TRIES: Final = 3
"""Agents of a tier that are asked, one after the other, while they can't answer."""
WAITING: Final = 4
"""Questions that wait for a version to be run; one is at a time."""
_NOT_THERE: Final = (Unreachable, Draining, QueueFull, DeadlineExpired, ModelNotFound, ModelNotLoaded)


class Versions(Protocol):
    """As `RegistryStore` has them; blocks."""

    def version(self, model: str, version: str) -> StoredVersion:
        """A version by its name or alias; raises NotFound."""
        ...

    def by_digest(self, digest: str) -> StoredVersion:
        """A version by its digest; raises NotFound."""
        ...


class Running(Protocol):
    """As `VersionAnswers` runs versions; blocks."""

    def answer(self, version: StoredVersion, inputs: list[train_pb2.HandedInput]) -> OwnAnswer:
        """One row's answer; raises UpriverError."""
        ...


class Telling(Protocol):
    """As `OwnSpans` tells."""

    def ids(self, about: str) -> LinkFacts:
        """The trace and span of what is told of this."""
        ...

    def tell(
        self,
        name: SpanName,
        about: str,
        times: tuple[int, int],
        attributes: Mapping[str, str | int | float | bool],
        questions: Sequence[LinkFacts] = (),
    ) -> bytes:
        """Keeps a span."""
        ...


class AskedAgain:
    """Asks `agents`, which are all that are known, and versions of the registry."""

    def __init__(
        self,
        calls: Calls,
        agents: Callable[[], Iterable[AgentFacts]],
        inputs: Inputs,
        versions: Versions,
        running: Running,
        spans: Telling,
    ) -> None:
        self._calls = calls
        self._agents = agents
        self._inputs = inputs
        self._versions = versions
        self._running = running
        self._spans = spans
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def ask(self, asked: Asked, request: pb.AskAgainRequest) -> pb.AskAgainResponse:
        """Another answer, and a span of its own that links to the question.

        Raises NotNow when the input is not to be had, InvalidInput for a version of another model or a row that there
        is not, NotFound, and what those say who are asked.
        """
        found = await self._inputs.find(asked, request.row)
        if found.unavailable:
            raise NotNow(f"the question can't be asked again: {found.unavailable}")
        about = f"again {asked.trace} {secrets.token_hex(16)}"
        begun = time.time_ns()
        match request.WhichOneof("whom"):
            case "version":
                response = await self._by_version(asked, request.version, list(found.inputs))
            case "tier":
                response = await self._by_tier(asked, request.tier, found.inputs, about)
            case "agent":
                response = await self._by_agent(asked, request.agent, found.inputs, about)
            case _:
                raise InvalidInput("whom is empty: expected a version, a tier or an agent")
        response.trace = self._told(asked, request.row, response, about, (begun, time.time_ns()))
        return response

    async def _by_version(self, asked: Asked, name: str, inputs: list[train_pb2.HandedInput]) -> pb.AskAgainResponse:
        model, version = read_version_name(name)
        if model != asked.model:
            raise InvalidInput(f"version is {name!r}; expected one of model {asked.model!r}, which was asked")
        stored = await asyncio.to_thread(self._versions.version, model, version)
        if self._waiting >= WAITING:
            raise QueueFull(f"{WAITING} questions wait for a version to answer them; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                made = await whole(self._running.answer, stored, inputs)
        finally:
            self._waiting -= 1
        response = _response(made.message, ME, made.seconds)
        response.score = made.score
        if made.threshold is not None:
            response.threshold = made.threshold
        return response

    async def _by_tier(
        self, asked: Asked, tier: str, inputs: Iterable[train_pb2.HandedInput], about: str
    ) -> pb.AskAgainResponse:
        candidates = who_answers(self._agents(), tier, asked.model)
        if not candidates:
            raise NotNow(f"no agent of tier {tier!r} is connected that could be asked for model {asked.model!r}")
        problems: list[str] = []
        for agent in candidates[:TRIES]:
            try:
                return await self._by_agent(asked, agent, inputs, about)
            except _NOT_THERE as error:
                problems.append(str(error))
        raise Unreachable(f"no agent of tier {tier!r} answered: {'; '.join(problems)}")

    async def _by_agent(
        self, asked: Asked, agent: str, inputs: Iterable[train_pb2.HandedInput], about: str
    ) -> pb.AskAgainResponse:
        message = request_of(asked.model, inputs)
        message.parameters[names.MODE].string_param = Mode.LOCAL.value
        begun = time.monotonic()
        answer = await self._calls.call(agent, MODEL_INFER, message, ASK_S, _metadata(self._spans.ids(about)))
        response = _response(answer, agent, time.monotonic() - begun)
        policy = answer.parameters[names.POLICY].string_param if names.POLICY in answer.parameters else ""
        threshold = await self._threshold(agent, asked.model, policy)
        if threshold is not None:
            response.threshold = threshold
        return response

    async def _threshold(self, agent: str, model: str, policy: str) -> float | None:
        """The threshold of the policy that an agent answered by; None where it is none that is known of its slot."""
        facts = next((one for one in self._agents() if one.agent == agent), None)
        slot = None if facts is None else facts.slots.get(model)
        if slot is None or not policy:
            return None
        for document in await asyncio.to_thread(self._documents, slot):
            if "sha256:" + hashlib.sha256(document.encode()).hexdigest() == policy:
                return read_policy(document).threshold
        return None

    def _documents(self, slot: SlotFacts) -> list[str]:
        """The policies that a slot may answer by."""
        found = [slot.refined.policy_document] if slot.refined is not None else []
        if slot.active is not None:
            found.append(slot.active.policy_document)
            with suppress(NotFound):  # it is not published here any more
                found.append(self._versions.by_digest(slot.active.version_digest).validation.policy_document)
        return [document for document in found if document]

    def _told(self, asked: Asked, row: int, response: pb.AskAgainResponse, about: str, times: tuple[int, int]) -> str:
        """Keeps the span of asking again; gives its trace."""
        attributes: dict[str, str | int | float | bool] = {
            Attribute.MODEL: asked.model,
            Attribute.QUESTION: asked.question,
            Attribute.ROW: row,
            Attribute.ANSWERED_BY: response.answered_by,
            Attribute.RESOLVED: response.confident,
        }
        if response.HasField("score") and math.isfinite(response.score):
            attributes[Attribute.SCORE] = response.score
        first = LinkFacts(bytes.fromhex(asked.trace), bytes.fromhex(asked.span))
        return self._spans.tell(SpanName.AGAIN, about, times, attributes, [first]).hex()


def _response(message: oip.ModelInferResponse, by: str, seconds: float) -> pb.AskAgainResponse:
    answer = parse_response(message, 1, seconds)[0]
    response = pb.AskAgainResponse(
        answer=message,
        label=label_of(answer),
        confident=bool(answer.resolved),
        answered_by=by,
        latency=Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)),
    )
    if answer.confidence is not None:
        response.score = answer.confidence
    return response


def _metadata(span: LinkFacts) -> tuple[tuple[str, str], ...]:
    """What puts the agent's spans below this one, which it is asked to keep."""
    context = SpanContext(
        int.from_bytes(span.trace, "big"), int.from_bytes(span.span, "big"), False, TraceFlags(TraceFlags.SAMPLED)
    )
    return tracing.inject(otel.set_span_in_context(NonRecordingSpan(context)))
