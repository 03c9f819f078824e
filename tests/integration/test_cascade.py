"""Questions go up through real agents: who answers, why, and what happens when parts of the mesh are gone."""

import os
import signal
import threading

import grpc
import numpy as np
import pytest

from tests.agent_process import TRUSTING, mesh, running, until, write_config
from tests.freezing import freeze
from tests.versions import LABELS, make_version
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

RNG = np.random.default_rng(11)
TIERS = ("device", "far-edge", "near-edge", "cloud")
NEVER, ALWAYS = 2.0, 0.0  # thresholds no probability reaches, and every one does


def request(rows=1, images=None, **parameters):
    images = RNG.random((rows, 14, 14, 1), dtype=np.float32) if images is None else images
    message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(images, "FP32")])
    message.inputs.add(name="image", datatype="FP32", shape=images.shape)
    for key, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}[type(value)]
        setattr(message.parameters[f"upriver.{key}"], kind, value)
    return message


def ask(agent, message, timeout=20, metadata=()):
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        return call(message, timeout=timeout, metadata=metadata)


def asked(agent):
    """How many rows the agent's model has seen; statistics are told even by a full agent."""
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelStatistics",
            request_serializer=pb.ModelStatisticsRequest.SerializeToString,
            response_deserializer=pb.ModelStatisticsResponse.FromString,
        )
        return call(pb.ModelStatisticsRequest(name="pattern"), timeout=20).model_stats[0].inference_count


def facts(response):
    read = {}
    for key, value in response.parameters.items():
        read[key.removeprefix("upriver.")] = getattr(value, value.WhichOneof("parameter_choice"))
    return read


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four agents of which only the cloud is ever sure."""
    folder = tmp_path_factory.mktemp("four")
    versions = {tier: make_version(folder, tier, ALWAYS if tier == "cloud" else NEVER) for tier in TIERS}
    with mesh(folder, [(f"{tier}-1", tier, versions[tier]) for tier in TIERS]) as agents:
        yield agents


def test_an_unsure_question_goes_up_tier_by_tier(four):
    told = facts(ask(four["device-1"], request()))
    assert told["path"] == "device-1,far-edge-1,near-edge-1,cloud-1"
    assert (told["tier"], told["agent"], told["reason"]) == ("cloud", "cloud-1", "confident")
    assert told["resolved"]
    assert not told["degraded"]
    assert told["bytes_up"] > 3 * 14 * 14 * 4  # three hops carried the image


def test_the_caller_can_keep_it_local_cap_the_tier_or_ask_the_top(four):
    local = facts(ask(four["device-1"], request(mode="local")))
    assert (local["path"], local["reason"], local["resolved"]) == ("device-1", "mode", False)
    assert "ticket" not in local
    assert not local["degraded"]
    capped = facts(ask(four["device-1"], request(max_tier="near-edge")))
    assert (capped["path"].split(",")[-1], capped["reason"]) == ("near-edge-1", "max_tier")
    top = facts(ask(four["device-1"], request(mode="top")))
    assert (top["path"], top["tier"]) == ("device-1,cloud-1", "cloud")


def test_min_confidence_raises_the_threshold_everywhere(four):
    told = facts(ask(four["device-1"], request(min_confidence=1.5)))
    assert (told["tier"], told["reason"], told["resolved"]) == ("cloud", "top", False)
    assert told["ticket"]


def test_wrong_options_are_refused_naming_what_is_allowed(four):
    for parameters, named in (
        ({"mode": "sideways"}, "auto, local, top"),
        ({"max_tier": "moon"}, "device, far-edge, near-edge, cloud"),
        ({"min_confidence": "high"}, "a number"),
        ({"colour": "red"}, "unknown parameter"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            ask(four["device-1"], request(**parameters))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert named in refused.value.details()


def test_only_the_rows_that_fail_go_up_and_come_back_in_their_places(tmp_path):
    images = (
        RNG.random((32, 14, 14, 1), dtype=np.float32) * np.linspace(0.1, 4, 32, dtype=np.float32)[:, None, None, None]
    )
    with running(
        write_config(tmp_path, "probe", "device", ["device"], [make_version(tmp_path, "probe", ALWAYS)]), "probe"
    ) as probe:
        alone = np.frombuffer(probabilities(ask(probe, request(images=images))), np.float32).reshape(32, 10)
    threshold = float(np.median(alone.max(axis=1)))
    sure = alone.max(axis=1) >= threshold
    assert 0 < sure.sum() < 32
    low = make_version(tmp_path, "low", threshold)
    top = make_version(tmp_path, "top", ALWAYS, labels=LABELS[::-1], file="int8_dynamic.tflite")
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)]) as agents:
        message = request(images=images)
        for name in ("upriver.tier", "upriver.confidence", "upriver.path"):
            message.outputs.add(name=name)
        response = ask(agents["low"], message)
        outputs = dict(zip([o.name for o in response.outputs], response.raw_output_contents, strict=True))
        assert outputs["upriver.tier"].count(b"device") == sure.sum()
        assert outputs["upriver.tier"].count(b"cloud") == 32 - sure.sum()
        merged = np.frombuffer(outputs["probabilities"], np.float32).reshape(32, 10)
        np.testing.assert_allclose(merged[sure], alone[sure], rtol=1e-5)
        direct = np.frombuffer(probabilities(ask(agents["top"], request(images=images))), np.float32).reshape(32, 10)
        # The top's labels are in reverse order: by name its columns belong in ours reversed.
        np.testing.assert_allclose(merged[~sure], direct[~sure][:, ::-1], atol=1e-6)


def probabilities(response):
    names = [output.name for output in response.outputs]
    return response.raw_output_contents[names.index("probabilities")]


def test_a_forged_envelope_does_not_loop(four):
    def forged(visited, hops):
        pairs = {"question": "forged", "touch-point": "nobody", "visited": visited, "hops-left": hops}
        return [(f"upriver-{key}", value) for key, value in pairs.items()]

    looping = facts(ask(four["device-1"], request(), metadata=forged("device-1", "9")))
    assert (looping["reason"], looping["path"], looping["degraded"]) == ("hops", "device-1", True)
    exhausted = facts(ask(four["device-1"], request(), metadata=forged("a", "0")))
    assert exhausted["reason"] == "hops"
    endless = facts(ask(four["device-1"], request(), metadata=forged("a", "999999999")))
    assert endless["path"] == "device-1,far-edge-1,near-edge-1,cloud-1"
    with pytest.raises(grpc.RpcError) as refused:
        ask(four["device-1"], request(), metadata=forged("a b", "3"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_envelope_of_a_stranger_is_not_believed(tmp_path):
    versions = [make_version(tmp_path, "low", NEVER), make_version(tmp_path, "top", ALWAYS)]
    strict = "[cascade]\nmax_hops = 4\n"
    with mesh(tmp_path, [("low", "device", versions[0]), ("top", "cloud", versions[1])], strict) as agents:
        pairs = {"question": "forged", "touch-point": "x", "visited": "low", "hops-left": "0"}
        told = facts(ask(agents["low"], request(), metadata=[(f"upriver-{k}", v) for k, v in pairs.items()]))
        assert told["path"] == "low,top"


def test_a_deadline_too_short_for_the_way_up_gives_the_own_answer_in_time(tmp_path):
    versions = [make_version(tmp_path, "low", NEVER), make_version(tmp_path, "top", ALWAYS)]
    with mesh(tmp_path, [("low", "device", versions[0]), ("top", "cloud", versions[1])]) as agents:
        ask(agents["low"], request())  # the link is up and its reserve learnt
        freeze(agents["top"].pid)
        try:
            told = facts(ask(agents["low"], request(), timeout=3.0))  # which gRPC fails if it comes later
        finally:
            os.kill(agents["top"].pid, signal.SIGCONT)
        assert (told["reason"], told["degraded"], told["agent"]) == ("deadline", True, "low")
        assert told["ticket"]


def test_kill_9_of_a_middle_tier_during_traffic_fails_nothing(tmp_path):
    versions = {tier: make_version(tmp_path, tier, ALWAYS if tier == "cloud" else NEVER) for tier in TIERS}
    with mesh(tmp_path, [(f"{tier}-1", tier, versions[tier]) for tier in TIERS]) as agents:
        told, failures, ended = [], [], threading.Event()

        def traffic():
            while not ended.is_set():
                try:
                    told.append(facts(ask(agents["device-1"], request())))
                except grpc.RpcError as error:
                    failures.append(error)

        askers = [threading.Thread(target=traffic) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            until(lambda: len(told) > 20, what="traffic")
            agents["near-edge-1"].kill()
            without = "device-1,far-edge-1,cloud-1"
            until(lambda: sum(answer["path"] == without for answer in list(told)) > 20, what="the way around")
        finally:
            ended.set()
            for asker in askers:
                asker.join(20)
        assert failures == []
        assert all(answer["resolved"] and not answer["degraded"] for answer in told[-10:])


def test_with_nobody_above_the_own_answer_comes_marked_degraded(tmp_path):
    version = make_version(tmp_path, "low", NEVER)
    config = write_config(tmp_path, "low", "device", ["device", "cloud"], [version], TRUSTING)
    with running(config, "low") as agent:
        told = facts(ask(agent, request()))
    assert (told["reason"], told["degraded"], told["resolved"]) == ("upstream_down", True, False)


def test_a_full_upstream_is_told_and_does_not_fail_the_question(tmp_path):
    versions = [make_version(tmp_path, name, NEVER) for name in ("low", "mid")] + [
        make_version(tmp_path, "top", ALWAYS)
    ]
    tiers = ["device", "far-edge", "cloud"]
    with running(write_config(tmp_path, "top", "cloud", tiers, [versions[2]], TRUSTING), "top", "cloud") as top:
        slow = '[cascade]\ntrust = "network"\nhop_delay_ms = 3000\n[serving]\nmax_inflight = 1\n'
        config = write_config(tmp_path, "mid", "far-edge", tiers, [versions[1]], slow, [top])
        with running(config, "mid", "far-edge") as mid:
            config = write_config(tmp_path, "low", "device", tiers, [versions[0]], TRUSTING, [mid])
            with running(config, "low", "device") as low:
                held = threading.Thread(target=ask, args=(mid, request()))
                held.start()

                until(lambda: asked(mid) == 1, what="the question that takes the only place")
                with pytest.raises(grpc.RpcError) as refused:
                    ask(mid, request(mode="local"))
                assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                told = facts(ask(low, request()))
                held.join(20)
    assert (told["reason"], told["degraded"], told["agent"]) == ("upstream_full", True, "low")


def test_a_caller_that_leaves_stops_the_work_on_every_tier(tmp_path):
    versions = {tier: make_version(tmp_path, tier, ALWAYS if tier == "cloud" else NEVER) for tier in TIERS[1:]}
    slow = '[cascade]\ntrust = "network"\nhop_delay_ms = 3000\n[serving]\nmax_inflight = 1\n'
    with mesh(tmp_path, [(f"{tier}-1", tier, versions[tier]) for tier in TIERS[1:]], slow) as agents:
        low = agents["far-edge-1"]
        with grpc.insecure_channel(low.address) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=pb.ModelInferRequest.SerializeToString,
                response_deserializer=pb.ModelInferResponse.FromString,
            )
            pending = call.future(request(), timeout=240)

            def busy(agent):
                try:
                    ask(agent, request(mode="local"))
                except grpc.RpcError as error:
                    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                return False

            until(lambda: asked(low) == 1, what="the question below")
            until(lambda: asked(agents["near-edge-1"]) == 1, what="the question one tier up")
            pending.cancel()
            until(lambda: not busy(agents["near-edge-1"]) and not busy(low), what="both places free")
            assert asked(agents["cloud-1"]) == 0, "nobody went on to the top after the hop's delay"
