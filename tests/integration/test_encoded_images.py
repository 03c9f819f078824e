"""A model whose callers send JPEG and PNG files, and what comes of files that are broken or bombs."""

import io

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.agent_process import TRUSTING, mesh, running, write_config
from tests.versions import make_version
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

MAX_PIXELS = 250_000


def make_image_version(folder, name, threshold):
    made = make_version(folder, name, threshold)
    manifest = made / "manifest.toml"
    text = manifest.read_text()
    encoded = f'datatype = "BYTES"\nencoding = "image"\nmax_pixels = {MAX_PIXELS}'
    recipe = 'colour = "gray"\nscale = 0.004\nresize = { height = 14, width = 14, interpolation = "area" }'
    text = text.replace('datatype = "FP32"\nshape = [14, 14, 1]', encoded)
    text = text.replace('from = "image"', f'from = "image"\n{recipe}')
    manifest.write_text(text)
    return made


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    version = make_image_version(folder, "1", 0.0)
    with running(write_config(folder, "eyes", "device", ["device"], [version], TRUSTING), "eyes") as started:
        yield started


def file_of(size=(60, 40), kind="PNG"):
    pixels = np.random.default_rng(5).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def ask(agent, files):
    array = np.empty(len(files), object)
    array[:] = files
    message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(array, "BYTES")])
    message.inputs.add(name="image", datatype="BYTES", shape=[len(files)])
    with grpc.insecure_channel(agent.address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        return call(message, timeout=20)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_files_are_answered_alone_and_in_batches(agent, kind):
    files = [file_of((60, 40), kind), file_of((28, 28), kind), file_of((14, 90), kind)]
    together = np.frombuffer(ask(agent, files).raw_output_contents[0], np.float32)
    alone = np.concatenate([np.frombuffer(ask(agent, [file]).raw_output_contents[0], np.float32) for file in files])
    np.testing.assert_allclose(np.sort(together), np.sort(alone), atol=1e-5)


@pytest.mark.parametrize(
    ("file", "named"),
    [
        (b"", "image"),
        (b"no image at all", "image"),
        (file_of(kind="JPEG")[:300], "image"),
        (file_of((600, 600)), "pixels"),
        (file_of(kind="BMP"), "PNG"),
    ],
    ids=["empty", "text", "cut JPEG", "bomb", "another format"],
)
def test_files_that_can_not_be_read_are_refused(agent, file, named):
    with pytest.raises(grpc.RpcError) as refused:
        ask(agent, [file_of(), file])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert named in refused.value.details()
    assert ask(agent, [file_of()]).outputs


def test_a_file_travels_up_as_it_came(tmp_path):
    low, top = make_image_version(tmp_path, "low", 2.0), make_image_version(tmp_path, "top", 0.0)
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)]) as agents:
        file = file_of((200, 200), "JPEG")
        response = ask(agents["low"], [file])
        assert response.parameters["upriver.path"].string_param == "low,top"
        assert len(file) < response.parameters["upriver.bytes_up"].int64_param < len(file) + 1000
        direct = ask(agents["top"], [file])
        assert response.raw_output_contents[0] == direct.raw_output_contents[0]
