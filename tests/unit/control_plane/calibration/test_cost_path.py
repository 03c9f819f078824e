"""The cost path: from everything to the top to everything below, each point the cheapest at its risk."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver_control.calibration.baselines import baselines
from upriver_control.calibration.cost_path import Ladder, Rule, cost_path, lost, rule_of, run
from upriver_control.calibration.inputs import hop_costs

LEVELS = st.sampled_from([0.1, 0.2, 0.4, 0.7, 0.9, -math.inf])


@st.composite
def ladders(draw):
    tiers, rows = draw(st.integers(1, 3)), draw(st.integers(1, 25))
    each = st.lists(LEVELS, min_size=rows, max_size=rows)
    confidence = [np.array(draw(each)) for _ in range(tiers)]
    flags = st.lists(st.booleans(), min_size=rows, max_size=rows)
    wrong = [np.array(draw(flags)) for _ in range(tiers)]
    risk = [np.where(values > -math.inf, 1 - values, math.nan) for values in confidence]
    hops = draw(st.lists(st.sampled_from([0.0, 1.0, 10.0]), min_size=tiers, max_size=tiers))
    return Ladder(confidence, risk, wrong, hop_costs(hops))


@settings(max_examples=25, deadline=None)
@given(ladders())
def test_along_the_path_every_tier_answers_more_and_nothing_repeats(ladder):
    path = cost_path(ladder, [True] * ladder.below, prices=40)
    assert path[0].thresholds == (math.inf,) * ladder.below
    for before, after in pairwise(path):
        assert before.thresholds != after.thresholds
        assert all(new <= old for old, new in zip(before.thresholds, after.thresholds, strict=True))


@settings(max_examples=25, deadline=None)
@given(ladders())
def test_a_tier_that_is_not_active_answers_nothing(ladder):
    active = [at != 0 for at in range(ladder.below)]
    assert all(rule.thresholds[0] == math.inf for rule in cost_path(ladder, active, prices=30))


@settings(deadline=None)
@given(ladders(), st.lists(LEVELS, min_size=3, max_size=3))
def test_every_question_ends_somewhere_and_pays_its_way(ladder, thresholds):
    rule = rule_of(ladder, [math.inf if at == -math.inf else at for at in thresholds[: ladder.below]])
    course = run(ladder, rule)
    assert course.shares(ladder.below + 1).sum() == 1.0 or abs(course.shares(ladder.below + 1).sum() - 1) < 1e-12
    np.testing.assert_allclose(course.cost, ladder.costs[0][course.exits])  # hops add up on every way
    for tier in range(ladder.below):
        assert (ladder.confidence[tier][course.exits == tier] >= rule.thresholds[tier]).all()
    assert not lost(ladder, course.exits)[course.exits == ladder.below].any()


@settings(max_examples=20, deadline=None)
@given(ladders(), st.randoms(use_true_random=False))
def test_the_order_of_questions_does_not_matter(ladder, random):
    order = list(range(ladder.rows))
    random.shuffle(order)
    shuffled = Ladder(
        *[[values[order] for values in part] for part in (ladder.confidence, ladder.risk, ladder.wrong)], ladder.costs
    )
    active = [True] * ladder.below
    plain = [rule.thresholds for rule in cost_path(ladder, active, prices=15)]
    assert [rule.thresholds for rule in cost_path(shuffled, active, prices=15)] == plain


def test_no_thresholds_at_all_are_much_cheaper_at_the_same_risk():
    rng = np.random.default_rng(0)
    rows = 2000
    u = rng.random(rows)
    noisy = [1 - u, np.clip(1 - u + rng.normal(size=rows) * 0.05, 0, 1)]
    risks = [0.5 * u**3, 0.2 * u**3]
    wrong = [rng.random(rows) < risk for risk in risks]
    ladder = Ladder(noisy, risks, wrong, hop_costs([5.0, 40.0]))
    grid = [Rule((a, b), (1, 2)) for a in np.linspace(0, 1.05, 31) for b in np.linspace(0, 1.05, 31)]

    def told(rule):
        course = run(ladder, rule)
        return np.choose(course.exits, [*risks, np.zeros(rows)]).mean(), course.cost.mean()

    found = [told(rule) for rule in grid]
    for risk, cost in map(told, cost_path(ladder, [True, True], 60)[::6]):
        assert cost <= 1.2 * min(other for its, other in found if its <= risk + 1e-9)


def test_a_straight_way_that_costs_less_is_taken_and_a_dear_one_is_not():
    flat = Ladder([np.zeros(1)] * 2, [np.zeros(1)] * 2, [np.zeros(1, bool)] * 2, hop_costs([5.0, 40.0]))
    assert rule_of(flat, (0.5, math.inf)).following == (2, 2)
    dear = np.array([[0, 5, 90], [0, 0, 40], [0, 0, 0]], dtype=np.float64)
    assert rule_of(Ladder(flat.confidence, flat.risk, flat.wrong, dear), (0.5, math.inf)).following == (1, 2)


def test_baselines_are_what_their_names_say():
    wrong = [np.array([True, True, False, False]), np.array([True, False, True, False])]
    ladder = Ladder([np.zeros(4)] * 2, [np.zeros(4)] * 2, wrong, hop_costs([5.0, 40.0]))
    top, local, oracle = baselines(ladder)
    assert (top.risk, top.cost, top.exit_shares) == (0.0, 45.0, (0.0, 0.0, 1.0))
    assert (local.risk, local.cost, local.exit_shares) == (0.5, 0.0, (1.0, 0.0, 0.0))
    assert (oracle.risk, oracle.cost, oracle.exit_shares) == (0.0, (45 + 5) / 4, (0.5, 0.25, 0.25))
