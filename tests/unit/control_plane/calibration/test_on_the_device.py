"""What was certified in a batch is what an agent decides, row by row."""

import numpy as np
import pytest

from tests.unit.control_plane.calibration.oracle import DIGEST
from tests.unit.control_plane.calibration.test_calibrate import CLASSES, classifiers
from upriver.policies import Form, PolicyDocument
from upriver.risk import class_risk_confidences
from upriver.scores import ScoreKind, confidences
from upriver_control.calibration.calibrate import calibrate
from upriver_control.calibration.inputs import CalibrationInput, Target, hop_costs
from upriver_control.calibration.prepared import prepare
from upriver_control.calibration.risk_fit import fit_risk
from upriver_control.calibration.scoring import features_of


def confidence_of(policy: PolicyDocument, row):
    """One row's confidence, as an agent computes it."""
    if policy.risk is not None:
        return class_risk_confidences(policy.risk, row, are_logits=True, temperature=policy.temperature)[0]
    return confidences(policy.score, row, are_logits=True, temperature=policy.temperature)[0]


def input_with_ties(rows=1500):
    """Outputs that were rounded as int8 outputs are, so that many questions have the very same scores."""
    tiers, _ = classifiers(np.random.default_rng(4), rows)
    for tier in tiers:
        tier.answered.scores[:] = np.round(tier.answered.scores)
    order = np.arange(rows)
    costs = hop_costs([5.0, 40.0])
    return CalibrationInput(tiers, order[:500], order[500:], costs, Target(0.02, 0.1, Form.JOINT), DIGEST + "8")


def test_an_agent_is_confident_of_exactly_the_questions_that_were_counted():
    given = input_with_ties()
    done = calibrate(given)
    answered = 0
    for outcome, outputs in zip(done.tiers, given.tiers, strict=False):
        policy, certificate = outcome.policy, outcome.policy.certificate
        if certificate is None:
            continue
        rows = outputs.answered.scores[given.calibrate]
        passing = [confidence_of(policy, row[np.newaxis]) >= policy.threshold for row in rows]
        assert np.mean(passing) == pytest.approx(certificate.coverage, abs=1e-12)
        answered += sum(passing)
    assert answered > 0
    assert len(CLASSES) == rows.shape[1]


def test_a_risk_model_says_the_same_of_a_row_alone_and_among_others():
    given = input_with_ties()
    tier = prepare(given, given.tiers[0])
    features = features_of(given.tiers[0], tier.scored.temperature)
    model = fit_risk({kind: values[given.tune] for kind, values in features.items()}, tier.loses[given.tune])
    scores = given.tiers[0].answered.scores
    policy = PolicyDocument(DIGEST + "0", ScoreKind.RISK, 0.5, tier.scored.temperature, risk=model)
    together = class_risk_confidences(model, scores, are_logits=True, temperature=policy.temperature)
    alone = np.array([confidence_of(policy, row[np.newaxis]) for row in scores])
    np.testing.assert_allclose(alone, together, atol=5e-13)
