"""The pages of policies: certificates in words, what a calibration came to, other targets, and audits."""

import math

from hypothesis import given
from hypothesis import strategies as st

from upriver.v1 import audit_pb2, fleet_pb2
from upriver.v1 import policy_pb2 as pb
from upriver_control.console.drawing import calibration as result
from upriver_control.console.drawing import monitors, policies
from upriver_control.console.pages.policies import draw
from upriver_control.console.pages.policy import draw_outcome, draw_policies
from upriver_control.console.policy_news import Policies

POLICY = pb.Policy(
    name="models/digits/policies/abc",
    version="models/digits/versions/7",
    tier="device",
    threshold=0.91,
    agents=3,
    certificate={"epsilon": 0.005, "delta": 0.05, "questions": 1204, "losses": 1, "coverage": 0.83, "exit_share": 0.8},
    stale="the top runs another version",
)
CALIBRATION = pb.Calibration(
    name="models/digits/calibrations/c1",
    state=pb.CALIBRATION_STATE_SUCCEEDED,
    spec={"max_loss": 0.01, "confidence": 0.95, "data_digest": "sha256:00"},
    result={
        "tiers": [
            {"tier": "device", "policy": POLICY.name, "threshold": 0.91, "preflight": {"auroc": 0.4}},
            {"tier": "cloud", "threshold": -math.inf},
        ],
        "calibrate_questions": 600,
        "path": [{"local_share": 0.8, "bound": 0.008, "certified": True}, {"local_share": 0.9, "bound": 0.02}],
        "baselines": [{"name": "all to the top", "exit_shares": [0, 1], "cost": 40}],
        "shipped": {"name": "shipped", "exit_shares": [0.8, 0.2], "cost": 12},
        "certified_loss": 0.008,
        "what_if": [{"max_loss": 0.001, "local_share": 0.4, "missing": 900}, {"max_loss": 0.05, "local_share": 0.95}],
    },
)


def test_a_certificate_is_told_in_words_and_in_letters():
    drawn = policies.certificates([POLICY])
    for words in (
        "At most 0.5 % lost with 95 % confidence.",
        "ε 0.005, δ 0.05, n 1,204, 1 lost",
        "Stale: the top runs another version",
    ):
        assert words in drawn
    assert "Nothing is certified of it." in policies.certificates([pb.Policy(name="models/m/policies/x")])


def test_what_came_out_is_told_and_drawn_with_what_ships():
    drawn = result.outcome(CALIBRATION, None)
    assert "at most 0.8 % lost with 95 % confidence, 80 % answered below the top" in drawn
    assert "ships: 80 %" in drawn
    tiers = result.tiers(CALIBRATION)
    assert "always answers" in tiers
    assert "all to the top" in tiers
    assert '<span class="bad">0.400</span>' in tiers  # too bad a confidence to answer by


def test_the_slider_has_the_services_targets_and_no_others():
    drawn = result.slider(CALIBRATION, 1)
    assert drawn is not None
    assert 'max="1" step="1" value="1"' in drawn
    assert drawn.count("<option") == 2
    assert result.slider(pb.Calibration(), 0) is None
    asked = result.asked(CALIBRATION, 0)
    assert "If 0.1 % may be lost: 40 % would be answered below the top" in asked
    assert "upriver policy calibrate digits --data PATH --max-loss 0.1%" in asked


def test_a_calibration_that_is_worked_on_says_how_far_it_is():
    working = pb.Calibration(name="models/digits/calibrations/c2", state=2, doing="running device/7", progress=0.4)
    assert "running, 40 % done: running device/7" in draw_outcome("digits", Policies([], [working], working), None)


def test_empty_pages_name_the_next_command():
    assert "upriver policy calibrate digits" in draw_outcome("digits", Policies([], [], None), None)
    assert "upriver policy calibrate MODEL" in draw((pb.ListPoliciesResponse(), pb.ListCalibrationsResponse()))
    assert "upriver rollout start digits/VERSION" in monitors.monitors("digits", [])


def test_all_policies_are_listed_with_what_they_promise_and_lead_to_their_model():
    drawn = draw((pb.ListPoliciesResponse(policies=[POLICY]), pb.ListCalibrationsResponse(calibrations=[CALIBRATION])))
    assert 'href="/policies/digits"' in drawn
    assert 'href="/policies/digits?calibration=c1"' in drawn
    assert "0.5 %" in drawn
    whole = draw_policies("digits", Policies([POLICY], [CALIBRATION], CALIBRATION))
    assert 'data-policy="models/digits/policies/abc"' in whole


def test_alarms_stand_first_and_are_words():
    agents = [
        fleet_pb2.Agent(name=f"agents/{name}", slots=[{"model": "digits", "reported": {"monitor": monitor}}])
        for name, monitor in (
            ("a", {"watched": True}),
            ("b", {"watched": True, "alarm_time": {"seconds": 1}}),
            ("c", {}),
        )
    ]
    drawn = monitors.monitors("digits", agents)
    assert drawn.index("/fleet/b") < drawn.index("/fleet/a") < drawn.index("/fleet/c")
    assert ">ALARM<" in drawn
    assert ">no alarm<" in drawn
    assert ">not watched<" in drawn


def test_audits_are_counted_with_where_their_share_lies():
    one = audit_pb2.AuditSummary(agent="d-1", policy_digest="sha256:11", audits=50, passed=40, disagreements=2)
    known = pb.Policy(name="models/digits/policies/abc", digest="sha256:11")
    drawn = monitors.audits("digits", [one], [known])
    assert "1.38 to 16.50 %" in drawn
    assert '<td class="wide-only">abc</td>' in drawn


@given(words=st.text(max_size=40) | st.just("<script>alert(1)</script>"), number=st.floats())
def test_whatever_is_told_of_policies_nothing_of_it_becomes_markup(words, number):
    policy = pb.Policy(name=words, version=words, tier=words, threshold=number, stale=words, calibration=words)
    policy.certificate.top_version = words
    policy.certificate.epsilon = number
    made = pb.Calibration(name=words, reason=words, state=4)
    agent = fleet_pb2.Agent(name=words, tier=words, slots=[{"model": "m", "reported": {"monitor": {"note": words}}}])
    for drawn in (
        policies.policies([policy], link=True),
        policies.certificates([policy]),
        policies.calibrations([made]),
        monitors.monitors("m", [agent]),
        monitors.audits("m", [audit_pb2.AuditSummary(agent=words, tier=words, policy_digest=words)], [policy]),
    ):
        assert "<script" not in drawn
