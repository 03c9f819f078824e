"""Audits between real agents: asked after the answer, judged once whatever happens, and an alarm that is heeded."""

import json
import sqlite3

import grpc
import numpy as np

from tests.agent_process import TRUSTING, mesh, running, until, write_config
from tests.versions import LABELS, make_version
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

RNG = np.random.default_rng(23)
NEVER, ALWAYS = 2.0, 0.0
EVERYTHING = "[audits]\nrate = 1.0\nmax_rate = 1.0\nper_s = 10000\ntarget = 0.005\n"


def request(rows=1, **parameters):
    images = RNG.random((rows, 14, 14, 1), dtype=np.float32)
    message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(images, "FP32")])
    message.inputs.add(name="image", datatype="FP32", shape=images.shape)
    for key, value in parameters.items():
        kind = {bool: "bool_param", float: "double_param", str: "string_param"}[type(value)]
        setattr(message.parameters[f"upriver.{key}"], kind, value)
    return message


def ask(agent, message, metadata=()):
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        response = call(message, timeout=20, metadata=metadata, wait_for_ready=True)
    return {
        key.removeprefix("upriver."): getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in response.parameters.items()
    }


def seen(agent):
    """Rows that the agent's model has answered."""
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelStatistics",
            request_serializer=pb.ModelStatisticsRequest.SerializeToString,
            response_deserializer=pb.ModelStatisticsResponse.FromString,
        )
        return call(pb.ModelStatisticsRequest(name="pattern"), timeout=20).model_stats[0].inference_count


class Journal:
    """What an agent's audits have on disk."""

    def __init__(self, folder, agent):
        self.path = folder / agent / "audits.db"

    def waiting(self):
        return self._read("SELECT count(*) FROM cases")[0][0]

    def judged(self):
        """Audits that the monitors counted: all, and disagreements."""
        states = [json.loads(state) for (state,) in self._read("SELECT state FROM monitors")]
        return sum(one["audits"] for one in states), sum(one["disagreements"] for one in states)

    def alarms(self):
        return sum(bool(json.loads(state)["alarm_since"]) for (state,) in self._read("SELECT state FROM monitors"))

    def _read(self, query):
        if not self.path.exists():
            return [(0,)] if "count" in query else []
        connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


def test_what_was_answered_here_is_held_against_the_top_and_nothing_else_is_asked_twice(tmp_path):
    versions = {
        "device": make_version(tmp_path, "device", ALWAYS),
        "edge": make_version(tmp_path, "edge", ALWAYS),
        "cloud": make_version(tmp_path, "cloud", NEVER),
    }
    tiers = [(name, name, version) for name, version in versions.items()]
    with mesh(tmp_path, tiers, TRUSTING + EVERYTHING) as agents:
        device, journal = agents["device"], Journal(tmp_path, "device")
        for _ in range(5):
            told = ask(device, request())
            assert (told["agent"], told["reason"], told["path"]) == ("device", "confident", "device")
        ask(device, request(rows=3))
        until(lambda: journal.judged() == (8, 0), what="eight audits that agree")
        assert seen(agents["cloud"]) == 8
        assert seen(agents["edge"]) == 0, "audits go straight to the top"
        for parameters in ({"mode": "local"}, {"max_tier": "edge"}, {"mode": "top"}):
            ask(device, request(**parameters))
        until(lambda: journal.judged() == (9, 0), what="the top's own answer counts as its audit")
        assert seen(agents["cloud"]) == 9
        assert journal.waiting() == 0
        assert Journal(tmp_path, "cloud").judged() == (0, 0)
        assert Journal(tmp_path, "edge").judged() == (0, 0), "an audit is not audited"

        # One that knows no top asks by way of the tier between, whose own answer does not count.
        lonely_config = write_config(
            tmp_path, "lonely", "device", tuple(versions), [versions["device"]], TRUSTING + EVERYTHING, [agents["edge"]]
        )
        journal, passed_on = Journal(tmp_path, "lonely"), seen(agents["edge"])
        with running(lonely_config, "lonely", "device") as lonely:
            ask(lonely, request(rows=2))
            until(lambda: journal.judged() == (2, 0), what="two audits by way of the edge")
            assert (seen(agents["edge"]) - passed_on, seen(agents["cloud"])) == (2, 11)
            agents["cloud"].kill()
            ask(lonely, request())
            until(lambda: seen(agents["edge"]) > passed_on + 2, what="the edge answering for itself")
            assert (journal.waiting(), journal.judged()) == (1, (2, 0))
        assert Journal(tmp_path, "edge").judged() == (0, 0)


def test_an_alarm_sends_everything_up_and_outlives_kill_9(tmp_path):
    wrong = make_version(tmp_path, "wrong", ALWAYS, labels=LABELS[::-1])
    right = make_version(tmp_path, "right", ALWAYS)
    cloud_config = write_config(tmp_path, "cloud", "cloud", ("device", "cloud"), [right], TRUSTING)
    with running(cloud_config, "cloud", "cloud") as cloud:
        tiers, more = ("device", "cloud"), TRUSTING + EVERYTHING
        config = write_config(tmp_path, "device", "device", tiers, [wrong], more, [cloud])
        journal = Journal(tmp_path, "device")
        with running(config, "device", "device") as device:
            assert ask(device, request())["agent"] == "device"
            until(lambda: ask(device, request())["reason"] == "alarm", what="the alarm")
            told = ask(device, request())
            assert (told["agent"], told["tier"], told["resolved"]) == ("cloud", "cloud", True)
            assert told["path"] == "device,cloud"
            unsure = ask(device, request(min_confidence=2.0))
            assert unsure["reason"] == "top", "what goes up anyway does not go up because of the alarm"
            local = ask(device, request(mode="local"))
            assert (local["reason"], local["resolved"]) == ("mode", False)
            assert journal.alarms() == 1
            device.kill()
        with running(config, "device", "device") as device:
            assert ask(device, request())["reason"] == "alarm", "the pair is the same, and so is what is known of it"
            cloud.kill()
            told = ask(device, request())
            assert (told["agent"], told["resolved"], told["degraded"]) == ("device", False, True)
        better = make_version(tmp_path, "better", ALWAYS, labels=LABELS[::-1])
        config = write_config(tmp_path, "device", "device", tiers, [better], more, [cloud])
        with running(config, "device", "device") as device:
            told = ask(device, request())
            assert (told["agent"], told["reason"]) == ("device", "confident"), "another pair begins without an alarm"


def test_audits_wait_for_the_top_and_are_judged_once_though_the_agent_is_killed(tmp_path):
    version = make_version(tmp_path, "v", ALWAYS)
    cloud_config = write_config(tmp_path, "cloud", "cloud", ("device", "cloud"), [version], TRUSTING)
    with running(cloud_config, "cloud", "cloud") as cloud:
        address = cloud.address
    config = write_config(tmp_path, "device", "device", ("device", "cloud"), [version], TRUSTING + EVERYTHING, [cloud])
    journal = Journal(tmp_path, "device")
    with running(config, "device", "device") as device:
        for rows in (1, 1, 3, 1):
            assert ask(device, request(rows))["agent"] == "device"
        until(lambda: journal.waiting() == 6, what="all cases in the journal")
        device.kill()
    with running(config, "device", "device") as device:
        assert ask(device, request())["agent"] == "device"
        until(lambda: journal.waiting() == 7, what="the cases of both runs")
        again = write_config(tmp_path, "cloud", "cloud", ("device", "cloud"), [version], TRUSTING, listen=address)
        with running(again, "cloud", "cloud") as cloud:
            until(lambda: journal.waiting() == 0 and journal.judged() == (7, 0), what="the verdicts", timeout_s=90)
            assert seen(cloud) == 7
            device.kill()
        with running(config, "device", "device"):
            assert journal.judged() == (7, 0)
            assert journal.waiting() == 0


def test_without_a_certificate_a_target_or_a_control_plane_nothing_is_audited(tmp_path):
    version = make_version(tmp_path, "v", ALWAYS)
    more = f"{TRUSTING}[audits]\nrate = 1.0\n"
    with mesh(tmp_path, [("device", "device", version), ("cloud", "cloud", version)], more) as agents:
        for _ in range(20):
            ask(agents["device"], request())
        assert seen(agents["cloud"]) == 0
        assert Journal(tmp_path, "device").waiting() == 0
