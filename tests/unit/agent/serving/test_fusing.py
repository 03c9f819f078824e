"""What an agent makes of its own answer and those from below."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.heads import REPORT, head_for, loader_in, policy_with, version_with_embedding
from tests.tier import version_of
from upriver.fusion import fuse, opinion
from upriver.policies import Basis, Certificate, Form, Fusion, PolicyDocument, rules_digest
from upriver.scores import ScoreKind, confidences, probabilities
from upriver_agent.predictor import Prediction
from upriver_agent.serving.fusing import make_fuser, own_opinion, said
from upriver_agent.serving.scoring import make_scorer
from upriver_agent.versions.manifest import Manifest, ScoresAre

LABELS = tuple("abcdefghij")
BELOW, OTHER = f"sha256:{1:064x}", f"sha256:{2:064x}"
RNG = np.random.default_rng(4)
LOGITS = RNG.normal(size=(5, 10)).astype(np.float32) * 3
TOLD = RNG.dirichlet(np.ones(10), 5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder: Path = tmp_path_factory.mktemp("fusing")
    return version_of(folder, "one", LABELS).manifest


def document(**weights: float) -> PolicyDocument:
    fusion = Fusion(1.0, {BELOW: weights.get("below", 0.0), OTHER: weights.get("other", 0.0)})
    return PolicyDocument(f"sha256:{9:064x}", ScoreKind.MARGIN, 0.5, temperature=1.7, fusion=fusion)


def joined(manifest, policy, scores, below):
    prediction = Prediction(scores, None, {"probabilities": scores})
    fuser = make_fuser(manifest, policy, LABELS)
    assert fuser is not None
    return fuser(prediction, make_scorer(manifest, policy)(prediction), below)


def test_a_policy_without_fusion_has_nothing_to_do(manifest: Manifest) -> None:
    assert make_fuser(manifest, replace(document(), fusion=None), LABELS) is None


def test_logits_are_scaled_fused_and_told_as_logits_again(manifest: Manifest) -> None:
    logits = replace(manifest, outputs=replace(manifest.outputs, scores_are=ScoresAre.LOGITS))
    policy = document(below=0.8)
    joint = joined(logits, policy, LOGITS, [(BELOW, opinion(TOLD, LABELS)), ("sha256:x", opinion(TOLD, LABELS))])
    p = probabilities(LOGITS, are_logits=True, temperature=1.7)
    expected = fuse(p, LABELS, 1.0, [(0.8, opinion(TOLD, LABELS))]).probabilities
    np.testing.assert_allclose(probabilities(joint.prediction.scores, are_logits=True), expected, atol=1e-6)
    margins = confidences(ScoreKind.MARGIN, expected, are_logits=False)
    np.testing.assert_allclose(joint.confidence, margins, rtol=1e-12)
    assert joint.rows.all()
    assert joint.versions == (BELOW,)
    assert joint.own.scores is LOGITS


def test_a_row_that_nothing_is_said_of_stays_as_it_was(manifest: Manifest) -> None:
    told = TOLD.copy()
    told[1:3] = np.nan
    joint = joined(manifest, document(below=1.0), TOLD.astype(np.float32), [(BELOW, opinion(told, LABELS))])
    assert joint.rows.tolist() == [True, False, False, True, True]
    own = TOLD.astype(np.float32)
    np.testing.assert_array_equal(joint.prediction.scores[1:3], own[1:3])
    alone = confidences(ScoreKind.MARGIN, own, are_logits=False, temperature=1.7)
    np.testing.assert_array_equal(joint.confidence[1:3], alone[1:3])


@pytest.mark.parametrize(("given", "sure"), [((), False), ((BELOW,), False), ((BELOW, OTHER), True)])
def test_what_was_certified_is_the_answer_of_all(manifest: Manifest, given: tuple[str, ...], sure: bool) -> None:
    rules = document(below=1.0, other=0.5)
    proof = Certificate(Form.PER_TIER, Basis.TOP, 0.01, 0.05, 9, 0.0, 0.5, 0.5, BELOW, rules_digest(rules), BELOW)
    below = [(version, opinion(TOLD, LABELS)) for version in given]
    joint = joined(manifest, replace(rules, certificate=proof), TOLD.astype(np.float32), below)
    assert np.isfinite(joint.confidence).all() == sure
    assert np.isfinite(joined(manifest, rules, TOLD.astype(np.float32), below).confidence).all()


def test_what_goes_up_is_what_the_version_alone_says_at_its_temperature() -> None:
    prediction = Prediction(LOGITS, None, {})
    rows = np.array([3, 0])
    told = own_opinion(prediction, rows, LABELS, True, 2.0)
    expected = probabilities(LOGITS[rows], are_logits=True, temperature=2.0)
    np.testing.assert_allclose(told.values, expected, rtol=1e-3, atol=1e-6)


def test_what_a_head_says_goes_by_the_heads_name_and_has_its_labels(tmp_path: Path) -> None:
    version, loader = version_with_embedding(tmp_path), loader_in(tmp_path)
    head = head_for(version, 1, ["learnt"])
    policy = policy_with(version, head)
    base = loader.warm(version, REPORT)
    refined = loader.refined(base, policy, head)
    rows, names = np.array([0]), frozenset({version.digest, policy.head})
    for loaded, name in ((base, version.digest), (refined, policy.head)):
        own = loaded.predict({"image": np.ones((1, 14, 14, 1), np.float32)}, 1)
        assert isinstance(own, Prediction)
        ((speaker, told),) = said(loaded, (), own, rows, names)
        assert speaker == name
        assert told.labels == loaded.form.labels
    assert said(refined, (), own, rows, frozenset({version.digest})) == [], "nobody takes it for the version's own"
