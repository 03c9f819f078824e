"""Real agents above which something breaks: answers come in time, and what is broken is left alone until it is back."""

import os
import signal
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from tests.agent_process import running, until, write_config
from tests.asking import question
from tests.freezing import freeze
from tests.versions import make_version
from upriver.oip.v2 import inference_pb2 as pb

NEVER, ALWAYS = 2.0, 0.0
TIERS = ("device", "near-edge", "cloud")
SHORT = """
[cascade]
trust = "network"
preset = "local"
[resilience.breaker]
failures = 3
first_pause_s = 1.0
longest_pause_s = 1.0
[resilience.hedging]
min_delay_ms = 150
max_delay_ms = 150
unknown_delay_ms = 150
"""
IN_TIME_S = 5.0


class Asker:
    """A caller that keeps its connection, and sees that no answer is late."""

    def __init__(self, agent):
        self.channel = grpc.insecure_channel(agent.address)
        self._ask = self.channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )

    def ask(self, timeout_s=IN_TIME_S):
        response = self._ask(question(), timeout=timeout_s)  # grpc fails a call that is late
        told = {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in response.parameters.items()}
        return {key.removeprefix("upriver."): value for key, value in told.items()}


@contextmanager
def asking(agent):
    asker = Asker(agent)
    try:
        yield asker
    finally:
        asker.channel.close()


def at_once(caller):
    """An answer given while the only upstream is left alone; None when this question was the one that tried it."""
    told = caller.ask(timeout_s=0.6)
    return told if told["reason"] == "breaker_open" else None


@contextmanager
def frozen(agent):
    freeze(agent.pid)
    try:
        yield
    finally:
        os.kill(agent.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """A device below two near edges and a cloud, and one below a near edge alone."""
    folder = tmp_path_factory.mktemp("resilience")
    with ExitStack() as stack:

        def start(name, tier, threshold, upstreams=()):
            version = make_version(folder, f"v-{name}", threshold)
            config = write_config(folder, name, tier, TIERS, [version], SHORT, upstreams)
            return stack.enter_context(running(config, name, tier))

        cloud = start("cloud-1", "cloud", ALWAYS)
        near = start("near-1", "near-edge", ALWAYS)
        yield {
            "near": near,
            "cloud": cloud,
            "both": start("device-1", "device", NEVER, [near, cloud]),
            "alone": start("device-2", "device", NEVER, [near]),
        }


def test_a_frozen_upstream_is_answered_around_and_asked_again_when_it_is_back(agents):
    with asking(agents["both"]) as caller:
        assert caller.ask()["agent"] == "near-1"
        with frozen(agents["near"]):
            hedged = [caller.ask() for _ in range(3)]
            assert {told["agent"] for told in hedged} == {"cloud-1"}
            assert not any(told["degraded"] for told in hedged)
            until(lambda: "near-1 keeps failing" in agents["both"].log.read_text(), what="the breaker to open")
        until(lambda: caller.ask()["agent"] == "near-1", what="the near edge to be asked again")
        assert "near-1 answers again" in agents["both"].log.read_text()


def test_with_no_second_upstream_the_own_answer_comes_in_time_and_then_at_once(agents):
    with asking(agents["alone"]) as caller:
        assert caller.ask()["agent"] == "near-1"
        with frozen(agents["near"]):
            late = [caller.ask(timeout_s=0.6) for _ in range(3)]
            assert {(told["agent"], told["reason"], told["degraded"]) for told in late} == {
                ("device-2", "deadline", True)
            }
            told = until(lambda: at_once(caller), what="an answer that did not wait")
            assert (told["agent"], told["degraded"], told["resolved"]) == ("device-2", True, False)
        until(lambda: caller.ask()["agent"] == "near-1", what="the near edge to be asked again")
