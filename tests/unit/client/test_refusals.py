"""An error that an agent raised is the same kind of error for its caller."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from upriver import errors
from upriver.refusals import from_stream, remade, to_error, unreachable
from upriver_agent.transport.status import CODES, code_of

AT = "edge:8470"
KINDS = [kind for kind in CODES if not issubclass(kind, errors.ProblemList)]


def trailers(reason: str, domain: str = errors.ERROR_DOMAIN) -> list[tuple[str, str | bytes]]:
    status = status_pb2.Status()
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    return [("other", "text"), ("grpc-status-details-bin", status.SerializeToString())]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_agents_refuse_with_comes_back(kind: type[errors.UpriverError]) -> None:
    raised = remade(kind, "what was wrong")
    error = to_error(code_of(raised), str(raised), trailers(raised.reason), AT)
    assert type(error) is kind
    assert str(error) == "what was wrong (agent edge:8470)"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_over_a_stream(kind: type[errors.UpriverError]) -> None:
    error = from_stream(f"{kind.reason}: shape: [3]", AT)
    assert type(error) is kind
    assert str(error) == "shape: [3] (agent edge:8470)"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidInput),
        (grpc.StatusCode.NOT_FOUND, errors.ModelNotFound),
        (grpc.StatusCode.UNAVAILABLE, errors.Unreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExpired),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.QueueFull),
        (grpc.StatusCode.CANCELLED, errors.Unreachable),
        (grpc.StatusCode.UNIMPLEMENTED, errors.NotSupported),
    ],
)
def test_without_a_reason_the_status_tells(code: grpc.StatusCode, kind: type[errors.UpriverError]) -> None:
    assert type(to_error(code, "no", None, AT)) is kind
    assert type(to_error(code, "no", trailers("QUOTA", "elsewhere.example"), AT)) is kind


@pytest.mark.parametrize("code", [grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNKNOWN, None])
def test_a_status_that_says_nothing_to_us_is_named(code: grpc.StatusCode | None) -> None:
    error = to_error(code, "odd", None, AT)
    assert type(error) is errors.UpriverError
    assert (code.name if code else "no status") in str(error)


def test_a_message_over_the_bound_is_no_full_queue() -> None:
    told = "SERVER: Sent message larger than max (70000000 vs. 67108864)"
    assert type(to_error(grpc.StatusCode.RESOURCE_EXHAUSTED, told, None, AT)) is errors.InvalidInput


@given(st.binary(max_size=64))
def test_details_that_are_no_status_fall_back_on_the_code(details: bytes) -> None:
    error = to_error(grpc.StatusCode.NOT_FOUND, "no", [("grpc-status-details-bin", details)], AT)
    assert isinstance(error, errors.UpriverError)


@given(st.text(max_size=40))
def test_a_stream_of_another_server_may_say_anything(text: str) -> None:
    assert str(from_stream(text, AT)).endswith("(agent edge:8470)")


def test_a_full_agent_tells_more_than_one_that_is_away() -> None:
    failures: dict[str, errors.UpriverError] = {"a": errors.Unreachable("away"), "b": errors.Draining("drains")}
    assert type(unreachable(failures)) is errors.Draining
    assert type(unreachable({"a": errors.Unreachable("x"), "b": errors.Unreachable("y")})) is errors.Unreachable
