"""What the pages of models and policies ask, and how often, against services that a test fills."""

import asyncio
from contextlib import aclosing
from types import SimpleNamespace

from upriver.errors import Unreachable
from upriver.v1 import audit_pb2, fleet_pb2, mesh_pb2, policy_pb2, registry_pb2, rollout_pb2, train_pb2
from upriver_control.console import rollout_news
from upriver_control.console.drawing.comparison import Choice
from upriver_control.console.model_news import ModelNews
from upriver_control.console.policy_news import PolicyNews


class Rollouts:
    """One rollout, that is listed, and watched until a test ends that."""

    def __init__(self) -> None:
        self.listed = [rollout("rollouts/a", 1), rollout("rollouts/old", 9, rollout_pb2.ROLLOUT_STATE_COMPLETED)]
        self.changes: asyncio.Queue[rollout_pb2.Rollout | None] = asyncio.Queue()
        self.watched: list[str] = []
        self.ListRollouts, self.WatchRollout = self.list, self.watch

    async def list(self, request):
        return rollout_pb2.ListRolloutsResponse(rollouts=self.listed)

    async def watch(self, request):
        self.watched.append(request.name)
        while (changed := await self.changes.get()) is not None:
            yield rollout_pb2.WatchRolloutResponse(rollout=changed)
        raise Unreachable("gone")


def rollout(name, revision, state=rollout_pb2.ROLLOUT_STATE_PROGRESSING):
    return rollout_pb2.Rollout(name=name, revision=revision, state=state)


def test_a_rollout_that_changes_is_told_between_two_lists_and_an_older_word_of_it_is_not():
    async def follow():
        calls = Rollouts()
        async with aclosing(rollout_news.follow(calls, "digits")) as news, asyncio.timeout(30):
            first = await anext(news)
            calls.changes.put_nowait(rollout("rollouts/a", 3, rollout_pb2.ROLLOUT_STATE_PAUSED))
            calls.changes.put_nowait(rollout("rollouts/a", 2))
            calls.changes.put_nowait(None)  # the watch fails: the list goes on
            second = await anext(news)
            calls.listed[0] = rollout("rollouts/a", 4)
            third = await anext(news)
        return calls.watched[:1], [[one.revision for one in told] for told in (first, second, third)]

    assert asyncio.run(follow()) == (["rollouts/a"], [[1, 9], [3, 9], [4, 9]])


def answering(**answers):
    """Calls that give these answers and count how often they were asked."""
    asked: dict[str, int] = dict.fromkeys(answers, 0)

    def call(name):
        async def given(request):
            asked[name] += 1
            return answers[name]

        return given

    return SimpleNamespace(asked=asked, **{name: call(name) for name in answers})


def slot(active, desired="", previous=""):
    names = {"active": active, "previous": previous}
    reported = {key: {"version": f"models/m/versions/{name}"} for key, name in names.items() if name}
    return fleet_pb2.AgentSlot(
        model="m", reported=reported, desired={"version": f"models/m/versions/{desired}"} if desired else None
    )


def test_agents_are_counted_by_what_they_answer_with_and_what_they_ran_before():
    registry = answering(
        ListVersions=registry_pb2.ListVersionsResponse(versions=[{"name": "models/m/versions/2"}]),
        GetModel=registry_pb2.GetModelResponse(),
    )
    agents = [fleet_pb2.Agent(region="eu", slots=[slot("1", "2")]), fleet_pb2.Agent(slots=[slot("2", "2", "1")])]
    fleet = answering(ListAgents=fleet_pb2.ListAgentsResponse(agents=agents, total_size=7))
    training = {"name": "models/m/trainings/t"}
    ancestors = [{"version": "models/m/versions/2", "training": training}, {"version": "models/m/versions/1"}]
    train = answering(GetLineage=train_pb2.GetLineageResponse(ancestors=ancestors))
    news = ModelNews(SimpleNamespace(registry=registry, fleet=fleet, train=train), "m")

    async def twice():
        return [await news.versions() for _ in range(2)][-1]

    told = asyncio.run(twice())
    assert dict(told.agents) == {"models/m/versions/1": 1, "models/m/versions/2": 1}
    assert dict(told.before) == {"models/m/versions/2": "models/m/versions/1"}
    assert (told.looked_at, told.fleet, sorted(told.regions)) == (2, 7, ["", "eu"])
    assert list(told.trainings) == ["models/m/versions/2"]
    assert train.asked == {"GetLineage": 1}  # what can't change is asked once


def test_rates_are_asked_as_a_whole_and_step_by_step_over_the_same_time():
    asked = []

    async def rates(request):
        asked.append(request)
        return mesh_pb2.ListRatesResponse()

    audits = answering(SummarizeAudits=audit_pb2.SummarizeAuditsResponse())
    news = ModelNews(SimpleNamespace(mesh=SimpleNamespace(ListRates=rates), audits=audits), "m")
    told = asyncio.run(news.counted(Choice("2", "1", "eu", "1h")))
    whole, steps = asked
    assert (whole.step.seconds, steps.HasField("step")) == (3600, False)
    assert {(one.model, one.region, one.from_time.seconds, one.until_time.seconds) for one in asked} == {
        ("m", "eu", int(told.begin), int(told.end))
    }
    assert told.end - told.begin == 3600


def test_the_newest_calibration_that_came_to_something_is_looked_at_and_asked_for_once():
    listed = [("c3", 2), ("c2", 3), ("c1", 3)]
    found = [{"name": f"models/m/calibrations/{name}", "state": state} for name, state in listed]
    policies = answering(
        ListPolicies=policy_pb2.ListPoliciesResponse(),
        ListCalibrations=policy_pb2.ListCalibrationsResponse(calibrations=found),
        GetCalibration=policy_pb2.GetCalibrationResponse(calibration=found[1]),
    )
    news = PolicyNews(SimpleNamespace(policies=policies), "m", "")

    async def twice():
        return [await news.policies() for _ in range(2)][-1]

    told = asyncio.run(twice())
    assert told.calibration is not None
    assert told.calibration.name == "models/m/calibrations/c2"
    assert policies.asked["GetCalibration"] == 1
