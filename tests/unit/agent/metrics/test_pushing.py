"""Metrics that an agent sends by itself, to a receiver of OpenTelemetry's own stubs."""

import threading
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as stubs

from upriver.errors import ConfigError
from upriver.families import Family, Kind, Sample
from upriver_agent.metrics.pushing import MetricsPush, push_options
from upriver_agent.otlp import ExportOptions


class Receiver(stubs.MetricsServiceServicer):
    def __init__(self) -> None:
        self.requests: list[pb.ExportMetricsServiceRequest] = []
        self.came = threading.Semaphore(0)
        self.answer = pb.ExportMetricsServiceResponse()

    def Export(  # noqa: N802 - the service's name
        self, request: pb.ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportMetricsServiceResponse:
        self.requests.append(request)
        self.came.release()
        return self.answer


def options(address: str, folder: Path, asked: bool = True) -> ExportOptions:
    return ExportOptions("there", [address], "device-1", 1, folder, asked=asked)


def served(receiver: Receiver) -> tuple[grpc.Server, str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    stubs.add_MetricsServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def test_metrics_are_sent_again_and_again_and_once_more_at_the_end(tmp_path: Path) -> None:
    receiver = Receiver()
    server, address = served(receiver)
    counted = iter(range(1, 1_000_000))

    def collect() -> list[Family]:
        number = next(counted)
        if number == 2:
            raise ValueError("a family that is wrong")
        return [Family("upriver_questions", Kind.COUNTER, "Questions.", "", [Sample({}, number)])]

    push = MetricsPush(options(address, tmp_path), collect, every_s=0.01)
    push.start()
    for _ in range(3):
        assert receiver.came.acquire(timeout=60)
    before = len(receiver.requests)
    push.close()
    server.stop(None).wait(30)
    assert len(receiver.requests) > before
    resource = receiver.requests[0].resource_metrics[0]
    told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert (told["service.name"], told["service.instance.id"]) == ("upriver-agent", "device-1")
    values = [
        request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int
        for request in receiver.requests
    ]
    assert values[:2] == [1, 3], "what can't be collected is left out once"
    assert values == sorted(values)


def test_a_receiver_that_is_gone_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")  # bound, and nobody answers
    tries = threading.Semaphore(0)

    def collect() -> list[Family]:
        tries.release()
        return []

    push = MetricsPush(options(f"127.0.0.1:{port}", tmp_path), collect, every_s=0.01)
    server.stop(None).wait(30)
    push.start()
    for _ in range(3):
        assert tries.acquire(timeout=60)
    push.close()
    assert len([record for record in caplog.records if "takes no metrics" in record.message]) == 1


def test_a_receiver_that_rejects_a_part_and_does_not_say_why_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver()
    receiver.answer.partial_success.rejected_data_points = 3
    server, address = served(receiver)
    push = MetricsPush(options(address, tmp_path), list)
    push.start()
    assert receiver.came.acquire(timeout=60)
    push.close()
    server.stop(None).wait(30)
    assert "there takes no metrics: it rejects some, and does not say why" in caplog.text


@pytest.mark.parametrize("asked", [None, False])
def test_metrics_need_a_place_of_their_own_to_go_to(tmp_path: Path, asked: bool | None) -> None:
    with pytest.raises(ConfigError, match="otlp_endpoint"):
        push_options(None if asked is None else options("127.0.0.1:1", tmp_path, asked))
