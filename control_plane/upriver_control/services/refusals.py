"""The one table from kinds of errors to statuses of the control plane, with `google.rpc.ErrorInfo` as the reason."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, Final, NoReturn, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from upriver import errors
from upriver_control.rollout import RevisionConflict

_LOG = logging.getLogger(__name__)
_DETAILS_KEY: Final = "grpc-status-details-bin"
_MAX_MESSAGE: Final = 2000  # characters; headers are limited to 8 KiB, and the message travels twice
Context = grpc.aio.ServicerContext[Any, Any]
Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")

CODES: Final[dict[type[errors.UpriverError], grpc.StatusCode]] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ConfigError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ManifestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelInvalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.VersionNotFound: grpc.StatusCode.NOT_FOUND,
    errors.BlobNotFound: grpc.StatusCode.NOT_FOUND,
    errors.TicketGone: grpc.StatusCode.NOT_FOUND,
    errors.VersionConflict: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotNow: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RuntimeMissing: grpc.StatusCode.FAILED_PRECONDITION,
    RevisionConflict: grpc.StatusCode.ABORTED,
    errors.QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.Unreachable: grpc.StatusCode.UNAVAILABLE,
    errors.DiskTrouble: grpc.StatusCode.UNAVAILABLE,
    errors.Draining: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExpired: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def code_of(error: errors.UpriverError) -> grpc.StatusCode:
    """Gives the status code of an error; a kind that the table does not know is INTERNAL."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


async def refuse(context: Context, error: errors.UpriverError) -> NoReturn:
    """Ends the call with the error's status, message and ErrorInfo."""
    code, message = code_of(error), str(error)[:_MAX_MESSAGE]
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.ERROR_DOMAIN))
    if code is grpc.StatusCode.INTERNAL:
        _LOG.error("request failed: %s", error)
    context.set_trailing_metadata(((_DETAILS_KEY, status.SerializeToString()),))
    await context.abort(code, message)
    raise AssertionError("abort returns never")


Unary = Callable[[Servicer, Request, Context], Awaitable[Response]]
Stream = Callable[[Servicer, Request, Context], AsyncIterator[Response]]


def refusing(method: Unary[Servicer, Request, Response]) -> Unary[Servicer, Request, Response]:
    """A servicer's method whose errors of ours become statuses."""

    @wraps(method)
    async def run(servicer: Servicer, request: Request, context: Context) -> Response:
        try:
            return await method(servicer, request, context)
        except errors.UpriverError as error:
            await refuse(context, error)

    return run


def refusing_stream(method: Stream[Servicer, Request, Response]) -> Stream[Servicer, Request, Response]:
    """The same for a method that streams its answers."""

    @wraps(method)
    async def run(servicer: Servicer, request: Request, context: Context) -> AsyncIterator[Response]:
        try:
            async for response in method(servicer, request, context):
                yield response
        except errors.UpriverError as error:
            await refuse(context, error)

    return run
