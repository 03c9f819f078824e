"""Weights of heads from sums: both methods, sums of every kind, and what lessons do to them."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from upriver.head_fit import Method, fit, joined, temperature_of
from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.heads import head_of, logits

DIGEST = "sha256:" + "a" * 64
METHODS = list(Method)


def lessons(rng: np.random.Generator, means: NDArray[np.float64], each: int) -> tuple[NDArray[np.float64], list[int]]:
    """Embeddings around `means` [labels, embedding], `each` of every label."""
    labels = [label for label in range(len(means)) for _ in range(each)]
    return means[labels] + rng.normal(size=(len(labels), means.shape[1])), labels


def summed(embeddings: NDArray[np.float64], labels: list[int], names: str) -> HeadStatistics:
    sums = nothing(embeddings.shape[1], tuple(names))
    for embedding, label in zip(embeddings, labels, strict=True):
        sums.add(embedding, np.eye(len(names))[label])
    return sums


def share_right(weights: NDArray[np.float64], embeddings: NDArray[np.float64], labels: list[int]) -> float:
    return float((logits(weights.astype(np.float32), embeddings.astype(np.float32)).argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("method", METHODS)
def test_a_head_tells_apart_what_its_lessons_tell_apart(method: Method) -> None:
    rng = np.random.default_rng(1)
    means = 5.0 * rng.normal(size=(4, 8))
    weights = fit(summed(*lessons(rng, means, 200), "abcd"), method)
    assert share_right(weights, *lessons(rng, means, 200)) > 0.99


def test_a_new_label_is_known_from_a_few_lessons_next_to_a_large_prior() -> None:
    rng = np.random.default_rng(2)
    means = 1.5 * rng.normal(size=(4, 16))
    prior = summed(*lessons(rng, means[:3], 2000), "abc")
    new, _ = lessons(rng, means[3:], 10)
    taught = joined(prior, summed(new, [3] * 10, "abcd"))
    assert taught.labels == ("a", "b", "c", "d")
    assert taught.lessons == pytest.approx(1010)
    assert share_right(fit(taught), *lessons(rng, means, 300)) > 0.95


def test_a_small_prior_counts_as_what_it_is() -> None:
    sums = summed(*lessons(np.random.default_rng(3), np.eye(4), 5), "abcd")
    assert joined(sums, nothing(4)).lessons == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_label_without_lessons_is_never_the_answer(method: Method) -> None:
    rng = np.random.default_rng(4)
    sums = summed(*lessons(rng, 3.0 * rng.normal(size=(3, 6)), 20), "abc").widened(("never",))
    anything = 100.0 * rng.normal(size=(500, 6)).astype(np.float32)
    assert (logits(fit(sums, method).astype(np.float32), anything).argmax(axis=1) < 3).all()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_learnt_is_a_head_that_says_nothing(method: Method) -> None:
    assert not fit(nothing(5, ("a", "b")), method).any()
    assert fit(nothing(5), method).shape == (6, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_embeddings_may_be_of_any_size(method: Method, scale: float) -> None:
    rng = np.random.default_rng(5)
    means = 4.0 * rng.normal(size=(3, 5))
    known, labels = lessons(rng, means, 40)
    weights = fit(summed(scale * known, labels, "abc"), method)
    found = (scale * known) @ weights[:-1] + weights[-1]
    assert (found.argmax(axis=1) == labels).mean() > 0.95


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("embeddings", "labels"),
    [
        (np.zeros((4, 3)), [0, 1, 0, 1]),  # all zero
        (np.ones((4, 3)), [0, 1, 0, 1]),  # all the same
        (np.eye(3)[:1], [0]),  # one lesson
        (np.eye(3), [1, 1, 1]),  # one label
        (np.outer(np.arange(6.0), np.ones(3)), [0, 0, 0, 1, 1, 1]),  # of rank one
        (np.eye(3)[:2] * 1e-200, [0, 1]),  # squares that are nothing
    ],
)
def test_sums_that_can_not_be_inverted_have_weights_too(
    method: Method, embeddings: NDArray[np.float64], labels: list[int]
) -> None:
    weights = fit(summed(embeddings, labels, "ab"), method)
    assert np.isfinite(weights).all()
    head_of(DIGEST, ("a", "b"), weights)  # can be written


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.integers(0, 12), st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None)
def test_any_sums_give_finite_weights(seed: int, width: int, labels: int, count: int, method: Method) -> None:
    rng = np.random.default_rng(seed)
    sums = nothing(width, tuple("abcd"[:labels]))
    for _ in range(count):
        embedding = np.rint(10.0 ** rng.integers(-3, 4) * rng.normal(size=width))
        sums.add(embedding, rng.dirichlet(np.ones(labels)), float(rng.choice([1.0, 0.5, -1.0])))
    assert np.isfinite(fit(sums, method)).all()


def test_sums_of_no_numbers_give_no_head_and_no_error() -> None:
    broken = nothing(2, ("a", "b"))
    broken.add(np.array([math.inf, 1.0]), np.array([1.0, 0.0]))
    assert np.isfinite(fit(broken)).all()


@pytest.mark.parametrize("method", METHODS)
def test_merged_parts_give_the_head_of_the_whole_and_forgetting_that_of_one_who_never_knew(method: Method) -> None:
    rng = np.random.default_rng(6)
    known, labels = lessons(rng, rng.normal(size=(3, 12)), 60)
    order = rng.permutation(len(labels))
    parts = [summed(known[part], [labels[i] for i in part], "abc") for part in np.array_split(order, 5)]
    whole = summed(known, labels, "abc")
    assert np.abs(fit(merged(parts), method) - fit(whole, method)).max() < 1e-9

    forgotten = order[:40]
    for index in forgotten:
        whole.add(known[index], np.eye(3)[labels[index]], -1.0)
    kept = order[40:]
    without = summed(known[kept], [labels[i] for i in kept], "abc")
    assert np.abs(fit(whole, method) - fit(without, method)).max() < 1e-9


def test_a_label_whose_lessons_were_all_forgotten_is_not_learnt() -> None:
    rng = np.random.default_rng(7)
    sums = summed(*lessons(rng, rng.normal(size=(2, 4)), 30), "ab")
    passing = rng.normal(size=(7, 4))
    wide = sums.widened(("c",))
    for sign in (1.0, -1.0):
        for one in passing:
            wide.add(one, np.array([0.1, 0.2, 0.7]), sign)
    assert np.abs(fit(wide)[:, :2] - fit(sums)).max() < 1e-9


def test_a_fixed_seed_gives_the_same_head_to_the_bit() -> None:
    heads = []
    for _ in range(2):
        rng = np.random.default_rng(8)
        heads.append(head_of(DIGEST, tuple("abc"), fit(summed(*lessons(rng, np.eye(3, 7), 9), "abc"))))
    assert (heads[0].grid == heads[1].grid).all()


def test_a_temperature_makes_probabilities_of_logits_that_are_too_sure() -> None:
    rng = np.random.default_rng(9)
    z = 2.0 * rng.normal(size=(4000, 5))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in p])
    assert temperature_of(3.0 * z, labels) == pytest.approx(3.0, rel=0.1)
    assert temperature_of(0.3 * z, labels) == 1.0
    assert temperature_of(z[:0], labels[:0]) == 1.0


def test_a_lesson_is_taken_in_and_a_head_fitted_fast_enough_for_a_device() -> None:
    # Of the processor's time, and ten times above what is measured, so that a busy machine does not matter.
    rng = np.random.default_rng(10)
    sums = summed(*lessons(rng, rng.normal(size=(10, 128)), 20), "abcdefghij")
    embedding, target = rng.normal(size=128).astype(np.float16), np.eye(10)[3]

    def best_s(work: Callable[[], object]) -> float:
        times = []
        for _ in range(20):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    assert best_s(lambda: sums.add(embedding, target)) < 0.002
    assert best_s(lambda: fit(sums)) < 0.05
