"""A pair under watch: what is tested, when it rings, how many questions are audited, and what outlives the process."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.policies import Basis, Certificate, Form, PolicyDocument, rules_digest
from upriver.scores import ScoreKind
from upriver_agent.monitoring.evidence import Limits
from upriver_agent.monitoring.monitor import SCORES, Monitor, Rates
from upriver_agent.monitoring.nulls import BY_LABELS, LOOSE, NOT_CERTIFIED, Nulls, nulls_of

RATES = Rates(usual=0.02, highest=0.1, half_life_s=100.0)
NULLS = Nulls(0.005, 0.02, "")
PLAIN = PolicyDocument("sha256:" + "1" * 64, ScoreKind.MAX_PROBABILITY, 0.9)


def certified(coverage: float, exit_share: float, basis: Basis = Basis.TOP, epsilon: float = 0.004) -> PolicyDocument:
    digest = "sha256:" + "2" * 64
    certificate = Certificate(
        Form.PER_TIER, basis, epsilon, 0.05, 5000, 3, coverage, exit_share, digest, rules_digest(PLAIN), digest
    )
    return replace(PLAIN, certificate=certificate)


def monitor(nulls: Nulls = NULLS) -> Monitor:
    return Monitor(nulls, Limits(), RATES)


def test_audits_are_tested_against_what_is_certified_of_answers_given_here() -> None:
    nulls = nulls_of(certified(coverage=0.8, exit_share=0.4))
    assert nulls.brought == pytest.approx(0.005)
    assert nulls.relayed == pytest.approx(0.01)
    assert nulls.watched


@pytest.mark.parametrize(
    ("policy", "note"),
    [
        (PLAIN, NOT_CERTIFIED),
        (certified(0.8, 0.4, Basis.LABELS), BY_LABELS),
        (certified(0.0, 0.0), LOOSE),
        (certified(0.004, 0.004), LOOSE),
    ],
)
def test_what_audits_can_not_test_is_not_watched_and_says_why(policy: PolicyDocument, note: str) -> None:
    nulls = nulls_of(policy)
    assert not nulls.watched
    assert nulls.note == note
    watch = monitor(nulls)
    assert not any(watch.audited(True, brought, 1.0) for brought in (True, False) * 50)
    assert not watch.report(1.0).watched


def test_a_policy_without_a_certificate_is_watched_against_a_configured_target() -> None:
    nulls = nulls_of(PLAIN, target=0.01)
    assert nulls.brought == nulls.relayed == 0.01
    assert nulls.note.startswith(NOT_CERTIFIED)


def test_the_alarm_rings_once_and_stays_and_has_more_questions_audited() -> None:
    watch = monitor()
    assert watch.rate(0.0) == 0.02
    rang = [watch.audited(True, True, float(now)) for now in range(1, 20)]
    assert rang.count(True) == 1
    for now in range(20, 3000):
        assert not watch.audited(False, True, float(now))
    assert watch.alarmed
    assert watch.report(5000.0).alarm_since == float(rang.index(True) + 1)
    assert watch.rate(1e9) == 0.1


def test_a_warning_raises_the_rate_which_falls_back_by_half_and_never_rings() -> None:
    watch = monitor()
    for _ in range(600):
        watch.looked(0.9, True, 0.0)
    warnings = [text for _ in range(300) for text in watch.looked(0.2, True, 50.0)]
    assert warnings == [SCORES]
    assert watch.rate(50.0) == pytest.approx(0.1)
    assert watch.rate(150.0) == pytest.approx(0.06)
    assert watch.rate(40.0) == pytest.approx(0.1), "a clock that was set back is no reason to audit even more"
    assert watch.rate(5000.0) == pytest.approx(0.02)
    assert not watch.alarmed
    assert watch.report(60.0).warnings == (SCORES,)
    assert watch.report(1e6).warnings == ()


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=50),
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False) | st.just(-math.inf), st.booleans()), max_size=50
    ),
)
def test_a_monitor_goes_on_where_it_was(audits: list[tuple[bool, bool]], looks: list[tuple[float, bool]]) -> None:
    before = monitor()
    for disagrees, brought in audits:
        before.audited(disagrees, brought, 7.0)
    for confidence, passes in looks:
        before.looked(confidence, passes, 8.0)
    after = monitor()
    after.restore(json.loads(json.dumps(before.kept())))
    after.restore_drift(json.loads(json.dumps(before.drift())))
    assert (after.kept(), after.drift()) == (before.kept(), before.drift())
    assert after.report(9.0) == before.report(9.0)
    assert after.audited(True, True, 10.0) == before.audited(True, True, 10.0)
    assert after.report(10.0) == before.report(10.0)


@pytest.mark.parametrize("kept", [{}, {"format": 2}, {**monitor().kept(), "log_e": [1.0]}, {"format": 1}])
def test_what_no_monitor_kept_is_refused_and_changes_nothing(kept: dict[str, object]) -> None:
    watch = monitor()
    watch.audited(True, True, 1.0)
    before = watch.kept()
    with pytest.raises(ValueError, match=r"monitor|format|alternatives"):
        watch.restore(kept)
    with pytest.raises(ValueError, match=r"monitor|format"):
        watch.restore_drift(kept)
    assert watch.kept() == before
