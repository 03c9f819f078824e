"""The one table from kinds of errors to gRPC status codes, with `google.rpc.ErrorInfo` as the stable reason."""

import logging
from typing import NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

from upriver import errors

_LOG = logging.getLogger(__name__)
_DETAILS_KEY = "grpc-status-details-bin"
_MAX_MESSAGE = 2000  # characters; headers are limited to 8 KiB, and the message travels twice

CODES: dict[type[errors.UpriverError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.VersionNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelNotLoaded: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ManifestError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ModelInvalid: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RuntimeMissing: grpc.StatusCode.FAILED_PRECONDITION,
    errors.QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Draining: grpc.StatusCode.UNAVAILABLE,
    errors.Unreachable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExpired: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.CallerGone: grpc.StatusCode.CANCELLED,
    errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.InferenceFailed: grpc.StatusCode.INTERNAL,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.TicketGone: grpc.StatusCode.NOT_FOUND,
    errors.NotNow: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DiskTrouble: grpc.StatusCode.UNAVAILABLE,
}


def code_of(error: errors.UpriverError) -> grpc.StatusCode:
    """Gives the status code of an error; a kind that the table does not know is INTERNAL."""
    for kind in type(error).__mro__:
        found = CODES.get(kind)
        if found is not None:
            return found
    return grpc.StatusCode.INTERNAL


def refuse(context: grpc.ServicerContext, error: errors.UpriverError) -> NoReturn:
    """Ends the call with the error's status, message and ErrorInfo."""
    code = code_of(error)
    message = str(error)[:_MAX_MESSAGE]
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.ERROR_DOMAIN))
    if code is grpc.StatusCode.INTERNAL:
        _LOG.error("request failed: %s", error)
    context.set_trailing_metadata(((_DETAILS_KEY, status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError("abort returns never")
