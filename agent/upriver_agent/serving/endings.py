"""How a call to an upstream ended: its answer, or why there is none and what that says of the upstream."""

import logging
from dataclasses import dataclass

import grpc

from upriver import logs
from upriver.errors import CallerGone, DeadlineExpired, InvalidInput, QueueFull, Unreachable, UpriverError
from upriver_agent import wire
from upriver_agent.merge import AnswerInvalid
from upriver_agent.resilience.watch import Ending
from upriver_agent.serving.request import UpstreamAnswer
from upriver_agent.upstream.links import PendingCall

_LOG = logging.getLogger(__name__)

_KINDS: dict[grpc.StatusCode, tuple[type[UpriverError], Ending]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: (DeadlineExpired, Ending.TIMED_OUT),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (QueueFull, Ending.FULL),
    grpc.StatusCode.UNAVAILABLE: (Unreachable, Ending.FAILED),
    # What it says of the question, and not of itself.
    grpc.StatusCode.INVALID_ARGUMENT: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.NOT_FOUND: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.FAILED_PRECONDITION: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.OUT_OF_RANGE: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.PERMISSION_DENIED: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.UNAUTHENTICATED: (Unreachable, Ending.REFUSED),
    grpc.StatusCode.UNIMPLEMENTED: (Unreachable, Ending.REFUSED),
}


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer: why, as the question has it, and what that says of the upstream; the status, if there was one."""

    failure: UpriverError
    ending: Ending
    code: grpc.StatusCode | None = None


def read_ending(
    call: PendingCall, rows: int, agent: str, trace: str = "", question: str = ""
) -> UpstreamAnswer | Failed:
    """What came of a call that is done, to `rows` rows of `agent`. Never raises, whatever an upstream sends.

    What is logged of it is about this `trace` and `question`.

    Who claimed a place for the call gives it back by what comes out here: nothing may come between.
    """
    try:
        return wire.read_answer(call.result(), rows)
    except grpc.FutureCancelledError:
        return Failed(CallerGone("the call was cancelled"), Ending.CUT_SHORT)
    except grpc.RpcError as error:
        return _refused(error, trace, question)
    except (InvalidInput, AnswerInvalid) as error:
        _LOG.warning(
            "upstream %s gave an answer that can't be used: %s", agent, error, extra=logs.about(trace, question)
        )
        return Failed(Unreachable(f"its answer can't be used: {error}"), Ending.FAILED)
    except Exception as error:  # noqa: BLE001 - told, logged, and the next upstream is asked
        _LOG.exception("an answer of %s could not be read", agent, extra=logs.about(trace, question))
        return Failed(Unreachable(f"reading its answer failed: {error}"), Ending.FAILED)


def _refused(error: grpc.RpcError, trace: str, question: str) -> Failed:
    if not isinstance(error, grpc.Call):
        return Failed(Unreachable(str(error)), Ending.FAILED)
    code = error.code()
    kind, ending = _KINDS.get(code, (Unreachable, Ending.FAILED))
    if code not in _KINDS or ending is Ending.REFUSED:
        about = logs.about(trace, question)
        _LOG.warning("an upstream refused an escalation: %s: %s", code.name, error.details(), extra=about)
    return Failed(kind(f"{code.name}: {error.details()}"), ending, code)
