"""What the control plane did is told in spans that are found from the questions that it came of."""

import asyncio
from dataclasses import replace

import pytest

from tests.control_plane_registry import open_registry
from tests.handed_lessons import lesson
from upriver.policies import PolicyDocument, write_policy
from upriver.promises import Promise
from upriver.scores import ScoreKind
from upriver.tracing import Attribute, SpanName
from upriver.trials import Trial
from upriver_control.lessons.files import LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.observed import Pair
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.regional.model import RegionTrial, Scope
from upriver_control.rollout import Rollout, RolloutState
from upriver_control.services.deeds import MISSED_S, Deeds
from upriver_control.spans.facts import LinkFacts
from upriver_control.store.lessons import LessonTable
from upriver_control.store.trainings import SourceTable
from upriver_control.store.trials import TrialTable
from upriver_control.training.origins import Origin, Trained
from upriver_control.training.used import Lessons

NOW = 1_790_000_000.0
VERSION = "sha256:" + "b" * 64
HEAD = "sha256:" + "d" * 64


class Heard:
    """Own spans as they were told, each once by what it is about."""

    def __init__(self):
        self.spans = {}

    def tell(self, name, about, times, attributes, questions=()):
        self.spans.setdefault(about, (name, times, attributes, list(questions)))
        return b"t" * 16


def origin(number):
    return Origin(f"{number:032x}", f"{number:016x}")


def link(number):
    return LinkFacts(number.to_bytes(16), number.to_bytes(8))


@pytest.fixture
def registry(tmp_path):
    made = open_registry(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def keeper(registry, tmp_path):
    return Keeper(LessonTable(registry.database), LessonFiles(str(tmp_path / "lessons")), Bounds(), lambda: NOW)


@pytest.fixture
def lessons(registry, keeper):
    return Lessons(SourceTable(registry.store), registry.artifacts, keeper, TrialTable(registry.database))


def rollout(name, state=RolloutState.COMPLETED, ended=NOW, policy=""):
    return Rollout(
        name, Pair("models/pattern/versions/v2", VERSION, policy), "pattern", NOW - 60, state=state, ended=ended,
        reason="every ring has moved", revision=1,
    )  # fmt: skip


def told_of(deeds, heard, mirror, *later):
    """What is told of what the mirror knows now, until there is one more for each that it takes in later."""

    async def until(count):
        for _ in range(6000):
            if len(heard.spans) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(heard.spans)} of {count} were told")

    async def run():
        task = asyncio.create_task(deeds.run())
        await until(1)
        for count, one in enumerate(later, 2):
            mirror.take(one)
            await until(count)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_training_is_told_with_its_questions_and_what_are_no_ids_are_left_out(lessons):
    heard = Heard()
    deeds = Deeds(heard, lessons, RolloutMirror(None), lambda: NOW)
    odd = (Origin("xyz", "1"), Origin("ab", "cd"), origin(2))
    deeds.trained(Trained("models/m/trainings/t", "m", "eu", VERSION, 70, (origin(1),), (odd,), NOW - 5, NOW))
    ((name, times, attributes, questions),) = heard.spans.values()
    assert (name, times) == (SpanName.TRAIN, (round((NOW - 5) * 1e9), round(NOW * 1e9)))
    assert attributes == {
        Attribute.MODEL: "m", Attribute.REGION: "eu", Attribute.VERSION: VERSION, Attribute.LESSONS: 70,
        Attribute.TRAINING: "models/m/trainings/t",
    }  # fmt: skip
    assert questions == [link(1), link(2)]


def test_each_rollout_is_told_once_when_it_has_ended_and_those_of_long_ago_are_not(lessons):
    heard, mirror = Heard(), RolloutMirror(None)
    for one in (rollout("old", ended=NOW - MISSED_S - 1), rollout("missed", ended=NOW - 10)):
        mirror.take(one)
    mirror.take(rollout("open", RolloutState.PROGRESSING, ended=None))
    done = rollout("open")
    back = replace(done, state=RolloutState.ROLLED_BACK, ended=NOW + 9, reason="no good", revision=3)
    told_of(Deeds(heard, lessons, mirror, lambda: NOW), heard, mirror, replace(done, revision=2), back)
    found = [(told[2][Attribute.ROLLOUT], told[2][Attribute.STATE]) for told in heard.spans.values()]
    assert found == [("rollouts/missed", "completed"), ("rollouts/open", "completed"), ("rollouts/open", "rolled-back")]
    name, times, attributes, questions = list(heard.spans.values())[-1]
    assert (name, times) == (SpanName.ROLLOUT, (round((NOW - 60) * 1e9), round((NOW + 9) * 1e9)))
    assert (attributes[Attribute.VERSION], attributes[Attribute.MESSAGE], questions) == (VERSION, "no good", [])


@pytest.mark.parametrize(("scope", "expected"), [(Scope.REGION, [2, 1]), (Scope.GLOBAL, [3, 2, 1])])
def test_a_head_of_a_region_links_to_the_lessons_that_were_handed_up_before_it(
    registry, keeper, lessons, scope, expected
):
    def handed(number, region, **more):
        found = origin(number)
        return lesson(
            f"l{number}", "class-1", region=region, model="pattern", version_digest=VERSION,
            trace=found.trace_id, span=found.span_id, **more,
        )  # fmt: skip

    other = lesson("l9", "class-1", region="north", model="pattern", version_digest="sha256:" + "9" * 64)
    keeper.submit([handed(1, "north"), handed(2, "north"), other], [])
    keeper.submit([handed(3, "south")], [])
    keeper.submit([handed(4, "north")], [])
    keeper.submit([], ["l4"])  # forgotten: not told either
    tried = Trial("pattern", VERSION, "north", HEAD, "sha256:" + "c" * 64)
    trial = RegionTrial(
        tried, "models/pattern/versions/v2", scope, ("device",), "", "", Promise(0.01, 0.95), 40.0, 2, 0, NOW + 1,
    )  # fmt: skip
    TrialTable(registry.database).add(trial)
    policy = write_policy(PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.5, head=HEAD))
    heard, mirror = Heard(), RolloutMirror(None)
    mirror.take(rollout("head", policy=policy))
    told_of(Deeds(heard, lessons, mirror, lambda: NOW), heard, mirror)
    ((_, _, attributes, questions),) = heard.spans.values()
    assert questions == [link(number) for number in expected]
    assert attributes[Attribute.LESSONS] == 40, "those without a link are counted"
