"""ModelInfer and ModelStreamInfer: convert, call the serving core, convert back."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import grpc

from upriver.errors import CallerGone, UpriverError
from upriver.oip.v2 import inference_pb2 as pb
from upriver_agent import wire
from upriver_agent.serving.core import ServingCore
from upriver_agent.serving.request import InferAnswer, MetadataPairs
from upriver_agent.transport.executor import ServingExecutor
from upriver_agent.transport.status import refuse

_NO_DEADLINE_S = 1e8
"""grpcio shows an absent deadline as about 9.2e18 s left."""


class GrpcCall:
    """A call of the public grpcio server, as the serving core sees it."""

    __slots__ = ("_context",)

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def metadata(self) -> MetadataPairs:
        """The call's metadata."""
        pairs: MetadataPairs = self._context.invocation_metadata() or ()
        return pairs

    def time_left_s(self) -> float | None:
        """Seconds until the caller's deadline; None when there is none."""
        left = self._context.time_remaining()
        return None if left is None or left > _NO_DEADLINE_S else left

    def authenticated(self) -> bool:
        """Whether the caller showed a certificate that we trust."""
        return bool(self._context.peer_identities())

    def caller(self) -> str:
        """Who calls: the name in the certificate that it showed, else its address without the port."""
        names = self._context.peer_identities()
        if names:
            return ", ".join(sorted(name.decode(errors="replace") for name in names))
        return str(self._context.peer()).rpartition(":")[0]

    def on_end(self, callback: Callable[[], object]) -> bool:
        """Calls back once when the call ends."""
        return bool(self._context.add_callback(callback))  # type: ignore[arg-type]  # what it gives is not looked at


class StreamCall(GrpcCall):
    """A stream, whose requests come one after the other: only the one under way is told of the stream's end."""

    __slots__ = ("_callback", "_over")

    def __init__(self, context: grpc.ServicerContext) -> None:
        super().__init__(context)
        self._callback: Callable[[], object] | None = None
        self._over = not context.add_callback(self._end)

    def on_end(self, callback: Callable[[], object]) -> bool:
        """Calls back when the stream ends during this request; replaces what the one before asked for."""
        self._callback = callback
        return not self._over

    def _end(self) -> None:
        self._over = True
        if self._callback is not None:
            self._callback()


class InferenceServicer:
    """The RPCs that answer questions."""

    def __init__(self, core: ServingCore, executor: ServingExecutor, max_message_bytes: int) -> None:
        """Inputs that come compressed may hold `max_message_bytes` together, as those that do not may."""
        self._core = core
        self._executor = executor
        self._max_bytes = max_message_bytes

    def model_infer(self, message: pb.ModelInferRequest, context: grpc.ServicerContext) -> bytes:
        """Answers one request with the reply's bytes; a local confident answer never leaves this thread."""
        try:
            return wire.write_reply(self._answer(message, GrpcCall(context)))
        except UpriverError as error:
            refuse(context, error)

    def model_stream_infer(
        self, messages: Iterator[pb.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ModelStreamInferResponse]:
        """Answers the requests of a stream in order; an error is told in its place and the stream goes on."""
        call = StreamCall(context)
        while True:
            with self._executor.blocking():
                message = next(messages, None)
            if message is None:
                return
            try:
                yield pb.ModelStreamInferResponse(infer_response=wire.write_answer(self._answer(message, call)))
            except CallerGone:
                return
            except UpriverError as error:
                told = pb.ModelInferResponse(id=message.id, model_name=message.model_name)
                yield pb.ModelStreamInferResponse(error_message=f"{error.reason}: {error}", infer_response=told)

    def _answer(self, message: pb.ModelInferRequest, call: GrpcCall) -> InferAnswer:
        outcome = self._core.infer(wire.read_request(message, self._max_bytes), call)
        if not isinstance(outcome, Future):
            return outcome
        with self._executor.blocking():
            answer: InferAnswer = outcome.result()
        return answer
