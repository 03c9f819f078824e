"""Arrays as the protocol carries them: raw and typed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from upriver.errors import InvalidInput
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import CONTENTS_FIELDS, DTYPES, Array, Datatype, datatype_of, decode_raw, decode_typed, encode_raw

SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMERIC = st.sampled_from(sorted(DTYPES)).flatmap(lambda name: npst.arrays(DTYPES[name], SHAPES))
BYTES = npst.arrays(object, SHAPES, elements=st.binary(max_size=6), fill=st.nothing())


@given(NUMERIC)
def test_numbers_come_back_from_their_raw_form(array: Array) -> None:
    datatype = datatype_of(array)
    np.testing.assert_array_equal(decode_raw("x", datatype, array.shape, encode_raw(array, datatype)), array)


@given(NUMERIC)
def test_byte_order_and_layout_of_the_array_do_not_matter(array: Array) -> None:
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert datatype_of(swapped) == datatype_of(array)
    assert encode_raw(swapped, datatype_of(swapped)) == encode_raw(array, datatype_of(array))
    assert encode_raw(np.asfortranarray(array), datatype_of(array)) == encode_raw(array, datatype_of(array))


@given(BYTES)
def test_bytes_come_back_from_their_raw_form(array: Array) -> None:
    raw = encode_raw(array, Datatype.BYTES)
    assert decode_raw("x", Datatype.BYTES, array.shape, raw).tolist() == array.tolist()


@given(st.lists(st.floats(width=16, allow_nan=False), max_size=8))
def test_short_floats_lose_nothing_of_what_bf16_can_hold(values: list[float]) -> None:
    array = (np.array(values, "<f4").view("<u4") & 0xFFFF0000).astype("<u4").view("<f4")
    raw = encode_raw(array, Datatype.BF16)
    assert len(raw) == 2 * len(values)
    np.testing.assert_array_equal(decode_raw("x", Datatype.BF16, [len(values)], raw), array)


@given(NUMERIC.filter(lambda array: datatype_of(array) in CONTENTS_FIELDS))
def test_numbers_come_back_from_their_typed_form(array: Array) -> None:
    datatype = datatype_of(array)
    contents = pb.InferTensorContents()
    getattr(contents, CONTENTS_FIELDS[datatype]).extend(array.reshape(-1).tolist())
    np.testing.assert_array_equal(decode_typed("x", datatype, array.shape, contents), array)


@given(st.sampled_from([*DTYPES, Datatype.BF16, Datatype.BYTES]), st.lists(st.integers(0, 3), max_size=3), st.binary())
def test_raw_bytes_fit_or_are_refused_by_name(datatype: str, shape: list[int], raw: bytes) -> None:
    refused = ""
    try:
        assert list(decode_raw("photo", datatype, shape, raw).shape) == shape
    except InvalidInput as error:
        refused = str(error)
    assert not refused or "photo" in refused


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [("UINT8", "uint_contents", 256), ("INT8", "int_contents", -129), ("UINT16", "uint_contents", 1 << 16)],
)
def test_a_typed_value_outside_its_type_is_refused(datatype: str, field: str, value: int) -> None:
    contents = pb.InferTensorContents()
    getattr(contents, field).append(value)
    with pytest.raises(InvalidInput, match=f"outside {datatype}"):
        decode_typed("x", datatype, [1], contents)


@pytest.mark.parametrize("datatype", [Datatype.FP16, Datatype.BF16])
def test_half_floats_travel_raw_only(datatype: str) -> None:
    with pytest.raises(InvalidInput, match="raw_input_contents only"):
        decode_typed("x", datatype, [1], pb.InferTensorContents())


def test_what_has_no_data_type_is_refused() -> None:
    with pytest.raises(InvalidInput, match="complex"):
        datatype_of(np.zeros(1, complex))
    with pytest.raises(InvalidInput, match=r"unknown datatype 'FP8'.*allowed"):
        decode_raw("x", "FP8", [1], b"1")
    with pytest.raises(InvalidInput, match="negative"):
        decode_raw("x", "FP32", [-1], b"")
    with pytest.raises(InvalidInput, match="too many"):
        decode_raw("x", "FP32", [1 << 40, 1 << 40], b"")
