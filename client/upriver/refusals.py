"""gRPC statuses back to the errors that agents raised: by `google.rpc.ErrorInfo`, else by the status code."""

from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from upriver import errors

_DETAILS_KEY = "grpc-status-details-bin"
TOO_LARGE = "larger than max"
"""What grpc says of a message over the bound, beside RESOURCE_EXHAUSTED."""

_BY_REASON: dict[str, type[errors.UpriverError]] = {
    kind.reason: kind
    for kind in (
        errors.InvalidInput,
        errors.ModelNotFound,
        errors.VersionNotFound,
        errors.ModelNotLoaded,
        errors.QueueFull,
        errors.Draining,
        errors.DeadlineExpired,
        errors.CallerGone,
        errors.NotAllowed,
        errors.NotSupported,
        errors.Unreachable,
        errors.InferenceFailed,
        errors.ModelInvalid,
        errors.GoldenMismatch,
        errors.RuntimeMissing,
        errors.Untrusted,
        errors.DiskTrouble,
        errors.BlobNotFound,
        errors.NotFound,
        errors.VersionConflict,
        errors.NotNow,
        errors.TicketGone,
    )
}
_BY_CODE: dict[grpc.StatusCode, type[errors.UpriverError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.ModelNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.ModelNotLoaded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.QueueFull,
    grpc.StatusCode.UNAVAILABLE: errors.Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExpired,
    # Nobody cancelled it here: so end calls that a server, shutting down, never took up.
    grpc.StatusCode.CANCELLED: errors.Unreachable,
    grpc.StatusCode.PERMISSION_DENIED: errors.NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: errors.NotAllowed,
    grpc.StatusCode.UNIMPLEMENTED: errors.NotSupported,
    grpc.StatusCode.INTERNAL: errors.InferenceFailed,
}

REPEATABLE = (errors.Unreachable, errors.Draining, errors.QueueFull)
"""Errors after which another agent, or the same one later, may answer. Asking is idempotent, so they are retried."""

Trailers = Iterable[tuple[str, str | bytes]] | None


def error_of(failed: grpc.RpcError, address: str, who: str = "agent") -> errors.UpriverError:
    """Gives the error of a call, sync or asyncio, that failed at `address`; `who` is what listens there."""
    if isinstance(failed, grpc.Call | grpc.aio.AioRpcError):
        trailers: Any = failed.trailing_metadata()  # pairs, whatever the stubs say
        return to_error(failed.code(), failed.details() or "", trailers, address, who)
    return errors.UpriverError(f"{failed} ({who} {address})")


def to_error(
    code: grpc.StatusCode | None, message: str, trailers: Trailers, address: str, who: str = "agent"
) -> errors.UpriverError:
    """Gives the error of a call that `address` ended with this status; its text names the address."""
    kind = _BY_REASON.get(_told_reason(trailers))
    if kind is None:
        kind = _BY_CODE.get(code, errors.UpriverError) if code is not None else errors.UpriverError
        if kind is errors.QueueFull and TOO_LARGE in message:
            kind = errors.InvalidInput
        if kind is errors.Unreachable:
            what = f"the {who} ended the call" if code is grpc.StatusCode.CANCELLED else f"the {who} can't be reached"
            message = f"{what}: {message}"
        if kind is errors.DeadlineExpired:
            message = "no answer before the deadline"
        if kind is errors.UpriverError:
            message = f"{code.name if code else 'no status'}: {message}"
    return remade(kind, f"{message} ({who} {address})")


def from_stream(text: str, address: str) -> errors.UpriverError:
    """Gives the error that a stream told in place of an answer, as "REASON: message"."""
    reason, _, message = text.partition(": ")
    kind = _BY_REASON.get(reason)
    if kind is None:
        return errors.UpriverError(f"{text} (agent {address})")
    return remade(kind, f"{message} (agent {address})")


def remade(kind: type[errors.UpriverError], message: str) -> errors.UpriverError:
    """Makes an error whose text came over the wire.

    Kinds that compose their text of parts are not asked to: the parts are not known here.
    """
    return kind.__new__(kind, message)


def unreachable(failures: dict[str, errors.UpriverError]) -> errors.UpriverError:
    """Gives one error for the last failures by address: the one address's own, or a list of what each said.

    An agent that was reached but full or draining tells more than one that was not reached: its error's kind is kept.
    """
    if len(failures) == 1:
        return next(iter(failures.values()))
    kinds = {type(error) for error in failures.values()}
    kind = next((kind for kind in (errors.QueueFull, errors.Draining) if kind in kinds), errors.Unreachable)
    told = "; ".join(str(error) for error in failures.values())
    return remade(kind, f"none of {len(failures)} agents could answer: {told}")


def _told_reason(trailers: Trailers) -> str:
    for key, value in trailers or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return _reason_in(value)
    return ""


def _reason_in(details: bytes) -> str:
    try:
        status = status_pb2.Status.FromString(details)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == errors.ERROR_DOMAIN:
                return str(info.reason)
    except DecodeError:  # not ours: the status code tells enough
        return ""
    return ""
