"""What a training is asked for with, as a message."""

import pytest
from google.protobuf.duration_pb2 import Duration

from upriver.errors import InvalidInput
from upriver.v1 import train_pb2 as pb
from upriver_control.policy_wire import AUDIT_S, read_age
from upriver_control.train_wire import read_spec

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"age": Duration(seconds=-(1 << 62))}, r"age is -4.61169e\+18 s; expected above 0"),
        ({"settings": {"x" * 201: 1.0}}, "1 settings; expected at most 32, all finite, with names of at most 200"),
        ({"settings": {"epochs": float("nan")}}, "1 settings; expected at most 32, all finite"),
        ({"holdout": 1.0, "code": "no function"}, "holdout is 1; .*; code is 'no function'; expected module:function"),
    ],
)
def test_what_is_wrong_with_a_training_is_told(asked, told):
    with pytest.raises(InvalidInput, match=told):
        read_spec(pb.TrainingSpec(**asked), NOW)


def test_lessons_count_from_the_day_on_that_is_so_long_ago():
    assert read_spec(pb.TrainingSpec(age=Duration(seconds=86_400)), NOW).since == "2026-09-20"
    assert read_spec(pb.TrainingSpec(age=Duration(seconds=1 << 62)), NOW).since == "1970-01-01"
    assert read_spec(pb.TrainingSpec(), NOW).since == ""


def test_an_age_of_audits_that_no_time_has_is_told():
    problems = []
    assert read_age(Duration(), problems) == AUDIT_S
    assert problems == []
    read_age(Duration(seconds=1 << 62), problems)
    assert problems[0].startswith("age is 4.61169e+18 s; expected above 0 and at most")
