"""HeadService: convert, ask the learner, convert back; and who may see heads and have them go back."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal

import grpc

from upriver.errors import InvalidInput, ModelNotFound, NotAllowed, NotSupported, UpriverError
from upriver.v1 import head_pb2 as pb
from upriver_agent.learning.learner import Learner
from upriver_agent.learning.report import Learning
from upriver_agent.learning.trials import Tried
from upriver_agent.transport.lesson_wire import write_time
from upriver_agent.transport.status import refuse

SERVICE: Final = pb.DESCRIPTOR.services_by_name["HeadService"]

Access = Literal["authenticated", "network"]


class HeadServicer:
    """The heads of one agent."""

    def __init__(
        self,
        learner: Learner,
        models: Callable[[], Sequence[str]],
        off: str,
        access: Access,
        blocking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`models` gives the names of those that answer, `off` says why there are no heads, empty when there are.

        `access` says who may see them and have them go back; `blocking` marks a serving thread as waiting.
        """
        self._learner = learner
        self._models = models
        self._off = off
        self._access = access
        self._blocking = blocking

    def list_heads(self, request: pb.ListHeadsRequest, context: grpc.ServicerContext) -> pb.ListHeadsResponse:
        """How learning stands, and how heads fared."""
        try:
            self._open(context, "listing heads")
            models = [self._known(request.model)] if request.model else self._models()
            with self._blocking():
                return pb.ListHeadsResponse(models=[_written(self._learner.learning(model)) for model in models])
        except UpriverError as error:
            refuse(context, error)

    def revert_head(self, request: pb.RevertHeadRequest, context: grpc.ServicerContext) -> pb.RevertHeadResponse:
        """Has the pair answer that was put there."""
        try:
            self._open(context, "reverting heads")
            with self._blocking():
                self._learner.revert(self._known(request.model))
            return pb.RevertHeadResponse()
        except UpriverError as error:
            refuse(context, error)

    def hold_learning(self, request: pb.HoldLearningRequest, context: grpc.ServicerContext) -> pb.HoldLearningResponse:
        """Has a model keep what answers now, or go on."""
        try:
            self._open(context, "holding what learns")
            with self._blocking():
                self._learner.hold(self._known(request.model), not request.resume)
            return pb.HoldLearningResponse()
        except UpriverError as error:
            refuse(context, error)

    def _known(self, model: str) -> str:
        if not model:
            raise InvalidInput("which model?")
        models = self._models()
        if model not in models:
            raise ModelNotFound(model, models)
        return model

    def _open(self, context: grpc.ServicerContext, what: str) -> None:
        if self._off:
            raise NotSupported(f"this agent learns no heads: {self._off}")
        if self._access != "network" and not context.peer_identities():
            raise NotAllowed(
                f"{what} is for callers with a certificate (mutual TLS); set learning.access = 'network' on this agent "
                "to let anybody do it who reaches its port"
            )


def _written(learning: Learning) -> pb.HeadsOfModel:
    return pb.HeadsOfModel(
        model=learning.model,
        version_digest=learning.version,
        lessons=learning.lessons,
        held_out=learning.held_out,
        attempts=learning.attempts,
        held=learning.held,
        why=learning.why,
        ended="" if learning.head else learning.ended,
        trials=[_trial(one, learning.head) for one in learning.trials],
    )


def _trial(tried: Tried, answers: str) -> pb.HeadTrial:
    trial = tried.trial
    return pb.HeadTrial(
        head=tried.head,
        version_digest=tried.version,
        tried_time=write_time(tried.at),
        lessons=tried.lessons,
        attempt=trial.attempt,
        epsilon=trial.epsilon,
        delta=trial.delta,
        questions=trial.questions,
        losses=trial.losses,
        threshold=trial.threshold,
        coverage=trial.coverage,
        p_loss=trial.p_loss,
        gained=trial.gained,
        given_up=trial.given_up,
        p_fewer=trial.p_fewer,
        why=trial.why,
        promoted=tried.promoted,
        answers=tried.head == answers,
    )
