"""Temperature, risk model, choice of score and preflight, with the trouble that data can have."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.risk import problems_of, risk_confidences
from upriver.scores import ScoreKind, probabilities
from upriver_control.calibration.preflight import preflight
from upriver_control.calibration.risk_fit import fit_map, fit_risk, risk_of
from upriver_control.calibration.scoring import choose_score, merit
from upriver_control.calibration.temperature import BOUNDS, fit_temperature

TOP, MARGIN = ScoreKind.MAX_PROBABILITY, ScoreKind.MARGIN


def sampled(rng, rows, temperature):
    logits = rng.normal(size=(rows, 5)) * 3.0
    p = probabilities(logits, are_logits=True, temperature=temperature)
    return logits, np.array([rng.choice(5, p=row) for row in p])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    logits, labels = sampled(np.random.default_rng(0), 8000, temperature)
    assert fit_temperature(logits, labels, are_logits=True) == pytest.approx(temperature, rel=0.08)
    p = probabilities(logits, are_logits=True)
    assert fit_temperature(p, labels, are_logits=False) == pytest.approx(temperature, rel=0.08)


def test_a_temperature_is_always_usable():
    one_class, nothing = np.ones((4, 1)), np.zeros((0, 3))
    assert fit_temperature(one_class, np.zeros(4, dtype=np.intp), are_logits=True) == 1.0
    assert fit_temperature(nothing, np.zeros(0, dtype=np.intp), are_logits=True) == 1.0
    broken = np.array([[math.nan, 0.0], [math.inf, 1.0], [-math.inf, -math.inf]])
    assert fit_temperature(broken, np.zeros(3, dtype=np.intp), are_logits=True) == 1.0
    assert fit_temperature(np.eye(3), np.full(3, -1), are_logits=False) == 1.0
    sure = fit_temperature(np.eye(3), np.arange(3), are_logits=False)
    assert BOUNDS[0] <= sure <= BOUNDS[1]


def drawn(rng, rows=4000):
    u = rng.random(rows)
    features = {TOP: 1 - u / 2, MARGIN: 1 - u, ScoreKind.ENTROPY: -u, ScoreKind.ENERGY: np.full(rows, 3.0)}
    return features, rng.random(rows) < 0.3 * u**4, 0.3 * u**4


def test_a_risk_model_knows_the_risk_and_tells_neighbours_apart():
    features, wrong, risk = drawn(np.random.default_rng(1), 20_000)
    model = fit_risk(features, wrong)
    assert problems_of(model) == []
    assert ScoreKind.ENERGY not in model.features  # it says nothing
    told = 1 - risk_confidences(model, features)
    assert np.abs(told - risk).mean() < 0.01
    assert len(np.unique(told)) > 0.99 * len(told)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 3), st.booleans())
def test_a_risk_model_is_sound_or_there_is_none(bad, good, broken, constant):
    values = np.linspace(0.2, 0.9, bad + good + broken)
    features = {TOP: np.where(constant, 0.5, values), MARGIN: np.where(np.arange(len(values)) < broken, -np.inf, 1.0)}
    wrong = np.arange(len(values)) < bad
    model = fit_risk(features, wrong)
    if model is not None:
        assert problems_of(model) == []
        confidence = risk_confidences(model, {kind: features[kind] for kind in model.features})
        assert not np.isnan(confidence).any()


@pytest.mark.parametrize("wrong", [np.zeros(500, bool), np.ones(500, bool), np.arange(500) < 3])
def test_too_few_of_either_kind_make_no_risk_model(wrong):
    assert fit_risk({TOP: np.linspace(0, 1, 500)}, wrong) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=60))
def test_the_map_rises_and_stays_a_probability(rows):
    u = np.array([float(at) for at, _ in rows])
    knots = fit_map(u, np.array([flag for _, flag in rows]))
    at, risk = np.array(knots).T
    assert (np.diff(at) > 0).all()
    assert (np.diff(risk) >= 0).all()
    assert ((risk >= 0) & (risk <= 1)).all()
    assert len(knots) <= 64
    assert (np.diff(risk_of(knots, np.linspace(-6, 6, 50))) >= -1e-12).all()


def test_a_long_map_keeps_to_its_limit():
    u = np.linspace(0, 1, 20_000)
    assert len(fit_map(u, np.random.default_rng(0).random(20_000) < u**2)) <= 64


def test_the_score_that_tells_most_is_chosen():
    rng = np.random.default_rng(2)
    u = rng.random(6000)
    wrong = rng.random(6000) < 0.3 * u**4
    features = {TOP: rng.random(6000), MARGIN: 1 - u}
    chosen = choose_score(features, wrong, np.arange(3000), 0.01, 1.5)
    assert chosen.kind is MARGIN
    assert chosen.temperature == 1.5
    assert chosen.risk[np.argsort(u)[0]] < chosen.risk[np.argsort(u)[-1]]


def test_what_no_single_score_tells_a_risk_model_does():
    rng = np.random.default_rng(2)
    a, b = rng.random(8000), rng.random(8000)
    wrong = rng.random(8000) < 0.4 * ((a + b) / 2) ** 6
    chosen = choose_score({TOP: 1 - a, MARGIN: 1 - b}, wrong, np.arange(4000), 0.01, 1.0)
    assert chosen.kind is ScoreKind.RISK
    assert set(chosen.model.features) == {TOP, MARGIN}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, -math.inf]), st.booleans()), max_size=20))
def test_merit_is_a_share_and_splits_no_equals(rows):
    confidence = np.array([value for value, _ in rows], dtype=np.float64)
    wrong = np.array([flag for _, flag in rows], dtype=np.bool_)
    sizes = [0, *np.cumsum([np.sum(confidence == value) for value in (0.5, 0.1)])]
    possible = {round(float(np.mean(each)) / max(len(rows), 1), 9) for each in product(sizes, repeat=3)}
    assert round(merit(confidence, wrong, 0.5), 9) in possible


def test_preflight_knows_good_from_useless_and_reversed():
    rng = np.random.default_rng(3)
    u = rng.random(5000)
    wrong = rng.random(5000) < 0.4 * u**4
    good, useless, reverse = preflight(1 - u, wrong), preflight(rng.random(5000), wrong), preflight(u, wrong)
    assert good.auroc > 0.8
    assert good.fit
    assert 0.4 < useless.auroc < 0.6
    assert not useless.fit
    assert reverse.auroc == pytest.approx(1 - good.auroc)
    assert good.aurc < useless.aurc < reverse.aurc
    assert good.caught > 0.6 > useless.caught
    assert useless.caught == pytest.approx(0.2, abs=0.06)


def test_preflight_of_what_cannot_be_told_apart():
    ties = preflight(np.full(10, 0.7), np.arange(10) < 3)
    assert (ties.auroc, ties.aurc, ties.caught) == (0.5, pytest.approx(0.3), pytest.approx(0.2))
    assert preflight(np.zeros(0), np.zeros(0, bool)).fit is False
    assert preflight(np.full(5, 0.5), np.zeros(5, bool)).fit is True
    assert preflight(np.full(5, 0.5), np.ones(5, bool)).fit is False
