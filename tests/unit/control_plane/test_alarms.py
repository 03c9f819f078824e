"""Certifying anew without being asked: on an alarm, not too often, and rolled out only with evidence."""

import asyncio
import math
from dataclasses import replace

import pytest

from tests.unit.control_plane.fleet_facts import OLD, active, agent
from upriver.errors import NotNow, Unreachable
from upriver_control.jobs import Job, JobState, Result, Source, Spec, TierResult
from upriver_control.jobs.alarms import alarmed, is_due, to_roll_out
from upriver_control.observed import MonitorFacts, RefinedFacts
from upriver_control.rollout import Rollout
from upriver_control.services.automatic import Allowed, Automatic

POLICY = "sha256:" + "c" * 64
ALARM = MonitorFacts(alarm_since=5.0)


def ringing(number=1, connected=True, **labels):
    return agent(number, replace(active(), monitor=ALARM), connected=connected, **labels)


def job(created=0.0, state=JobState.SUCCEEDED, threshold=0.5, missing=0):
    tiers = (
        TierResult("device", "models/digits/versions/1", POLICY, threshold, missing=missing),
        TierResult("cloud", "models/digits/versions/2", "", -math.inf),
    )
    return Job(
        "j1",
        "digits",
        created,
        Spec(0.0, 0.0, (), Source.AUDITS),
        state=state,
        result=Result(tiers, 5, 5, missing=missing),
    )


def test_an_alarm_counts_while_its_agent_is_connected():
    agents = [ringing(), ringing(2, tier="far-edge"), ringing(3, connected=False, tier="cloud"), agent(4, active())]
    assert alarmed(agents) == {"digits": {"device", "far-edge"}}


def test_the_alarm_of_what_an_agent_has_refined_is_the_agents_own_affair():
    slot = replace(active(), monitor=ALARM, refined=RefinedFacts("document"))
    assert alarmed([agent(1, slot)]) == {}


def test_a_model_is_due_when_its_time_has_passed_and_sooner_when_audits_were_too_few():
    assert is_due(None, 100.0, 48.0)
    assert not is_due(job(created=60.0), 100.0, 48.0)
    assert is_due(job(created=52.0), 100.0, 48.0)
    assert is_due(job(created=98.0, threshold=math.inf, missing=40), 100.0, 48.0)
    assert not is_due(job(created=99.0, threshold=math.inf, missing=40), 100.0, 48.0)


def test_what_always_escalates_for_lack_of_audits_is_not_rolled_out_and_what_disagrees_is():
    assert [tier.tier for tier in to_roll_out(job())] == ["device"]
    assert to_roll_out(job(threshold=math.inf, missing=40)) == ()
    assert [tier.tier for tier in to_roll_out(job(threshold=math.inf))] == ["device"]
    assert to_roll_out(job(state=JobState.FAILED)) == ()


class Played:
    """Everything that is looked at and started, and a clock."""

    def __init__(self, every_s=240.0):
        allowed = Allowed(every_s, age_s=50.0)
        self.now, self.agents, self.newest_job = 1000.0, {}, None
        self.asked, self.started, self.error = [], [], None
        self.automatic = Automatic(allowed, lambda: self.agents, self, self.recertify, self.start, lambda: self.now)

    async def newest(self, model, automatic):
        assert automatic
        return self.newest_job

    async def recertify(self, model, age_s, request_id, tier="", *, automatic=False):
        if self.error is not None:
            raise self.error
        self.asked.append((model, age_s, request_id, tier, automatic))
        self.newest_job = job(created=self.now, state=JobState.RUNNING)
        return self.newest_job

    async def start(self, request):
        self.started.append((request.version, request.policy, request.selector, request.request_id))
        return Rollout("r1", OLD, "digits", created=self.now)

    def look(self):
        asyncio.run(self.automatic.look())


def test_an_alarm_is_looked_after_once_in_its_time_and_what_comes_of_it_is_rolled_out_once():
    played = Played()
    played.look()
    played.agents = {"a": ringing()}
    for _ in range(3):
        played.look()
    assert played.asked == []  # audits from before the alarm do not count, and others have yet to come
    played.now += 10.0
    for _ in range(3):
        played.look()
    assert played.asked == [("digits", 10.0, "alarm-digits-101", "device", True)]
    assert played.started == []
    played.newest_job = replace(played.newest_job, state=JobState.SUCCEEDED)
    for _ in range(3):
        played.look()
    name = "models/digits/calibrations/j1"
    policy = f"models/digits/policies/{'c' * 64}"
    assert played.started == [("models/digits/versions/1", policy, "tier=device", f"{name}/device")]
    played.now += 240.0
    played.agents["b"] = ringing(2, tier="far-edge")
    played.look()
    assert played.asked[1:] == [("digits", 50.0, "alarm-digits-125", "", True)]


def test_an_alarm_that_ended_and_rings_again_waits_again():
    played = Played()
    played.agents = {"a": ringing()}
    played.look()
    played.agents = {}
    played.now += 10.0
    played.look()
    played.agents = {"a": ringing()}
    played.look()
    assert played.asked == []


@pytest.mark.parametrize(("error", "again_after"), [(Unreachable("away"), 0.0), (NotNow("no tiers"), 600.0)])
def test_what_can_t_be_certified_anew_is_tried_again_later(error, again_after):
    played = Played()
    played.agents, played.error = {"a": ringing()}, error
    played.look()
    played.now += 10.0
    played.look()
    played.error = None
    played.now += again_after - 1 if again_after else 0
    played.look()
    assert len(played.asked) == (0 if again_after else 1)
    played.now += 1
    played.look()
    assert len(played.asked) == 1
