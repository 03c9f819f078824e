import contextlib
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.models.folders import HERE, TEN
from upriver.errors import ModelInvalid
from upriver_agent.versions.model_file import ModelFile, Normalisation, parse_model, read_model_file
from upriver_agent.versions.operators import BUILTIN_OPERATORS

CONTENTS = [path.read_bytes() for path in sorted(HERE.glob("*.tflite"))]


def model(name: str) -> ModelFile:
    return read_model_file(HERE / f"{name}.tflite")


def test_tensors_carry_the_names_of_the_signature() -> None:
    found = model("two_by_two")
    assert {tensor.name: tensor.signature for tensor in found.inputs} == {"left": (-1, 4), "right": (-1, 2, 3)}
    assert {tensor.name: tensor.signature for tensor in found.outputs} == {"sum": (-1, 3), "product": (-1, 2)}
    assert found.signatures == ("serving_default",)


def test_a_tensor_is_found_by_either_of_its_names() -> None:
    found = model("two_by_two")
    by_signature = found.output_named("sum")
    assert by_signature is not None
    assert found.output_named(by_signature.tensor_name) is by_signature
    assert found.output_named("difference") is None


def test_quantisation_is_read() -> None:
    found = model("int8_dynamic")
    (image,) = found.inputs
    assert (image.dtype, image.zero_point) == ("int8", -128)
    assert image.scale == pytest.approx(1 / 255, rel=0.01)


def test_a_fixed_batch_shows_in_the_signature() -> None:
    assert model("float_fixed4").inputs[0].signature == (4, 14, 14, 1)


def test_operators_are_named_and_counted() -> None:
    assert model("uint8_fixed1").operators == {
        "CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "MEAN": 1,
        "QUANTIZE": 2,
        "SOFTMAX": 1,
    }
    assert (BUILTIN_OPERATORS[0], BUILTIN_OPERATORS[9], BUILTIN_OPERATORS[25]) == ("ADD", "FULLY_CONNECTED", "SOFTMAX")


def test_labels_and_normalisation_come_from_the_metadata() -> None:
    found = model("with_metadata")
    assert list(found.labels.values()) == [tuple(TEN)]
    assert list(found.normalisation.values()) == [Normalisation((127.5,), (127.5,))]


def test_a_model_without_metadata_has_neither() -> None:
    assert model("float_dynamic").labels == {}
    assert model("float_dynamic").normalisation == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b"TFL", "only 3 bytes"),
        (b"\x08\x00\x00\x00GIF8 and more", "b'GIF8', expected b'TFL3'"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(100), "truncated?"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid) as caught:
        read_model_file(path)
    assert told in str(caught.value)


def test_a_label_file_that_is_not_there_is_named() -> None:
    content = (HERE / "with_metadata.tflite").read_bytes()
    with pytest.raises(ModelInvalid, match=r"labels\.txt"):
        parse_model(content[: content.rindex(b"PK\x03\x04")])


def repeated(builder: flatbuffers.Builder, table: int, count: int) -> int:
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def table_of(builder: flatbuffers.Builder, **offsets: int) -> int:
    """A table whose fields `f<number>` are offsets."""
    builder.StartObject(9)
    for name, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
    return int(builder.EndObject())


def test_lists_that_share_what_they_point_to_do_not_take_for_ever() -> None:
    """40 kB: 5,000 subgraphs are one and the same, whose 5,000 operators are one too: 25 million to look at."""
    builder = flatbuffers.Builder(100_000)
    empty = table_of(builder)
    ends = builder.CreateNumpyVector(np.zeros(1, np.int32))
    one, many = repeated(builder, empty, 1), repeated(builder, empty, 5000)
    graph = table_of(builder, f0=one, f1=ends, f2=ends, f3=many)
    builder.Finish(table_of(builder, f1=one, f2=repeated(builder, graph, 5000), f4=one), file_identifier=b"TFL3")
    content = bytes(builder.Output())
    assert len(content) < 50_000
    with pytest.raises(ModelInvalid, match="more than 250000 elements"):
        parse_model(content)


def test_a_list_of_more_elements_than_any_model_has_is_refused() -> None:
    builder = flatbuffers.Builder(100_000)
    builder.StartObject(9)
    tensor = builder.EndObject()
    builder.Finish(table_of(builder, f2=repeated(builder, tensor, 250_001)), file_identifier=b"TFL3")
    with pytest.raises(ModelInvalid, match="more than 250000 elements"):
        parse_model(bytes(builder.Output()))


def parsed_or_refused(content: bytes) -> None:
    with contextlib.suppress(ModelInvalid):
        assert isinstance(parse_model(content), ModelFile)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CONTENTS), st.floats(0, 1))
def test_a_truncated_model_is_never_more_than_refused(content: bytes, share: float) -> None:
    parsed_or_refused(content[: int(len(content) * share)])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CONTENTS), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_a_model_with_wrong_bytes_is_never_more_than_refused(content: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(content)
    for at, value in changes:
        changed[at % len(changed)] = value
    parsed_or_refused(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
@example(b"\x04\x00\x00\x00\x04\x00\x00\x00")
def test_random_bytes_behind_the_right_identifier_are_refused(tail: bytes) -> None:
    parsed_or_refused(b"\x10\x00\x00\x00TFL3" + tail)
