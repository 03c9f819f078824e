"""A whole calibration: policies that can be read, hold what they promise, and say what is missing."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.control_plane.calibration.oracle import DIGEST, TARGET, Difficulty, drawn
from upriver.agreement import Answered
from upriver.errors import InvalidInput, ManifestError
from upriver.policies import Basis, Form, read_policy, rules_digest, write_policy
from upriver.scores import ScoreKind
from upriver_control.calibration.calibrate import calibrate
from upriver_control.calibration.cost_path import Rule, cost_path
from upriver_control.calibration.inputs import CalibrationInput, Target, TierOutputs, hop_costs
from upriver_control.calibration.joint import any_route, any_route_counts
from upriver_control.calibration.prepared import ladder_of, prepare

TWO = (Difficulty(0.3, 3.0), Difficulty(0.1, 3.0))
CLASSES = ("ant", "bee", "cow", "dog")


def classifiers(rng, rows, sharpness=(1.5, 3.0, 6.0), labels=CLASSES):
    """Three classifiers that see the same thing, the higher the clearer; logits."""
    truth = rng.integers(0, len(CLASSES), rows)
    seen = rng.normal(size=(rows, len(CLASSES)))
    tiers = []
    for at, (name, sharp) in enumerate(zip(("device", "far-edge", "cloud"), sharpness, strict=True)):
        logits = sharp * np.eye(len(CLASSES))[truth] * 2.0 + seen + rng.normal(size=seen.shape) * 0.3
        order = [CLASSES.index(label) for label in labels] if at == 0 else list(range(len(CLASSES)))
        answered = Answered(scores=logits[:, order], labels=labels if at == 0 else CLASSES)
        tiers.append(TierOutputs(name, DIGEST + str(at), answered, are_logits=True))
    return tuple(tiers), tuple(CLASSES[label] for label in truth)


def classified(rows=4000, target=TARGET, **given):
    tiers, _ = classifiers(np.random.default_rng(4), rows, **given)
    order = np.arange(rows)
    return CalibrationInput(tiers, order[: rows // 2], order[rows // 2 :], hop_costs([5.0, 40.0]), target, DIGEST + "8")


@pytest.mark.parametrize("form", Form)
def test_what_ships_is_a_signed_sealed_readable_policy_within_the_bound(form):
    done = calibrate(classified(target=Target(0.01, 0.05, form)))
    assert done.form is form
    assert done.basis is Basis.TOP
    assert 0 < done.certified_loss <= 0.01 + 1e-12
    assert done.shipped.risk <= done.certified_loss
    assert sum(done.shipped.exit_shares) == pytest.approx(1.0)
    assert done.shipped.cost < 45.0
    for outcome in done.tiers:
        text = write_policy(outcome.policy)
        assert read_policy(text) == outcome.policy
        certificate = outcome.policy.certificate
        assert (certificate is None) == (outcome.policy.threshold == math.inf)
        if certificate is not None:
            assert certificate.rules == rules_digest(outcome.policy)
            assert certificate.top == DIGEST + "2"
            assert certificate.questions == 2000
            assert len(certificate.peers) == (1 if form is Form.JOINT else 0)


@pytest.fixture(scope="module")
def done():
    return calibrate(classified())


def test_a_certificate_does_not_survive_an_edit(done):
    policy = done.tiers[0].policy
    assert policy.certificate is not None
    for edited in (
        replace(policy, threshold=policy.threshold - 1e-6),
        replace(policy, temperature=policy.temperature * 1.01),
        replace(policy, version_digest=DIGEST + "f"),
        replace(policy, escalate_to="cloud"),
    ):
        with pytest.raises(ManifestError):
            write_policy(edited)


def test_labels_in_another_order_make_the_same_policy(done):
    shuffled = calibrate(classified(labels=("dog", "ant", "cow", "bee")))
    assert shuffled.shipped == done.shipped
    for one, other in zip(done.tiers, shuffled.tiers, strict=True):
        assert other.policy.threshold == pytest.approx(one.policy.threshold, rel=1e-6)
        assert other.policy.score is one.policy.score


def test_questions_in_another_order_make_the_same_policy(done):
    given = classified()
    assert calibrate(replace(given, calibrate=given.calibrate[::-1])).tiers == done.tiers


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("count", [0, 1, 100])
def test_too_few_questions_always_escalate_and_say_how_many_are_missing(form, count):
    given = classified(rows=2000, target=Target(0.01, 0.05, form))
    done = calibrate(replace(given, calibrate=given.calibrate[:count]))
    assert done.missing >= 299 - count
    assert done.certified_loss == 0.0
    assert done.losses == 0
    assert [outcome.policy.threshold for outcome in done.tiers] == [math.inf, math.inf]
    assert [outcome.policy.certificate for outcome in done.tiers] == [None, None]
    assert [outcome.missing for outcome in done.tiers] == [done.missing, done.missing]
    assert done.shipped.exit_shares == ((0.0, 0.0, 1.0) if count else (0.0, 0.0, 0.0))
    assert done.tiers[0].policy.escalate_to == "cloud"


def test_nothing_to_tune_on_always_escalates():
    given = classified()
    done = calibrate(replace(given, tune=np.zeros(0, dtype=np.intp)))
    assert [outcome.policy.threshold for outcome in done.tiers] == [math.inf, math.inf]
    assert not any(outcome.preflight.fit for outcome in done.tiers)


@pytest.mark.parametrize("form", Form)
def test_a_score_that_tells_nothing_always_escalates(form):
    rng = np.random.default_rng(2)
    target = Target(0.01, 0.1, form)
    for confidence in (lambda u: np.full(len(u), 0.7), lambda u: rng.random(len(u))):
        done = calibrate(drawn(rng, TWO[:1], 1500, 1500, target, confidence))
        assert done.tiers[0].preflight.auroc < 0.6
        assert done.tiers[0].policy.threshold == math.inf
        assert done.missing == 0


def test_always_disagreeing_always_escalates_and_never_disagreeing_answers_all():
    rng = np.random.default_rng(2)
    never = calibrate(drawn(rng, (Difficulty(0.0, 0.0),), 1000, 1000))
    assert never.shipped.exit_shares == (1.0, 0.0)
    always = calibrate(drawn(rng, (Difficulty(1.0, 0.0),), 1000, 1000))
    assert always.shipped.exit_shares == (0.0, 1.0)


def test_rows_without_a_confidence_go_up():
    rng = np.random.default_rng(2)
    given = drawn(rng, (Difficulty(0.0, 0.0),), 2000, 2000, confidence=lambda u: np.where(u < 0.3, -math.inf, 1 - u))
    assert calibrate(given).shipped.exit_shares[0] == pytest.approx(0.7, abs=0.05)


def test_true_labels_pay_back_where_the_top_is_wrong():
    rng = np.random.default_rng(9)
    tiers, truth = classifiers(rng, 3000, sharpness=(1.2, 1.3, 1.3))
    order = np.arange(3000)
    given = CalibrationInput(tiers, order[:1000], order[1000:], hop_costs([5.0, 40.0]), TARGET, DIGEST + "8")
    against_top, against_truth = calibrate(given), calibrate(replace(given, truth=truth))
    assert against_truth.basis is Basis.LABELS
    assert against_truth.shipped.cost < against_top.shipped.cost
    assert against_truth.losses <= against_top.losses


def test_a_joint_statement_holds_for_every_way_through_the_tiers():
    rng = np.random.default_rng(6)
    given = drawn(rng, TWO, 1000, 1000)
    tiers = [prepare(given, tier) for tier in given.tiers[:-1]]
    ladder = ladder_of(tiers, given.calibrate, given.costs)
    both = any_route(ladder, Rule((0.5, 0.4), (1, 2)))
    for thresholds in ((0.5, math.inf), (math.inf, 0.4)):
        assert not (any_route(ladder, Rule(thresholds, (1, 2))) & ~both).any()


def test_a_tier_that_earns_nothing_is_gone_past():
    given = drawn(np.random.default_rng(8), (TWO[0], Difficulty(1.0, 0.5)), 3000, 3000)
    done = calibrate(given)
    assert done.tiers[1].policy.threshold == math.inf
    assert done.tiers[0].policy.escalate_to == "cloud"
    assert done.shipped.exit_shares[1] == 0.0


def test_baselines_frame_what_ships(done):
    named = {line.name: line for line in done.baselines}
    assert named["all-top"].risk == 0.0
    assert named["all-local"].cost == 0.0
    assert named["oracle"].risk == 0.0
    assert named["oracle"].cost < done.shipped.cost < named["all-top"].cost
    assert named["all-local"].risk > done.shipped.risk


def test_other_targets_answer_more_the_more_may_be_lost(done):
    tops = [line.exit_shares[-1] for line in done.what_if]
    assert tops == sorted(tops, reverse=True)
    assert [line.epsilon for line in done.what_if] == sorted(line.epsilon for line in done.what_if)


def test_progress_is_told_from_nothing_to_all():
    told = []
    calibrate(classified(rows=1000), lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_detectors_are_calibrated_by_their_box_confidences():
    rng = np.random.default_rng(1)
    rows = 3000
    u = rng.random(rows)
    boxes = np.tile(np.array([[[0.1, 0.1, 0.5, 0.5]]]), (rows, 1, 1))
    moved = boxes + np.where(rng.random(rows) < 0.3 * u**3, 0.4, 0.0)[:, None, None]
    shared = {"classes": np.zeros((rows, 1)), "scores": np.full((rows, 1), 0.9), "labels": ("car",)}
    tiers = (
        TierOutputs("device", DIGEST + "0", Answered(boxes=moved, **shared), confidences={ScoreKind.BEST_BOX: 1 - u}),
        TierOutputs("cloud", DIGEST + "1", Answered(boxes=boxes, **shared)),
    )
    given = drawn(rng, TWO[:1], 1500, 1500)
    done = calibrate(replace(given, tiers=tiers, agreement=type(given.agreement)("boxes_f1")))
    assert done.tiers[0].policy.score in (ScoreKind.BEST_BOX, ScoreKind.RISK)
    assert 0.3 < done.shipped.exit_shares[0] < 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": Target(0.0)}, "epsilon = 0.0"),
        ({"target": Target(0.01, 1.0)}, "delta = 1.0"),
        ({"calibrate": np.arange(10)}, "share questions"),
        ({"tune": np.array([0, 0])}, "tune: expected row numbers"),
        ({"calibrate": np.array([10**6])}, "calibrate: expected row numbers"),
        ({"costs": np.zeros((2, 2))}, "costs of shape"),
        ({"costs": np.full((3, 3), math.nan)}, "costs: expected finite"),
        ({"truth": ("ant",)}, "1 true labels for"),
    ],
)
def test_input_that_cannot_be_calibrated_is_refused_with_the_reason(change, said):
    with pytest.raises(InvalidInput, match=said):
        calibrate(replace(classified(rows=1000), **change))


def test_tiers_that_answered_other_questions_are_refused():
    given = classified(rows=1000)
    short = replace(given.tiers[0], answered=Answered(scores=np.zeros((5, 4)), labels=CLASSES))
    with pytest.raises(InvalidInput, match="expected the same ones"):
        calibrate(replace(given, tiers=(short, *given.tiers[1:])))
    with pytest.raises(InvalidInput, match="at least one below the top"):
        calibrate(replace(given, tiers=given.tiers[:1]))


def test_counting_along_the_path_is_counting_at_each_point():
    rng = np.random.default_rng(6)
    given = drawn(rng, TWO, 1000, 1000, confidence=lambda u: np.where(u < 0.05, -math.inf, np.round(1 - u, 2)))
    tiers = [prepare(given, tier) for tier in given.tiers[:-1]]
    path = cost_path(ladder_of(tiers, given.tune, given.costs), (True, True))
    ladder = ladder_of(tiers, given.calibrate, given.costs)
    counts = any_route_counts(ladder, path)
    assert counts.tolist() == [any_route(ladder, rule).sum() for rule in path]
    assert (np.diff(counts) >= 0).all()
