"""Heads: one written form, deltas to the bit, and nothing that is broken is taken for one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.errors import ModelInvalid
from upriver.heads import (
    Head,
    apply_delta,
    closest_within,
    head_of,
    logits,
    read_head,
    write_delta,
    write_head,
)
from upriver.listing import digest

VERSION = "sha256:" + "5" * 64
LABELS = ("zero", "one", "zwei ✓")


def some_head(seed: int = 0, width: int = 6, labels: tuple[str, ...] = LABELS, size: float = 3.0) -> Head:
    weights = np.random.default_rng(seed).normal(0, size, (width + 1, len(labels)))
    return head_of(VERSION, labels, weights)


@given(st.integers(0, 99), st.integers(1, 40), st.floats(1e-6, 1e4))
def test_a_head_comes_back_as_it_was_written(seed: int, width: int, size: float) -> None:
    head = some_head(seed, width, size=size)
    data = write_head(head)
    again = read_head(data)
    assert write_head(again) == data
    assert np.array_equal(again.weights(), head.weights())
    assert again.labels == LABELS


def test_weights_are_as_close_as_the_grid_allows() -> None:
    weights = np.random.default_rng(1).normal(0, 2, (9, 3))
    head = head_of(VERSION, LABELS, weights)
    assert np.abs(head.weights() - weights).max() <= 2.0**head.exponent / 2
    assert np.abs(head.weights()).max() > 2.0 ** (head.exponent + 12)  # nearly all of the 16 bits are in use


def test_logits_are_the_embedding_times_weights_and_the_bias() -> None:
    head = head_of(VERSION, ("a", "b"), np.array([[1.0, -1.0], [0.5, 0.25], [3.0, 4.0]]))
    found = logits(head.weights(), np.array([[2.0, 4.0], [0.0, 0.0]], np.float32))
    assert found.tolist() == [[7.0, 3.0], [3.0, 4.0]]


@given(st.integers(0, 99), st.floats(0, 1), st.integers(0, 2))
def test_a_delta_makes_exactly_the_new_head(seed: int, change: float, more: int) -> None:
    old = some_head(seed)
    rng = np.random.default_rng(seed + 1)
    labels = (*LABELS, *(f"new {number}" for number in range(more)))
    weights = np.hstack([old.weights(), rng.normal(0, 1, (7, more))])
    weights = weights + rng.normal(0, change, weights.shape)
    new = Head(VERSION, labels, old.exponent, np.rint(np.clip(weights / 2.0**old.exponent, -32767, 32767)).astype("i2"))
    delta = write_delta(old, new)
    assert delta is not None
    assert write_head(apply_delta(old, delta)) == write_head(new)


def test_a_head_that_comes_close_has_a_small_delta() -> None:
    rng = np.random.default_rng(3)
    labels = tuple("0123456789")
    old = head_of(VERSION, labels[:7], rng.normal(0, 1, (129, 7)))
    wanted = np.hstack([old.weights(), rng.normal(0, 1, (129, 3))]) + rng.normal(0, 0.05, (129, 10))
    new = closest_within(old, labels, wanted, 1024)
    delta = write_delta(old, new)
    assert delta is not None
    assert len(delta) <= 1024
    assert np.abs(new.weights() - wanted).max() < 0.6
    assert write_head(apply_delta(old, delta)) == write_head(new)


def test_heads_of_other_versions_have_no_delta() -> None:
    old = some_head()
    assert write_delta(old, Head("sha256:" + "6" * 64, old.labels, old.exponent, old.grid)) is None
    assert write_delta(old, Head(VERSION, old.labels[::-1], old.exponent, old.grid)) is None
    assert write_delta(old, some_head(width=7)) is None


def test_a_delta_is_not_applied_to_another_head() -> None:
    old, new = some_head(0), some_head(0)
    new.grid[0, 0] += 1
    delta = write_delta(old, new)
    assert delta is not None
    with pytest.raises(ModelInvalid, match="not the one that is here"):
        apply_delta(some_head(1), delta)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("labels", ["x"] * 20_000, "20003 labels"),
        ("step", [1], "step"),
        ("step", True, "step"),
        ("step", 1e300, "step"),
        ("step", 0, "step"),
        ("step", 10**30, "step"),
    ],
)
def test_a_deltas_labels_and_step_are_bounded_before_it_is_unpacked(field: str, value: object, told: str) -> None:
    old, new = some_head(0), some_head(0)
    new.grid[0, 0] += 1
    delta = write_delta(old, new)
    assert delta is not None
    first, line, rest = delta.split(b"\n", 2)
    text = json.dumps({**json.loads(line), field: value}).encode()
    with pytest.raises(ModelInvalid, match=told):
        apply_delta(old, b"\n".join([first, text, rest]))


@settings(max_examples=300)
@given(st.data())
def test_a_broken_file_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    old, new = some_head(0), some_head(0)
    new.grid[:] += 3
    delta = write_delta(old, new)
    assert delta is not None
    whole = data.draw(st.sampled_from([write_head(new), delta]))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 4)) :]
    for read in (read_head, lambda text: apply_delta(old, text)):
        try:
            found = read(broken)
        except ModelInvalid:
            continue
        assert write_head(found) == broken or digest(write_head(found)) == digest(write_head(new))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("embedding", 10**9),
        ("embedding", -1),
        ("exponent", 200),
        ("exponent", True),
        ("exponent", -3.0),
        ("labels", ["a", "a", "b"]),
        ("labels", "abc"),
        ("labels", [1, 2, 3]),
        ("version_digest", "sha256:1"),
        ("more", 1),
    ],
)
def test_a_field_that_is_not_as_it_should_be_is_refused(field: str, value: object) -> None:
    first, line, grid = write_head(some_head()).split(b"\n", 2)
    fields = {**json.loads(line), field: value}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ModelInvalid, match="head"):
        read_head(b"\n".join([first, text, grid]))


def test_a_head_with_weights_that_are_not_on_the_grid_is_not_written() -> None:
    with pytest.raises(ModelInvalid, match="expected -32767"):
        write_head(Head(VERSION, ("a",), 0, np.full((2, 1), -32768, np.int16)))
    with pytest.raises(ModelInvalid, match="int16"):
        write_head(Head(VERSION, ("a",), 0, np.zeros((2, 2), np.int16)))
