import numpy as np
import pytest

from upriver.policies import PolicyDocument, read_policy, write_policy
from upriver.promises import Promise, delta_of
from upriver.scores import ScoreKind
from upriver.trials import Tally, Trial
from upriver_control.calibration import binomial
from upriver_control.regional.model import Need
from upriver_control.regional.verdict import certified, judge, needed

VERSION, HEAD, TOP, DATA = (f"sha256:{digit * 64}" for digit in "abcd")
TRIAL = Trial("m", VERSION, "north", HEAD, TOP, temperatures=(1.0, 2.0), thresholds=(0.2, 0.5, 0.9))
PROMISE = Promise(0.05, 0.1)


def tally(lost, passed=(500, 400, 200), questions: int = 600, gained=(100, 50, 10), given_up=(0, 5, 20)) -> Tally:
    return Tally(questions, *(np.array(one) for one in (passed, lost, gained, given_up)))


def test_the_lowest_threshold_before_the_first_that_can_t_be_proven_is_taken() -> None:
    level = delta_of(0.1, 1) / 2
    most = binomial.allowed(600, 0.05, level)
    verdict = judge(TRIAL, [tally((most + 1, most, 0)), tally((500, 400, 200))], PROMISE, 1, Need.FEWER)
    assert verdict.why == ""
    assert (verdict.threshold, verdict.temperature, verdict.losses) == (0.5, 1.0, most)
    assert verdict.p_loss <= level == verdict.delta
    assert verdict.coverage == pytest.approx(400 / 600)


def test_a_head_that_does_not_escalate_less_stays_behind_unless_it_need_not() -> None:
    even = [tally((0, 0, 0), gained=(20, 0, 0), given_up=(18, 60, 90))] * 2
    assert "does not escalate less" in judge(TRIAL, even, PROMISE, 1, Need.FEWER).why
    assert judge(TRIAL, even, PROMISE, 1, Need.AS_FEW).why == ""
    worse = [tally((0, 0, 0), gained=(10, 0, 0), given_up=(18, 60, 90))] * 2
    assert judge(TRIAL, worse, PROMISE, 1, Need.AS_FEW).why != ""
    assert judge(TRIAL, worse, PROMISE, 1, Need.NOTHING).why == ""


def test_a_head_that_is_mostly_wrong_where_it_answers_stays_behind_however_little_that_is() -> None:
    wrong = [tally((10, 10, 10), passed=(12, 12, 12), gained=(12, 12, 12), given_up=(0, 0, 0))] * 2
    assert "wrong too often" in judge(TRIAL, wrong, PROMISE, 1, Need.FEWER).why


def test_what_is_missing_is_told() -> None:
    few = [tally((0, 0, 0), passed=(9, 5, 1), questions=10)] * 2
    missing = needed(PROMISE, 3, 2) - 10
    assert judge(TRIAL, few, PROMISE, 3, Need.FEWER).why.startswith(f"10 questions were held out: {missing} more")


def test_of_heads_that_break_the_promise_no_more_pass_than_was_said() -> None:
    chance = np.random.default_rng(2)
    promise, passed = Promise(0.05, 0.2), 0
    runs = 1500
    for _ in range(runs):
        for attempt in (1, 2, 3):  # each of three heads loses a little more than was promised, whichever temperature
            lost = chance.binomial(400, 0.0505, size=2)
            tallies = [tally((one,) * 3, passed=(400,) * 3, questions=400, gained=(99,) * 3) for one in lost]
            passed += judge(TRIAL, tallies, promise, attempt, Need.NOTHING).why == ""
    assert 0.02 < passed / runs < 0.2


def test_what_passed_becomes_a_policy_that_is_certified_for_its_head() -> None:
    given = PolicyDocument(VERSION, ScoreKind.MARGIN, 0.3, escalate_to="cloud")
    verdict = judge(TRIAL, [tally((3, 2, 0))] * 2, PROMISE, 1, Need.FEWER)
    policy = certified(given, TRIAL, verdict, PROMISE, DATA)
    assert read_policy(write_policy(policy)) == policy
    assert (policy.head, policy.escalate_to, policy.score) == (HEAD, "cloud", ScoreKind.MAX_PROBABILITY)
    assert policy.certificate is not None
    assert (policy.certificate.epsilon, policy.certificate.questions) == (0.05, 600)
