"""Asks the top what it would have answered: one call for rows of several questions, when nobody else needs it.

It goes past breakers, hedges and budgets: an audit must not trip them, and has all the time in the world. What answers
must say that it is of the top tier; who could not reach it is as good as nobody.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np

from upriver import logs
from upriver.discovery.port import AgentRecord
from upriver.errors import InvalidInput
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import Mode
from upriver.tensors import Tensor
from upriver_agent import wire
from upriver_agent.auditing.store import Waiting
from upriver_agent.envelope import CallerOptions, Envelope, envelope_to_metadata, options_to_parameters
from upriver_agent.merge import AnswerInvalid, Answers
from upriver_agent.place import Place
from upriver_agent.serving.outbound import Outbound
from upriver_agent.serving.packing import Packer
from upriver_agent.serving.request import InferRequest
from upriver_agent.upstream.links import Escalation
from upriver_agent.upstream.upstreams import Upstreams

_LOG = logging.getLogger(__name__)
_NEVER = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)


class Refused(Exception):
    """The top will not answer this question, now or later."""


@dataclass(slots=True)
class TopAsker:
    """Asks for the agent at `place`; each try takes at most `timeout_s`. `packer` makes what is sent small.

    `bytes_up` counts what was sent, envelopes included.
    """

    place: Place
    upstreams: Upstreams
    max_hops: int
    timeout_s: float
    packer: Packer = field(default_factory=Packer)
    bytes_up: int = 0

    def near(self, model: str) -> bool:
        """Whether a top is known in this region for a model."""
        top = self.place.tiers[-1]
        return any(
            record.tier == top and record.region == self.place.region and (not record.models or model in record.models)
            for record in self.upstreams.look(None, 0).agents
        )

    def version_of(self, agent: str, model: str) -> str:
        """The digest of the version that an agent serves, as far as discovery tells; else empty."""
        for record in self.upstreams.look(None, 0).agents:
            if record.agent == agent and model in record.models:
                return record.models[model].digest
        return ""

    def ask(self, cases: Sequence[Waiting], stopped: Callable[[], bool]) -> Answers | None:
        """The top's answer to cases of one model, in order; None when it can't be had now.

        They go up under the name of the first one's question. Raises Refused when they never will be answered so, and
        ValueError when their inputs can't go together.
        """
        first, top = cases[0], self.place.tiers[-1]
        options = CallerOptions(mode=Mode.TOP, region_only=first.region_only)
        envelope = Envelope(first.question, self.place.agent, (self.place.agent,), self.max_hops, None, audit=True)
        outbound = Outbound(_escalation(cases, options), self.packer)
        asked = refusals = 0
        for record in self.upstreams.candidates(first.model, options, envelope):
            if stopped():
                return None
            asked += 1
            found = self._one(record, outbound, envelope)
            if found is None:
                continue
            if isinstance(found, grpc.StatusCode):
                refusals += found in _NEVER and record.tier == top
            elif all(fact.tier == top for fact in found.facts):
                return found
        if asked and refusals == asked:
            raise Refused(f"all {asked} that were asked refuse it")
        return None

    def _one(self, record: AgentRecord, outbound: Outbound, envelope: Envelope) -> "Answers | grpc.StatusCode | None":
        """An upstream's answer, or how it refused; None for anything else."""
        link = self.upstreams.links.to(record)
        model = outbound.escalation.model
        outgoing = outbound.to(link.reads(model))
        metadata = envelope_to_metadata(envelope)
        try:
            pending = link.send(outgoing.message, metadata, self.timeout_s)
        except ValueError:  # the channel was closed: we are ending, or the link was pruned
            return None
        self.bytes_up += outgoing.size + sum(len(key) + len(value) for key, value in metadata)
        try:
            answer = wire.read_answer(pending.result(), outbound.escalation.rows)
        except grpc.FutureCancelledError:
            return None
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            _LOG.debug("an audit was not answered by %s: %s", record.agent, code)
            if outgoing.special and code is grpc.StatusCode.INVALID_ARGUMENT:
                link.heard(model, frozenset())  # another program may run there by now, that reads less
                return None
            return code
        except (InvalidInput, AnswerInvalid) as error:
            about = logs.about(question=envelope.question)
            _LOG.warning("%s gave an answer to an audit that can't be used: %s", record.agent, error, extra=about)
            return None
        finally:
            link.settled()
        link.heard(model, answer.reads)
        return answer.answers


def _escalation(cases: Sequence[Waiting], options: CallerOptions) -> Escalation:
    requests = [read_request(case) for case in cases]
    kinds = [{name: tensor.datatype for name, tensor in request.inputs.items()} for request in requests]
    if any(kind != kinds[0] for kind in kinds):  # of several questions, so maybe of several versions
        raise ValueError(f"inputs of other names or types can't go together with {kinds[0]}")
    tensors = [
        Tensor(tensor.name, tensor.datatype, np.concatenate([request.inputs[name].array for request in requests]))
        for name, tensor in requests[0].inputs.items()
    ]
    first = cases[0]
    return Escalation(first.model, first.question, tensors, len(cases), options_to_parameters(options))


def read_request(case: Waiting) -> InferRequest:
    """The request of a case, one row."""
    return wire.read_request(pb.ModelInferRequest.FromString(case.request))


def read_own(case: Waiting) -> Answers:
    """Our own answer to a case, one row."""
    return wire.read_answer(pb.ModelInferResponse.FromString(case.answer), 1).answers
