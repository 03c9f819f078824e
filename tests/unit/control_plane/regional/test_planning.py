from dataclasses import replace

from upriver.promises import Promise
from upriver.trials import Trial
from upriver_control.regional.model import RegionTrial, Scope, TrialState
from upriver_control.regional.planning import Learnt, Pace, has_forgotten, is_due

VERSION, HEAD, TOP = (f"sha256:{digit * 64}" for digit in "abc")
PASSED = RegionTrial(
    Trial("m", VERSION, "north", HEAD, TOP), "models/m/versions/1", Scope.REGION, ("device",), "{}", "",
    Promise(0.01, 0.05), lessons=200.0, agents=2, forgotten=3, created=0.0, state=TrialState.PASSED,
)  # fmt: skip
PACE = Pace(least_lessons=50.0, again_s=100.0)


def test_lessons_that_are_only_too_old_are_not_forgotten() -> None:
    assert not has_forgotten(Learnt(199.0, 2, 3), PASSED)
    assert not has_forgotten(Learnt(20.0, 2, 3), PASSED)
    assert has_forgotten(Learnt(250.0, 3, 4), PASSED)


def test_a_head_is_due_when_lessons_have_become_more_or_fewer_by_half() -> None:
    due = [is_due(Learnt(lessons, 2, 3), PASSED, 1.0, PACE) for lessons in (300.0, 299.0, 199.0, 134.0, 133.0, 49.0)]
    assert due == [True, False, False, False, True, False]
    failed = replace(PASSED, state=TrialState.FAILED, ended=0.0)
    assert [is_due(Learnt(230.0, 2, 3), failed, now, PACE) for now in (99.0, 100.0)] == [False, True]
