"""The contract check: what fits passes untouched, what does not is named."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import InvalidInput
from upriver.tensors import Tensor
from upriver_agent.serving.contract import Contract, InputSpec

CONTRACT = Contract([InputSpec("a", "FP32", (3,)), InputSpec("b", "UINT8", ())], max_rows=8)


def tensors(rows=2, **changed):
    made = {
        "a": Tensor("a", "FP32", np.zeros((rows, 3), np.float32)),
        "b": Tensor("b", "UINT8", np.zeros(rows, np.uint8)),
    }
    return made | changed


def test_what_fits_passes_without_a_copy():
    given_tensors = tensors()
    rows, arrays = CONTRACT.check(given_tensors)
    assert rows == 2
    assert arrays["a"] is given_tensors["a"].array


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(size=st.sampled_from([1, 7, 784, 9000]), at=st.integers(0, 8999), kind=st.sampled_from(["nan", "inf", "max"]))
def test_nan_is_found_wherever_it_is_and_nothing_else_is_taken_for_it(dtype, size, at, kind):
    name = {np.float16: "FP16", np.float32: "FP32", np.float64: "FP64"}[dtype]
    array = np.full((1, size), np.finfo(dtype).max if kind == "max" else 1, dtype)
    array[0, 0] = -math.inf if kind != "max" else array[0, 0]
    array[0, at % size] = {"nan": math.nan, "inf": math.inf, "max": -np.finfo(dtype).max}[kind]
    contract = Contract([InputSpec("x", name, (size,))])
    asked = {"x": Tensor("x", name, array)}
    if kind == "nan":
        with pytest.raises(InvalidInput, match="NaN"):
            contract.check(asked)
    else:
        with np.errstate(over="ignore"):
            assert contract.check(asked)[0] == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"c": Tensor("c", "FP32", np.zeros(2))}, "unknown input 'c'"),
        ({"a": Tensor("a", "FP64", np.zeros((2, 3)))}, "expected datatype FP32"),
        ({"a": Tensor("a", "FP32", np.zeros((2, 4), np.float32))}, r"expected shape \[rows, 3\], got \[2, 4\]"),
        ({"b": Tensor("b", "UINT8", np.zeros(3, np.uint8))}, "3 rows, the inputs before it 2"),
    ],
)
def test_what_does_not_fit_is_named(changed, named):
    with pytest.raises(InvalidInput, match=named):
        CONTRACT.check(tensors(**changed))


@pytest.mark.parametrize(("rows", "named"), [(0, "at least one row"), (9, "at most 8")])
def test_the_number_of_rows_is_bounded(rows, named):
    with pytest.raises(InvalidInput, match=named):
        CONTRACT.check(tensors(rows))


def test_a_missing_input_is_named_with_what_is_expected():
    with pytest.raises(InvalidInput, match=r"input 'b' is missing; expected: a \(FP32 \[rows, 3\]\), b"):
        CONTRACT.check({"a": tensors()["a"]})
