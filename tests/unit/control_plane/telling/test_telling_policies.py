"""Calibrations, policies and certificates in words."""

import math

from upriver.v1 import policy_pb2 as pb
from upriver_control.telling.policies import outcome, promise, what_if

SPEC = pb.CalibrationSpec(max_loss=0.01, confidence=0.95, tune_share=0.5)
TIERS = [{"tier": "device", "policy": "models/m/policies/a", "threshold": 0.9, "epsilon": 0.01, "coverage": 0.8}]
TOP = {"tier": "cloud", "threshold": -math.inf}


def told(**result):
    return outcome(pb.Calibration(spec=SPEC, result={"tune_questions": 500, "calibrate_questions": 600, **result}))


def test_what_is_certified_is_told_with_its_numbers_and_what_it_is_held_against():
    certificate = {"epsilon": 0.005, "delta": 0.05, "questions": 1204, "losses": 1, "coverage": 0.83, "exit_share": 0.8,
                   "top_version": "models/m/versions/9"}  # fmt: skip
    assert promise(pb.Policy(certificate=certificate)) == (
        "at most 0.5 % lost with 95 % confidence",
        "per-tier, by the top: 1 of 1,204 questions lost, 83 % pass, 80 % end here",
        "held against models/m/versions/9",
    )
    assert promise(pb.Policy()) == ()


def test_too_few_questions_are_told_with_how_many_more_it_takes():
    said = told(tiers=[{**TIERS[0], "threshold": math.inf}, TOP], missing=299)
    assert said[1].words.endswith("at least 598 more questions are needed, 299 to certify")
    assert said[1].tone == "warn"


def test_a_calibration_that_answers_nothing_below_the_top_says_so():
    said = told(tiers=[{**TIERS[0], "threshold": math.inf}, TOP])
    assert [one.tone for one in said] == ["", "warn"]


def test_what_came_out_is_told_with_loss_share_and_cost():
    shipped = {"exit_shares": [0.5, 0.3, 0.2], "cost": 12.5}
    said = told(tiers=[*TIERS, TOP], path=[{"local_share": 0.8}], shipped=shipped, certified_loss=0.008, losses=2)
    assert [one.words for one in said[1:]] == [
        "at most 0.8 % lost with 95 % confidence, 80 % answered below the top",
        "here 2 of 600 lost, 12.5 ms a question",
    ]


def test_one_that_recertified_says_it_tier_by_tier():
    assert [one.words for one in told(tiers=[*TIERS, TOP])[1:]] == ["device: at most 1 % lost; 80 % pass"]


def test_another_target_says_what_was_seen_and_what_is_missing():
    words = what_if(pb.WhatIf(max_loss=0.001, local_share=0.4, losses=0, cost=20, missing=1000), SPEC)
    assert words == (
        "If 0.1 % may be lost: 40 % would be answered below the top, 0 questions lost here, 20 ms a question; "
        "to certify it, 1,000 more questions are needed"
    )
