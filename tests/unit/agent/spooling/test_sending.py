"""What a receiver's answer means."""

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from upriver.channels import ChannelOptions, TlsFiles
from upriver_agent.spooling.encoding import MAX_BYTES
from upriver_agent.spooling.sending import Later, Outcome, Refused, Sender, Taken, Target


class Answering(trace_service_pb2_grpc.TraceServiceServicer):
    """Answers with a code, or with how many it rejects."""

    code: grpc.StatusCode | None = None
    retry_s: float | None = None
    rejects = 0
    why = "too large"

    def __init__(self) -> None:
        self.metadata: dict[str, str | bytes] = {}
        self.left_s = 0.0

    def Export(self, request, context):  # noqa: N802 - the service's name
        self.metadata = dict(context.invocation_metadata())
        self.left_s = context.time_remaining()
        if self.retry_s is not None:
            detail = Any()
            delay = Duration(seconds=int(self.retry_s), nanos=int(self.retry_s % 1 * 1e9))
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            status = status_pb2.Status(code=14, details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        if self.code is not None:
            context.abort(self.code, "no")
        answer = pb.ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        answer.partial_success.error_message = self.why if self.rejects else ""
        return answer


@contextmanager
def served(answering: Answering) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(answering, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)


def sent(answering: Answering, metadata: tuple[tuple[str, str], ...] = ()) -> Outcome:
    with served(answering) as address:
        sender = Sender(Target([address], ChannelOptions(), metadata), lambda: 1_234)
        try:
            return sender.send(b"")
        finally:
            sender.close()


def test_the_clock_and_the_token_go_with_every_export() -> None:
    answering = Answering()
    assert sent(answering, (("authorization", "Bearer x"),)) == Taken()
    assert answering.metadata["upriver-sent-ns"] == "1234"
    assert answering.metadata["authorization"] == "Bearer x"


def test_a_large_export_has_the_time_that_a_slow_link_takes_and_a_small_one_ends_soon() -> None:
    answering = Answering()
    large = pb.ExportTraceServiceRequest()
    large.resource_spans.add().schema_url = "x" * MAX_BYTES
    with served(answering) as address:
        sender = Sender(Target([address], ChannelOptions()), lambda: 0)
        assert sender.send(b"") == Taken()
        assert answering.left_s < 4.0
        assert sender.send(large.SerializeToString()) == Taken()
        assert 8.0 < answering.left_s < 12.0
        sender.close()


def test_a_partial_success_is_a_success() -> None:
    answering = Answering()
    answering.rejects = 3
    assert sent(answering) == Taken(3, "too large")
    answering.why = ""
    assert sent(answering) == Taken(3, "it rejects some, and does not say why")


@pytest.mark.parametrize(
    ("code", "retry_s", "expected"),
    [
        ("UNAVAILABLE", None, Later("UNAVAILABLE: no")),
        ("UNAVAILABLE", 1.5, Later("UNAVAILABLE: no", 1.5)),
        ("RESOURCE_EXHAUSTED", 30.0, Later("RESOURCE_EXHAUSTED: no", 30.0)),
        ("RESOURCE_EXHAUSTED", None, Refused("RESOURCE_EXHAUSTED: no")),
        ("UNAUTHENTICATED", None, Later("UNAUTHENTICATED: no")),
        ("UNIMPLEMENTED", None, Later("UNIMPLEMENTED: no")),
        ("INVALID_ARGUMENT", None, Refused("INVALID_ARGUMENT: no")),
        ("INTERNAL", None, Refused("INTERNAL: no")),
    ],
)
def test_what_is_tried_again_and_when(code: str, retry_s: float | None, expected: Outcome) -> None:
    answering = Answering()
    answering.code, answering.retry_s = grpc.StatusCode[code], retry_s
    assert sent(answering) == expected


def test_where_nobody_is_the_next_address_is_asked() -> None:
    answering = Answering()
    with served(Answering()) as gone:
        pass
    with served(answering) as there:
        sender = Sender(Target([gone, there], ChannelOptions(), ()), lambda: 0)
        assert isinstance(sender.send(b""), Later)
        assert sender.send(b"") == Taken()
        sender.close()
        assert isinstance(sender.send(b""), Later), "closed: it ends"


def test_tls_files_that_cannot_be_read_for_now_are_read_when_they_are_back(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("not looked into before a receiver is there")
    sender = Sender(Target(["127.0.0.1:1", "127.0.0.1:1"], ChannelOptions(tls=TlsFiles(ca=ca))), lambda: 0)
    assert "ca.pem" not in sender.send(b"").why
    ca.unlink()
    for _ in range(2):
        outcome = sender.send(b"")
        assert isinstance(outcome, Later)
        assert outcome.why.startswith("UNAVAILABLE")
        assert "ca.pem" in outcome.why
    ca.write_text("it is back")
    assert "ca.pem" not in sender.send(b"").why
    sender.close()
