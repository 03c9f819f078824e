"""What calibrations are decided by: the split, the fleet's ladder, costs, and thresholds from audits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.fleet_facts import NEW, NEWER, OLD, active, agent, rollout
from upriver.errors import InvalidInput, ManifestError, NotNow
from upriver.policies import Form, PolicyDocument, read_policy, write_policy
from upriver.scores import ScoreKind
from upriver_control.intent import Intent
from upriver_control.jobs import CostUnit, Job, JobState, Spec, TierSpec, cancelled, failed
from upriver_control.jobs.audited import Promise, certified, choose, newest_promise, promised
from upriver_control.jobs.costs import costs
from upriver_control.jobs.ladder import ladder, median_ms
from upriver_control.jobs.split import by_name, by_number
from upriver_control.jobs.wording import read_agreement

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@given(rows=st.integers(0, 300), seed=st.integers(-5, 5), share=st.floats(0.01, 0.99))
def test_every_row_is_on_one_side_and_always_on_the_same(rows, seed, share):
    tune, certify = by_number(rows, seed, share)
    assert sorted([*tune, *certify]) == list(range(rows))
    assert len(tune) == round(rows * share)
    again, _ = by_number(rows, seed, share)
    np.testing.assert_array_equal(tune, again)


def test_another_seed_splits_otherwise_and_rows_do_not_alternate():
    first, second = by_number(1000, 0, 0.5)[0], by_number(1000, 1, 0.5)[0]
    assert 200 < len(set(first) & set(second)) < 300
    assert 200 < (first % 2).sum() < 300


@given(names=st.lists(st.text(max_size=6), unique=True, max_size=50), extra=st.text(min_size=7, max_size=9))
def test_a_question_with_a_name_stays_on_its_side_when_others_come(names, extra):
    tune, certify = by_name(names, 3, 0.5)
    assert sorted([*tune, *certify]) == list(range(len(names)))
    more, _ = by_name([extra, *names], 3, 0.5)
    assert [names[row] for row in tune] == [name for row in more if (name := [extra, *names][row]) != extra]


def fleet():
    tiers = ("device", "far-edge", "cloud")
    known = [agent(number, active(OLD, rows=10, bucket=44)) for number in range(3)]
    known += [agent(7, active(NEW)), agent(8, active(NEWER, rows=5, bucket=60), tier="cloud")]
    return [replace(facts, tiers=tiers) for facts in known]


def test_the_ladder_is_what_most_agents_of_each_tier_run_with_the_times_that_they_report():
    device, cloud = ladder("digits", fleet(), Intent(()))
    assert (device.tier, device.pair, device.agents, device.of) == ("device", OLD, 3, 4)
    assert (cloud.tier, cloud.pair) == ("cloud", NEWER)
    assert device.invoke_ms == pytest.approx(2**11.125 / 1e3)
    assert ladder("other", fleet(), Intent(())) == ()


def test_what_is_wanted_and_what_runs_are_told_apart():
    intent = Intent([rollout(pair=NEWER, released=1.0, selector="tier=device")])
    assert [rung.pair for rung in ladder("digits", fleet(), intent)] == [NEWER, NEWER]
    assert [rung.pair for rung in ladder("digits", fleet(), None)] == [OLD, NEWER]


def test_agents_that_are_configured_with_different_ladders_are_told():
    strange = replace(agent(9, active()), tiers=("cloud", "device"))
    with pytest.raises(NotNow, match="different ladders"):
        ladder("digits", [*fleet(), strange], Intent(()))


def test_the_median_of_a_histogram_is_its_middle_bucket():
    assert median_ms({}) is None
    assert median_ms({40: 1, 44: 1, 60: 1}) == pytest.approx(2**11.125 / 1e3)


def test_costs_are_hops_and_the_model_asked_or_bytes_or_what_was_said():
    tiers = (
        TierSpec("device", "v", A, hop_ms=99.0, invoke_ms=1.0),
        TierSpec("edge", "v", A, hop_ms=5.0, invoke_ms=2.0),
        TierSpec("cloud", "v", B, hop_ms=40.0, invoke_ms=3.0),
    )
    spec = Spec(0.01, 0.95, tiers)
    np.testing.assert_allclose(costs(spec, 784.0), [[0, 7, 48], [0, 0, 43], [0, 0, 0]])
    np.testing.assert_allclose(costs(replace(spec, cost=CostUnit.BYTES), 784.0), [[0, 784, 784], [0, 0, 784], [0] * 3])
    named = replace(spec, tiers=(*tiers[:2], replace(tiers[2], cost=9.0)))
    np.testing.assert_allclose(costs(named, 1.0), [[0, 7, 9], [0, 0, 9], [0, 0, 0]])


def test_a_calibration_that_has_ended_is_not_cancelled():
    job = Job("j", "m", 0.0, Spec(0.01, 0.95, ()))
    ended = cancelled(job, 5.0)
    assert (ended.state, ended.ended, ended.has_ended) == (JobState.CANCELLED, 5.0, True)
    assert cancelled(ended, 9.0) is ended
    with pytest.raises(NotNow, match="failed already"):
        cancelled(failed(job, "why", 1.0), 2.0)


def audits(seed, count, wrong_share):
    """Confidences whose wrong ones are low mostly."""
    chance = np.random.default_rng(seed)
    agrees = chance.random(count) >= wrong_share
    return np.where(agrees, chance.random(count), 0.5 * chance.random(count)), agrees


def test_a_threshold_from_audits_is_the_lowest_that_is_proven():
    confidence, agrees = audits(1, 6000, 0.02)
    chosen = choose(confidence[:3000], confidence[3000:], agrees[3000:], 0.01, 0.05, fit=True)
    assert chosen.questions == 3000
    assert 0.25 < chosen.threshold < 0.5
    assert chosen.losses <= 21
    assert chosen.coverage == (confidence[3000:] >= chosen.threshold).mean()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_pair_that_is_wrong_evenly_above_the_bound_is_hardly_ever_let_through(seed):
    chance = np.random.default_rng(seed)
    kept = 0
    for _ in range(40):
        agrees = chance.random(1200) >= 0.0101
        confidence = np.ones(1200)
        kept += choose(confidence[:600], confidence[600:], agrees[600:], 0.01, 0.05, fit=True).threshold < math.inf
    assert kept <= 10  # 2 on average; more than 10 of 40 has a chance below 1 in 100,000


def test_too_few_audits_say_how_many_are_missing_and_too_many_errors_say_none():
    few = choose(np.ones(10), np.ones(10), np.ones(10, bool), 0.01, 0.05, fit=True)
    assert (few.threshold, few.missing) == (math.inf, 289)
    nothing = choose(np.empty(0), np.empty(0), np.empty(0, bool), 0.01, 0.05, fit=True)
    assert (nothing.threshold, nothing.missing) == (math.inf, 299)
    bad = choose(np.ones(400), np.ones(400), np.zeros(400, bool), 0.01, 0.05, fit=True)
    assert (bad.threshold, bad.missing) == (math.inf, 0)
    never = choose(np.full(400, -math.inf), np.full(400, -math.inf), np.ones(400, bool), 0.01, 0.05, fit=True)
    assert never.threshold == math.inf


def test_a_score_that_tells_nothing_apart_answers_nothing_though_a_few_answers_would_be_within_the_bound():
    confidence = np.linspace(0.0, 1.0, 2000)
    agrees = np.zeros(2000, bool)
    assert choose(confidence, confidence, agrees, 0.01, 0.05, fit=True).losses > 0
    unfit = choose(confidence, confidence, agrees, 0.01, 0.05, fit=False)
    assert (unfit.threshold, unfit.losses, unfit.missing) == (math.inf, 0, 0)


POLICY = PolicyDocument(A, ScoreKind.MAX_PROBABILITY, 0.9)


def test_a_new_certificate_speaks_of_the_new_threshold_and_of_no_other():
    confidence, agrees = audits(1, 4000, 0.0)
    chosen = choose(confidence, confidence, agrees, 0.01, 0.05, fit=True)
    policy = certified(POLICY, chosen, Promise(0.01, 0.05, B, A))
    document = write_policy(policy)
    assert read_policy(document) == policy
    assert policy.certificate is not None
    assert (policy.certificate.top, policy.certificate.losses) == (B, 0.0)
    with pytest.raises(ManifestError, match="other rules"):
        write_policy(replace(policy, threshold=policy.threshold - 1e-9))
    nothing = certified(
        policy, choose(np.empty(0), np.empty(0), np.empty(0, bool), 0.01, 0.05, fit=True), Promise(0.1, 0.1, B, A)
    )
    assert (nothing.threshold, nothing.certificate) == (math.inf, None)


def test_a_pair_is_promised_what_its_certificate_says_or_an_even_part_of_the_whole():
    confidence, agrees = audits(1, 4000, 0.0)
    own = certified(POLICY, choose(confidence, confidence, agrees, 0.004, 0.02, fit=True), Promise(0.004, 0.02, B, A))
    assert promised(own, 0.0, 0.0, 3) == (0.004, 0.02)
    assert promised(own, 0.03, 0.06, 3) == (0.01, 0.02)
    assert promised(POLICY, 0.0, 0.0, 3) == (0.0, 0.0)
    assert promised(POLICY, 0.0, 0.0, 3, (0.004, 0.02)) == (0.004, 0.02)
    assert newest_promise([write_policy(POLICY), write_policy(own), write_policy(POLICY)]) == (0.004, 0.02)
    assert newest_promise([write_policy(POLICY)]) == (0.0, 0.0)
    assert own.certificate is not None
    joint = replace(own, certificate=replace(own.certificate, form=Form.JOINT))
    assert promised(joint, 0.0, 0.0, 2) == (0.002, 0.01)


def test_agreements_are_read_as_operators_write_them():
    assert read_agreement("same_label").name == "same_label"
    assert read_agreement("tolerance:absolute=0.1, relative=0").settings == {"absolute": 0.1, "relative": 0.0}
    for wrong in ("nonsense", "top_k:k", "top_k:k=x", "top_k:n=3", "same_label:k=1", "top_k:k=0"):
        with pytest.raises(InvalidInput):
            read_agreement(wrong)
