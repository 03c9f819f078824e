"""Whatever a caller sends, the agent says what was wrong with the right status, and goes on serving."""

import socket
import struct
import subprocess
import sys

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agent_process import TRUSTING, running, write_config
from tests.versions import make_version
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

IMAGE = np.full((1, 14, 14, 1), 0.5, np.float32)
METHOD = "/inference.GRPCInferenceService/ModelInfer"
SIXTY_FOUR_MIB = 64 << 20


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    config = write_config(folder, "firm", "device", ["device"], [make_version(folder, "1", 0.0)], TRUSTING)
    with running(config, "firm") as started:
        yield started


@pytest.fixture(scope="module")
def channel(agent):
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(agent.address, limits) as made:
        yield made


def request(array=IMAGE, name="image", datatype="FP32", model="pattern", version="", shape=None, raw=None):
    message = pb.ModelInferRequest(model_name=model, model_version=version)
    message.inputs.add(name=name, datatype=datatype, shape=array.shape if shape is None else shape)
    message.raw_input_contents.append(encode_raw(array, "FP32") if raw is None else raw)
    return message


def ask(channel, message, timeout=20):
    call = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
    return call(message, timeout=timeout)


def refusal(channel, message):
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, message)
    details = dict(refused.value.trailing_metadata()).get("grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    if details is not None:
        assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    assert ask(channel, request()).outputs  # and it serves on
    return refused.value.code().name, refused.value.details(), info.reason


def typed():
    message = pb.ModelInferRequest(model_name="pattern")
    message.inputs.add(name="image", datatype="FP32", shape=[1, 14, 14, 1]).contents.fp32_contents.extend([0.5] * 196)
    return message


def mixed():
    message = typed()
    message.raw_input_contents.append(IMAGE.tobytes())
    return message


def twice():
    message = request()
    message.inputs.add(name="image", datatype="FP32", shape=IMAGE.shape)
    message.raw_input_contents.append(IMAGE.tobytes())
    return message


def output(name, **parameters):
    message = request()
    wanted = message.outputs.add(name=name)
    for key, value in parameters.items():
        wanted.parameters[key].int64_param = value
    return message


NAN = np.full((1, 14, 14, 1), np.nan, np.float32)
CASES = {
    "unknown model": (request(model="nope"), "NOT_FOUND", "pattern", "MODEL_NOT_FOUND"),
    "no model": (request(model=""), "NOT_FOUND", "pattern", "MODEL_NOT_FOUND"),
    "unknown version": (request(version="9"), "NOT_FOUND", "versions: 1", "VERSION_NOT_FOUND"),
    "unknown tensor": (request(name="picture"), "INVALID_ARGUMENT", "image (FP32 [rows, 14, 14, 1])", "INVALID_INPUT"),
    "wrong datatype": (request(datatype="FP64", raw=bytes(196 * 8)), "INVALID_ARGUMENT", "expected datatype FP32", ""),
    "unknown datatype": (request(datatype="FP33"), "INVALID_ARGUMENT", "FP33", ""),
    "wrong shape": (request(np.zeros((1, 28, 28, 1))), "INVALID_ARGUMENT", "expected shape [rows, 14, 14, 1]", ""),
    "no rows dimension": (request(IMAGE[0]), "INVALID_ARGUMENT", "expected shape [rows, 14, 14, 1]", ""),
    "negative shape": (request(shape=[-1, 14, 14, 1]), "INVALID_ARGUMENT", "negative", ""),
    "absurd shape": (request(shape=[2**40, 2**20]), "INVALID_ARGUMENT", "too many elements", ""),
    "scalar": (request(shape=[], raw=bytes(4)), "INVALID_ARGUMENT", "expected shape", ""),
    "too few bytes": (request(raw=bytes(10)), "INVALID_ARGUMENT", "takes 784 bytes, got 10", ""),
    "no contents": (pb.ModelInferRequest(model_name="pattern"), "INVALID_ARGUMENT", "'image' is missing", ""),
    "mixed raw and typed": (mixed(), "INVALID_ARGUMENT", "use one of them", ""),
    "an input twice": (twice(), "INVALID_ARGUMENT", "appears twice", ""),
    "NaN": (request(NAN), "INVALID_ARGUMENT", "NaN", ""),
    "empty batch": (request(np.zeros((0, 14, 14, 1))), "INVALID_ARGUMENT", "at least one row", ""),
    "too many rows": (request(np.zeros((5000, 14, 14, 1))), "INVALID_ARGUMENT", "at most 4096", ""),
    "unknown output": (output("logits"), "INVALID_ARGUMENT", "probabilities", ""),
    "negative classification": (output("probabilities", classification=-1), "INVALID_ARGUMENT", "classification", ""),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_refused_with_what_was_wrong_and_what_is_expected(channel, case):
    message, code, named, reason = CASES[case]
    got_code, got_details, got_reason = refusal(channel, message)
    assert got_code == code
    assert named in got_details
    assert got_reason == (reason or "INVALID_INPUT")


def test_typed_contents_of_a_wrong_count_are_refused(channel):
    message = typed()
    message.inputs[0].contents.fp32_contents.append(1.0)
    assert refusal(channel, message)[0] == "INVALID_ARGUMENT"


def test_a_message_above_the_bound_is_refused(channel):
    code, details, _ = refusal(channel, request(raw=bytes(SIXTY_FOUR_MIB + 1)))
    assert code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in details


def test_a_deadline_already_past_is_told_as_such(channel):
    with pytest.raises(grpc.RpcError) as late:
        ask(channel, request(), timeout=-1)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ask(channel, request()).outputs


def test_bytes_that_are_no_message_are_refused(channel):
    call = channel.unary_unary(METHOD, bytes, bytes)
    with pytest.raises(grpc.RpcError):
        call(b"\xff" * 100, timeout=20)
    assert ask(channel, request()).outputs


def test_clients_that_disconnect_in_the_middle_leave_nothing_behind(agent, channel):
    host, port = agent.address.rsplit(":", 1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0)[1:] + b"\x04\x00" + bytes(4)
    for cut in (3, 24, 30, len(preface)):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(preface[:cut])
    for _ in range(20):
        with grpc.insecure_channel(agent.address) as hasty:
            call = hasty.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
            call.future(request()).cancel()
    assert ask(channel, request()).outputs


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["image", "imag", ""]),
    datatype=st.sampled_from(["FP32", "BYTES", "BF16", "UINT8", "", "fp32"]),
    shape=st.lists(st.integers(-2, 20), max_size=5),
    raw=st.binary(max_size=900),
    use_raw=st.booleans(),
)
def test_no_request_is_answered_with_an_internal_error(channel, name, datatype, shape, raw, use_raw):
    message = pb.ModelInferRequest(model_name="pattern")
    tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
    if use_raw:
        message.raw_input_contents.append(raw)
    else:
        tensor.contents.uint_contents.extend(raw)
    try:
        ask(channel, message)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error.details()  # noqa: PT017 - success is fine too


def start(config):
    return subprocess.run(
        [sys.executable, "-m", "upriver_agent", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_that_is_taken_is_told_at_start(tmp_path, agent):
    config = write_config(tmp_path, "second", "device", ["device"], [], listen=agent.address)
    ended = start(config)
    assert ended.returncode == 2
    assert agent.address in ended.stderr
    assert "free port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_unknown_configuration_keys_are_told_at_start(tmp_path):
    config = write_config(tmp_path, "odd", "device", ["device"], [], "[serving]\nmax_inflght = 3\n")
    ended = start(config)
    assert ended.returncode == 2
    assert "max_inflght" in ended.stderr
    assert "max_inflight" in ended.stderr


@pytest.mark.parametrize("damage", ["truncated", "random", "lying manifest"])
def test_a_broken_version_is_told_and_the_others_are_served(tmp_path, damage):
    good, bad = make_version(tmp_path, "1", 0.0), make_version(tmp_path, "2", 0.0, model="broken")
    file = bad / "model.tflite"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "random":
        file.write_bytes(np.random.default_rng(1).bytes(4000))
    else:
        manifest = bad / "manifest.toml"
        manifest.write_text(manifest.read_text().replace("[14, 14, 1]", "[28, 28, 1]"))
    config = write_config(tmp_path, "half", "device", ["device"], [bad, good], TRUSTING)
    with running(config, "half") as half, grpc.insecure_channel(half.address) as channel:
        assert ask(channel, request()).outputs
        index = channel.unary_unary(
            "/inference.GRPCInferenceService/RepositoryIndex",
            pb.RepositoryIndexRequest.SerializeToString,
            pb.RepositoryIndexResponse.FromString,
        )(pb.RepositoryIndexRequest())
        (told,) = [model for model in index.models if model.state == "UNAVAILABLE"]
        assert told.reason
        assert half.alive()
