"""Answers from below are taken in where that makes the certified cascade cheaper, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.calibration.oracle import DIGEST
from upriver.agreement import Answered
from upriver.fusion import fuse, opinion
from upriver.policies import Form, read_policy, write_policy
from upriver.scores import probabilities
from upriver_control.calibration.calibrate import calibrate
from upriver_control.calibration.cost_path import Ladder, rule_of
from upriver_control.calibration.fusion import fit_weights
from upriver_control.calibration.inputs import CalibrationInput, Target, TierOutputs, hop_costs

LABELS = ("ant", "bee", "cow")
INF = float("inf")


def views(rng, rows, noise=(2.0, 2.0, 0.3)):
    """Three classifiers that see the same truth through noise of their own: two halves know more than one."""
    truth = rng.integers(0, len(LABELS), rows)
    signal = 4.0 * np.eye(len(LABELS))[truth]
    return [signal + rng.normal(size=signal.shape) * sd for sd in noise], truth


def input_of(views, rows, form=Form.JOINT, fuse=True):
    tiers = tuple(
        TierOutputs(name, DIGEST + str(at), Answered(scores=scores, labels=LABELS), are_logits=True)
        for at, (name, scores) in enumerate(zip(("device", "far-edge", "cloud"), views, strict=True))
    )
    order, costs = np.arange(rows), hop_costs([1.0, 20.0])
    target = Target(0.02, 0.05, form)
    return CalibrationInput(tiers, order[: rows // 2], order[rows // 2 :], costs, target, DIGEST + "8", fuse=fuse)


def test_independent_views_are_fused_and_the_cascade_is_cheaper_for_it():
    scores, _ = views(np.random.default_rng(0), 4000)
    fused, apart = calibrate(input_of(scores, 4000)), calibrate(input_of(scores, 4000, fuse=False))
    policy = fused.tiers[1].policy
    assert policy.fusion is not None
    assert set(policy.fusion.weights) == {DIGEST + "0"}
    assert policy.fusion.own_weight == pytest.approx(policy.fusion.weights[DIGEST + "0"], rel=0.3)
    assert fused.tiers[0].policy.fusion is None
    assert fused.shipped.cost < 0.9 * apart.shipped.cost
    assert fused.shipped.risk <= 0.02
    assert read_policy(write_policy(policy)) == policy


def test_an_answer_from_below_that_knows_nothing_is_not_taken_in():
    scores, _ = views(np.random.default_rng(0), 2000)
    scores[0] = np.random.default_rng(1).normal(size=scores[0].shape)
    assert calibrate(input_of(scores, len(scores[0]))).tiers[1].policy.fusion is None


def test_the_same_answer_once_more_is_not_taken_in():
    scores, _ = views(np.random.default_rng(0), 2000)
    scores[0] = scores[1]
    assert calibrate(input_of(scores, len(scores[0]))).tiers[1].policy.fusion is None


def test_only_the_form_that_names_its_pairs_fuses():
    scores, _ = views(np.random.default_rng(0), 2000)
    done = calibrate(input_of(scores, 2000, Form.PER_TIER))
    assert all(outcome.policy.fusion is None for outcome in done.tiers)


def test_two_tiers_with_the_same_version_are_no_experts():
    scores, _ = views(np.random.default_rng(0), 1500, noise=(2.0, 2.0, 2.0, 0.3))
    given_ = input_of(scores[1:], 1500)
    twin = replace(given_.tiers[1], tier="near-edge", version_digest=given_.tiers[0].version_digest)
    tiers = (given_.tiers[0], twin, replace(given_.tiers[1], version_digest=DIGEST + "7"), given_.tiers[2])
    done = calibrate(replace(given_, tiers=tiers, costs=hop_costs([1.0, 1.0, 20.0])))
    assert all(len(outcome.policy.fusion.weights) == 1 for outcome in done.tiers if outcome.policy.fusion)


def test_weights_are_found_that_made_the_answers():
    rng = np.random.default_rng(3)
    logs = rng.normal(size=(2, 20_000, 3)) * 1.5
    own, expert = (probabilities(each, are_logits=True) for each in logs)
    joined = fuse(own, LABELS, 1.2, [(0.6, opinion(expert, LABELS))]).probabilities
    right = np.array([rng.choice(3, p=row) for row in joined])
    own_weight, (weight,) = fit_weights(own, [expert], right)
    assert own_weight == pytest.approx(1.2, abs=0.06)
    assert weight == pytest.approx(0.6, abs=0.06)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 3))
def test_rows_that_say_nothing_do_not_count(rows, seed):
    rng = np.random.default_rng(seed)
    own = rng.dirichlet(np.ones(3), rows)
    own[::2] = np.nan
    own_weight, (weight,) = fit_weights(own, [rng.dirichlet(np.ones(3), rows)], np.full(rows, -1))
    assert (own_weight, weight) == (1.0, 0.0)


def test_who_is_listened_to_is_asked_even_if_it_answers_nothing():
    ladder = Ladder(
        [np.zeros(1)] * 3,
        [np.zeros(1)] * 3,
        [np.zeros(1, bool)] * 3,
        hop_costs([1.0] * 3),
        [
            frozenset(),
            frozenset(),
            frozenset({1}),
        ],
    )
    assert rule_of(ladder, [INF, INF, 0.5]).following == (1, 2, 3)
    assert rule_of(ladder, [INF, 0.5, INF]).following == (1, 3, 3)
    assert rule_of(ladder, [INF, INF, INF]).following == (3, 3, 3)
