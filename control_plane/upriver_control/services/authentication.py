"""Who may call: operators and agents show a token with every call to the services that are theirs."""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import grpc
import grpc.aio

from upriver_control.services.refusals import Context

OPERATOR_SERVICES: Final = (
    *(
        f"upriver.v1.{name}"
        for name in (
            "RegistryService",
            "RolloutService",
            "FleetService",
            "PolicyService",
            "RegionService",
            "TrainService",
            "LogService",
            "InboxService",
            "QuestionService",
            "MeshService",
        )
    ),
    "upriver.v1.AuditService/ListAudits",
    "upriver.v1.AuditService/SummarizeAudits",
)
AGENT_SERVICES: Final = (
    "upriver.v1.BlobService",
    "upriver.v1.AuditService/SubmitAudits",
    "upriver.v1.LessonIntakeService",
    "upriver.v1.PoolService",
    "opentelemetry.proto.collector.trace.v1.TraceService",
)
"""Services, and methods of those that are for both."""
_JOIN_WANTED: Final = "expected the join token: authorization: Bearer <control_plane.token of the agent>"
_WANTED: Final = "expected the operator's token: authorization: Bearer <token>"


class OperatorTokens(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Refuses calls to operators' services that do not show the token; an empty token lets everybody in."""

    def __init__(self, token: str, services: Iterable[str] = OPERATOR_SERVICES) -> None:
        self._tokens: tuple[str, ...] = (token,) if token else ()
        self._prefixes = tuple(f"/{service}" if "/" in service else f"/{service}/" for service in services)
        self._wanted = _WANTED

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Gives the method's own handler, or one of the same form that refuses."""
        handler = await continuation(handler_call_details)
        if (
            handler is None
            or not self._tokens
            or not handler_call_details.method.startswith(self._prefixes)
            or any(shows(handler_call_details.invocation_metadata, token) for token in self._tokens)
        ):
            return handler
        return _refusing(handler, self._wanted)


class AgentTokens(OperatorTokens):
    """The same for what agents fetch: the join token is asked for, and the operator's will do, to export versions."""

    def __init__(self, join_token: str, operator_token: str) -> None:
        super().__init__(join_token, AGENT_SERVICES)
        if join_token:
            self._tokens = (join_token, operator_token)
        self._wanted = _JOIN_WANTED


def shows(metadata: Any, token: str) -> bool:
    """Whether a call's metadata shows a token; takes as long for a wrong one as for a right one."""
    told = [value for key, value in metadata or () if key == "authorization"]
    given = str(told[0]) if len(told) == 1 else ""
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _refusing(handler: Any, wanted: str) -> Any:
    async def unary(_: Any, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, wanted)

    async def stream(_: Any, context: Context) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, wanted)
        yield  # an asynchronous generator, as the method is

    asked = "stream" if handler.request_streaming else "unary"
    answered = "stream" if handler.response_streaming else "unary"
    make = getattr(grpc, f"{asked}_{answered}_rpc_method_handler")
    behaviour = stream if handler.response_streaming else unary
    return make(behaviour, handler.request_deserializer, handler.response_serializer)
