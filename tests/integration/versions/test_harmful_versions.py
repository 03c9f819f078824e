"""An agent that is told to load a version which crashes, blocks or swells the runtime refuses it and serves on."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.agent_process import TRUSTING, AgentProcess, running, write_config
from tests.models.folders import SCALAR, version_folder
from tests.versions import make_version
from upriver.oip.v2 import inference_pb2 as pb

SERVICE = "/inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("harm")
    more = TRUSTING + "[serving]\nadmin = true\n"
    config = write_config(folder, "sturdy", "device", ["device"], [make_version(folder, "1", 0.0)], more)
    with running(config, "sturdy") as started:
        yield started


def load(agent: AgentProcess, path: Path) -> grpc.RpcError:
    message = pb.RepositoryModelLoadRequest(model_name="risk")
    message.parameters["path"].string_param = str(path)
    with grpc.insecure_channel(agent.address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(
            f"{SERVICE}/RepositoryModelLoad",
            pb.RepositoryModelLoadRequest.SerializeToString,
            pb.RepositoryModelLoadResponse.FromString,
        )(message, timeout=100)
    error: grpc.RpcError = refused.value
    return error


def answers(agent: AgentProcess) -> bool:
    message = pb.ModelInferRequest(model_name="pattern")
    message.inputs.add(name="image", datatype="FP32", shape=[1, 14, 14, 1])
    message.raw_input_contents.append(np.zeros((1, 14, 14, 1), "<f4").tobytes())
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            f"{SERVICE}/ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )
        return bool(call(message, timeout=20).outputs)


@pytest.mark.parametrize(("model", "reason"), [("calling_itself", "SIGSEGV"), ("swelling", "FILL")])
def test_a_harmful_version_is_refused_with_the_reason(
    agent: AgentProcess, tmp_path: Path, model: str, reason: str
) -> None:
    error = load(agent, version_folder(tmp_path / "version", model, SCALAR))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason in error.details()
    assert agent.alive()
    assert answers(agent)


def test_an_archive_that_points_outside_is_refused(agent: AgentProcess, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "version.zip", "w") as made:
        made.writestr("../../model.tflite", b"anything")
    error = load(agent, tmp_path / "version.zip")
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "points outside" in error.details()
    assert answers(agent)
