"""Compressed inputs and opinions from below, as they travel; and what is no such thing is refused, naming it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from upriver import zstd
from upriver.errors import InvalidInput
from upriver.fusion import Opinion, opinion
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Tensor, datatype_of
from upriver_agent import wire
from upriver_agent.serving.packing import Packer
from upriver_agent.serving.request import Below

DIGEST = f"sha256:{7:064x}"
IMAGE = np.arange(60, dtype=np.uint8).reshape(3, 20)


def sent(array: np.ndarray, below: tuple[Below, ...] = (), packed: bool = True) -> pb.ModelInferRequest:
    tensor = Tensor("x", datatype_of(array), array)
    pack = (lambda name, data: zstd.pack(data)) if packed else None
    message = wire.write_request("m", "", [tensor], {}, False, pack, below)
    return pb.ModelInferRequest.FromString(message.SerializeToString())


@given(
    npst.arrays(
        st.sampled_from([np.uint8, np.int8, np.float16, np.float32, np.float64, np.bool_, np.int64]),
        npst.array_shapes(min_dims=1, max_dims=4),
    )
)
def test_compressed_inputs_arrive_bit_for_bit(array: np.ndarray) -> None:
    read = wire.read_request(sent(array)).inputs["x"]
    assert read.array.dtype == array.dtype
    assert read.array.shape == array.shape
    assert read.array.tobytes() == array.tobytes()


def test_compressed_encoded_images_and_texts_arrive_as_they_were() -> None:
    array = np.array([b"\x89PNG" * 50, b"", b"x" * 300], dtype=object)
    assert wire.read_request(sent(array)).inputs["x"].array.tolist() == array.tolist()


def test_a_frame_that_holds_something_else_than_it_says_is_refused() -> None:
    def refused(message: pb.ModelInferRequest, match: str, room: int = 1 << 20) -> None:
        with pytest.raises(InvalidInput, match=match):
            wire.read_request(message, room)

    bomb = sent(IMAGE)
    bomb.raw_input_contents[0] = zstd.pack(bytes(50 << 20))
    refused(bomb, "input 'x': (a|no) zstd frame")
    claims = sent(IMAGE)
    claims.inputs[0].parameters["upriver.zstd"].int64_param = 50 << 20
    refused(claims, "expected 1 to")
    claims.inputs[0].parameters["upriver.zstd"].int64_param = 61
    refused(claims, r"61 bytes are no UINT8 of shape \[3, 20\]")
    claims.inputs[0].parameters["upriver.zstd"].string_param = "60"
    refused(claims, "holds 0 bytes")
    broken = sent(IMAGE)
    broken.raw_input_contents[0] = b"not zstd"
    refused(broken, "no zstd frame")
    refused(sent(IMAGE), "expected 1 to 59", room=59)


def test_without_zstd_compressed_inputs_are_refused_and_none_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    message = sent(IMAGE)
    monkeypatch.setattr(zstd, "_NAMES", ("no.such.zstd",))
    for cached in (zstd.available, zstd.zstd):
        cached.cache_clear()
    try:
        with pytest.raises(InvalidInput, match="this agent reads no zstd"):
            wire.read_request(message)
        packer = Packer()
        assert not packer.able
        assert packer("m", "x", bytes(1000)) is None
    finally:
        monkeypatch.undo()
        for cached in (zstd.available, zstd.zstd):
            cached.cache_clear()


def test_a_long_input_that_does_not_shrink_is_tried_on_its_first_rows_only() -> None:
    packer = Packer()
    noise = np.random.default_rng(2).bytes(1 << 20)
    assert packer("m", "x", noise) is None
    assert packer("m", "x", bytes(1 << 20)) is None  # let alone for a while
    assert packer("m", "y", bytes(1 << 20)) is not None
    assert packer.least("m", "x", 1000) == 1000
    assert packer.least("m", "y", 1000) == 0
    assert Packer(enabled=False)("m", "y", bytes(1000)) is None


OPINIONS = [
    opinion(np.random.default_rng(0).dirichlet(np.ones(4), 3), ("a", "b,", "c\\", "a")),
    opinion(np.random.default_rng(1).dirichlet(np.ones(4), 3)),
    opinion(np.random.default_rng(2).dirichlet(np.ones(100), 3), [f"n{index}" for index in range(100)]),
    opinion(np.random.default_rng(3).dirichlet(np.ones(100), 3)),
]


@pytest.mark.parametrize("told", OPINIONS)
def test_opinions_arrive_as_they_were_beside_the_inputs(told: Opinion) -> None:
    request = wire.read_request(sent(IMAGE, ((DIGEST, told), (f"sha256:{8:064x}", OPINIONS[0]))))
    np.testing.assert_array_equal(request.inputs["x"].array, IMAGE)
    assert list(request.inputs) == ["x"]
    version, read = request.below[0]
    assert (version, read.labels, len(request.below)) == (DIGEST, told.labels, 2)
    np.testing.assert_array_equal(read.values, told.values)
    assert (read.columns is None) == (told.columns is None)
    if told.columns is not None:
        np.testing.assert_array_equal(read.columns, told.columns)


def change(name: str, **fields: object) -> pb.ModelInferRequest:
    message = sent(IMAGE, ((DIGEST, OPINIONS[2]),), packed=False)
    tensor = next(tensor for tensor in message.inputs if tensor.name == name)
    for key, value in fields.items():
        if key == "version":
            tensor.parameters["upriver.version"].string_param = value
        elif key == "labels":
            tensor.parameters["upriver.labels"].string_param = value
        elif key == "rename":
            tensor.name = value
        elif key == "shape":
            tensor.ClearField("shape")
            tensor.shape.extend(value)
    return message


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (change("upriver.below/0", version="sha256:1"), "expected upriver.version with the digest"),
        (change("upriver.below/0", labels="a,b"), "names label"),
        (change("upriver.below/0", shape=(32, 3)), r"expected FP16 \[3, up to 32\]"),
        (change("upriver.below/0/columns", shape=(32, 3)), "expected UINT32 like its values"),
        (change("upriver.below/0/columns", rename="upriver.below/1/columns"), "columns and|unknown input"),
        (change("x", rename="upriver.colour"), "expected FP16|expected upriver.version"),
        (sent(IMAGE, ((DIGEST, OPINIONS[0]), (DIGEST, OPINIONS[1]))), "one of a version"),
        (sent(IMAGE[:2], ((DIGEST, OPINIONS[0]),)), r"expected FP16 \[2, up to 32\]"),
    ],
)
def test_what_is_no_opinion_is_refused(message: pb.ModelInferRequest, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        wire.read_request(message)
