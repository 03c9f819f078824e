"""The benchmark of certificates: its integrals are those of its questions."""

import math

import numpy as np
import pytest

from bench.certificate import digit_truth, oracle_ladder, oracle_truth, taken
from upriver.policies import Form
from upriver_control.calibration.cost_path import rule_of


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("thresholds", [(0.4, 0.2), (0.2, 0.4), (0.5, math.inf), (math.inf, 0.1), (math.inf, math.inf)])
def test_the_truth_that_is_written_down_is_that_of_many_questions(form: Form, thresholds: tuple[float, float]) -> None:
    ladder = oracle_ladder(np.random.default_rng(0), 300_000)
    rule = rule_of(ladder, thresholds)
    told, counted = oracle_truth(rule, form), digit_truth(ladder, rule, form)
    assert told.certified == pytest.approx(counted.certified, abs=4e-4)
    assert told.loss == pytest.approx(counted.loss, abs=4e-4)
    assert told.loss <= told.certified
    assert told.coverage == pytest.approx(1.0 - min(thresholds) if min(thresholds) < 1 else 0.0)


def test_rows_that_are_taken_are_those_rows() -> None:
    ladder = oracle_ladder(np.random.default_rng(0), 10)
    some = taken(ladder, np.array([3, 3, 7]))
    assert some.rows == 3
    assert some.confidence[0].tolist() == ladder.confidence[0][[3, 3, 7]].tolist()
