"""A version that answers here is judged by its own policy, as its agent would."""

import numpy as np
import pytest

from upriver.agreement import Answered
from upriver.policies import PolicyDocument
from upriver.risk import RiskModel
from upriver.scores import ScoreKind
from upriver_control.calibration.inputs import TierOutputs
from upriver_control.calling.own_answer import score_of

DIGEST = "sha256:" + "1" * 64
SURE = TierOutputs("t", DIGEST, Answered(scores=np.array([[0.1, 0.7, 0.2]], np.float32), labels=("a", "b", "c")))
BOXES = TierOutputs("t", DIGEST, Answered(), confidences={ScoreKind.BOX_SHARE: np.array([0.3])})


@pytest.mark.parametrize(
    ("kind", "score"), [(ScoreKind.MAX_PROBABILITY, 0.7), (ScoreKind.MARGIN, 0.5), (ScoreKind.ENTROPY, -0.7299)]
)
def test_a_classifiers_score_is_that_of_its_policy(kind, score):
    assert score_of(PolicyDocument(DIGEST, kind, 0.5), SURE) == pytest.approx(score, abs=1e-4)


def test_a_risk_model_is_one_less_the_risk():
    risk = RiskModel(((ScoreKind.MAX_PROBABILITY, -1.0),), 0.0, ((-1.0, 0.0), (0.0, 1.0)))
    assert score_of(PolicyDocument(DIGEST, ScoreKind.RISK, 0.5, risk=risk), SURE) == pytest.approx(0.7, abs=1e-6)


def test_other_tasks_have_confidences_of_their_own_and_without_a_policy_the_first_counts():
    assert score_of(PolicyDocument(DIGEST, ScoreKind.BOX_SHARE, 0.5), BOXES) == 0.3
    assert score_of(None, BOXES) == 0.3
    assert score_of(None, SURE) == pytest.approx(0.7)
    assert score_of(None, TierOutputs("t", DIGEST, Answered())) == -np.inf
