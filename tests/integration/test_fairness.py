"""Real agents that are asked too much: who is loud takes no room from who is not."""

from contextlib import contextmanager

import grpc
import pytest

from tests.agent_process import running, until, write_config
from tests.asking import question
from tests.versions import make_version
from upriver.oip.v2 import inference_pb2 as pb

NEVER, ALWAYS = 2.0, 0.0
TIERS = ("device", "near-edge", "cloud")
SLOW_WAY_UP = """
[serving]
max_inflight = 16
[cascade]
trust = "network"
hop_delay_ms = 300
"""
SLOW_SOURCES = """
[cascade]
trust = "network"
[resilience.sources]
per_s = 0.001
burst = 5
"""


@contextmanager
def caller(agent):
    """Asks as an agent below would: the future of an answer."""
    with grpc.insecure_channel(agent.address) as channel:
        method = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        numbers = iter(range(1_000_000))

        def ask(name):
            envelope = (
                ("upriver-question", f"q-{name}-{next(numbers)}"),
                ("upriver-touch-point", name),
                ("upriver-visited", name),
                ("upriver-hops-left", "3"),
            )
            return method.future(question(), timeout=20, metadata=envelope)

        yield ask


def refused(call):
    return call.done() and call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
def busy(tmp_path):
    """A near edge with sixteen places, whose every question is under way for 0.3 s."""
    with running(write_config(tmp_path, "cloud-1", "cloud", TIERS, [make_version(tmp_path, "c", ALWAYS)],
                              '[cascade]\ntrust = "network"\n'), "cloud-1", "cloud") as cloud:  # fmt: skip
        config = write_config(tmp_path, "near-1", "near-edge", TIERS, [make_version(tmp_path, "n", NEVER)],
                              SLOW_WAY_UP, [cloud])  # fmt: skip
        with running(config, "near-1", "near-edge") as near:
            yield near


def test_a_loud_caller_is_refused_and_a_quiet_one_is_answered(busy):
    with caller(busy) as ask:
        for _ in range(4):
            loud = [ask("loud") for _ in range(60)]
            until(lambda loud=loud: any(map(refused, loud)), 20, "all that the loud one may have to be taken")
            assert ask("quiet").code() is grpc.StatusCode.OK
            ends = [call.code() for call in loud]
            assert set(ends) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_an_agent_that_escalates_faster_than_it_may_is_refused_and_another_is_not(tmp_path):
    config = write_config(tmp_path, "cloud-1", "cloud", TIERS, [make_version(tmp_path, "c", ALWAYS)], SLOW_SOURCES)
    with running(config, "cloud-1", "cloud") as cloud, caller(cloud) as ask:
        loud = [ask("loud").code() for _ in range(8)]
        assert loud == [grpc.StatusCode.OK] * 5 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
        assert [ask("quiet").code() for _ in range(5)] == [grpc.StatusCode.OK] * 5
