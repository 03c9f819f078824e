"""What audits say against a certificate: valid under the null, quick after a change, safe for as long as it runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.monitor import NULL, delay, false_alarms, ratios
from upriver_agent.monitoring.evidence import MULTIPLES, Evidence, Limits, log_mean, log_ratio

nulls = st.floats(1e-6, 0.89)


@given(nulls, st.sampled_from(MULTIPLES))
def test_a_likelihood_ratio_has_a_mean_of_one_under_the_null(null: float, multiple: float) -> None:
    mean = null * math.exp(log_ratio(True, null, multiple)) + (1 - null) * math.exp(log_ratio(False, null, multiple))
    assert mean == pytest.approx(1.0, rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), nulls), max_size=60))
def test_the_statistics_are_those_of_their_formulas_whatever_the_nulls(
    audits: list[tuple[bool, float]],
) -> None:
    evidence = Evidence()
    e, m = [1.0] * len(MULTIPLES), [0.0] * len(MULTIPLES)
    for disagrees, null in audits:
        evidence = evidence.observe(disagrees, null)
        for index, multiple in enumerate(MULTIPLES):
            p = min(multiple * null, 0.9)
            ratio = p / null if disagrees else (1 - p) / (1 - null)
            e[index] *= ratio
            m[index] = (m[index] + 1) * ratio
    assert math.exp(evidence.log_e_value) == pytest.approx(sum(e) / len(e), rel=1e-6)
    if audits:
        assert math.exp(evidence.log_shiryaev_roberts) == pytest.approx(sum(m) / len(m), rel=1e-6)
    assert evidence.audits == len(audits)
    assert evidence.disagreements == sum(disagrees for disagrees, _ in audits)


def test_a_million_audits_of_one_kind_leave_finite_numbers() -> None:
    quiet = wrong = Evidence()
    for _ in range(1_000_000 // 100):  # a hundred audits at once: the logarithms only add up
        quiet = quiet.observe(False, NULL)
    scale = 100
    quiet = Evidence(10**6, 0, tuple(value * scale for value in quiet.log_e), quiet.log_m)
    assert math.isfinite(quiet.log_e_value)
    assert quiet.log_e_value < -2000
    assert not quiet.rings(Limits())
    for _ in range(2000):
        wrong = wrong.observe(True, 1e-6)
    assert math.isfinite(wrong.log_e_value)
    assert math.isfinite(wrong.log_shiryaev_roberts)
    assert wrong.rings(Limits())
    late = quiet
    for audit in range(100):
        late = late.observe(audit % 5 == 0, NULL)
    assert late.rings(Limits()), "what a long quiet time has taken from the e-process, Shiryaev-Roberts does not lack"


@pytest.mark.parametrize("null", [0.0, -0.1, 0.9, 1.0, math.nan])
def test_a_null_that_can_not_be_tested_is_refused(null: float) -> None:
    with pytest.raises(ValueError, match="null"):
        Evidence().observe(True, null)


def test_a_million_stationary_audits_at_exactly_the_null_alarm_the_e_process_no_more_often_than_promised() -> None:
    runs, promised = 600, 0.05
    random = np.random.default_rng(11)
    log_hit, log_miss = ratios()
    log_e = np.zeros((runs, len(MULTIPLES)))
    left = np.full(runs, 10**6)
    rang = np.zeros(runs, bool)
    while (left > 0).any():
        agreed = random.geometric(NULL, runs) - 1
        left -= agreed + 1
        log_e += agreed[:, np.newaxis] * log_miss + log_hit
        rang |= (left >= 0) & (np.exp(np.minimum(log_e, 50.0)).mean(axis=1) >= 1 / promised)
    # 3 standard deviations of chance, and not absurdly few: the bound is used.
    assert 0.2 * promised < rang.mean() <= promised + 3 * math.sqrt(promised * (1 - promised) / runs)


def test_a_million_stationary_questions_ring_less_than_once() -> None:
    assert false_alarms(Limits(), NULL, audits=20_000, agents=1_000, seed=5).per_million_questions <= 1.0


@pytest.mark.parametrize(("quiet_audits", "error", "at_most"), [(0, 0.0, 60), (2000, 0.0, 100), (2000, NULL, 100)])
def test_a_jump_of_the_error_is_seen_in_time(quiet_audits: int, error: float, at_most: int) -> None:
    assert delay(Limits(), quiet_audits, error, jump_to=0.05, agents=1_500, seed=7).median <= at_most


def test_jumping_from_disagreement_to_disagreement_counts_the_alarms_that_stepping_counts() -> None:
    alarms = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        evidence = Evidence()
        for disagrees in random.random(400) < 0.02:
            evidence = evidence.observe(bool(disagrees), NULL)
            if evidence.rings(Limits()):
                alarms += 1
                evidence = Evidence()
    jumped = false_alarms(Limits(), 0.02, audits=400, agents=4_000, seed=1)
    assert alarms / 40 == pytest.approx(jumped.alarms / 4_000, abs=0.35)


@given(st.lists(st.floats(-1e5, 600), min_size=1, max_size=8))
def test_a_mean_of_logarithms_lies_between_the_smallest_and_the_largest(logs: list[float]) -> None:
    assert min(logs) - 1e-6 <= log_mean(logs) <= max(logs) + 1e-6
