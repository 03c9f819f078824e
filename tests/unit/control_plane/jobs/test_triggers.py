"""When a model is trained without being asked."""

import asyncio
from dataclasses import replace

from tests.unit.control_plane.fleet_facts import active, agent
from upriver.errors import NotNow, QueueFull
from upriver_control.jobs.training import REPLAY_LEFT_OUT, Training, TrainResult, TrainSpec
from upriver_control.jobs.triggers import Triggers, due, escalation_rate, unseen
from upriver_control.observed import Counters
from upriver_control.services.training_triggers import TrainingTriggers
from upriver_control.training.gathering import OTHER_INPUTS, UNKNOWN_LABEL

NONE = Triggers(every_s=100.0)
SPEC = TrainSpec("models/digits/versions/1", "sha256:" + "a" * 64)


def training(created, lessons=0, **left_out):
    result = TrainResult(lessons, 0, (), "", "", left_out=left_out) if lessons else None
    return Training("t", "digits", created, SPEC, result=result)


def why(triggers, newest=None, lessons=500, rate=0.5, alarmed=True, now=1000.0, later=0):
    new = unseen(lessons, later, newest.result if newest is not None else None)
    return due(triggers, newest, lessons, new, rate, alarmed, now)


def test_nothing_is_trained_unless_it_is_switched_on():
    assert not NONE.any
    assert why(NONE) == ""


def test_each_trigger_says_why():
    assert why(replace(NONE, new_lessons=400)) == "500 new lessons"
    assert why(replace(NONE, new_lessons=501)) == ""
    assert why(replace(NONE, new_lessons=400), training(0.0, 150)) == ""
    assert why(replace(NONE, new_lessons=350), training(0.0, 150)) == "350 new lessons"
    assert why(replace(NONE, new_lessons=300), training(0.0, 150), later=300) == "350 new lessons"
    assert why(replace(NONE, escalation_rate=0.4)) == "50.0% of questions go up"
    assert why(replace(NONE, escalation_rate=0.4), rate=None) == ""
    assert why(replace(NONE, alarm=True)) == "an alarm"
    assert why(replace(NONE, schedule=True)) == "its time"


def test_lessons_that_no_training_could_use_are_not_new_and_those_that_came_for_ones_that_are_gone_are():
    wanted = replace(NONE, new_lessons=50)
    assert why(wanted, training(0.0, 150, **{OTHER_INPUTS: 200, UNKNOWN_LABEL: 101})) == ""
    assert why(wanted, training(0.0, 150, **{OTHER_INPUTS: 200, REPLAY_LEFT_OUT: 101})) == "150 new lessons"
    assert why(wanted, training(0.0, 500), later=50) == "50 new lessons"


def test_once_in_a_while_is_enough_and_without_lessons_there_is_nothing_to_train_from():
    every = Triggers(1, 0.1, True, True, 100.0)
    assert why(every, training(901.0)) == ""
    assert why(every, training(899.0)) != ""
    assert why(every, lessons=0) == ""


def test_escalations_count_in_the_lowest_tier_that_serves_the_model():
    def serving(number, tier, rows, up):
        slot = replace(active(), counters=Counters(rows, up))
        return replace(agent(number, slot, tier=tier), tiers=("device", "cloud"))

    fleet = [serving(1, "device", 900, 450), serving(2, "device", 100, 50), serving(3, "cloud", 5000, 0)]
    assert escalation_rate("digits", fleet) == 0.5
    assert escalation_rate("digits", fleet[:1]) is None  # too few to tell
    assert escalation_rate("other", fleet) is None


class Lessons:
    def models(self):
        return ["digits"]

    def count(self, model, since=""):
        return 500 if not since else {"1970-01-02": 20}[since]


class World:
    def __init__(self):
        self.started, self.newest_one, self.taught, self.error = [], None, None, None

    async def newest(self, model):
        return self.newest_one

    async def newest_of_all(self, model):
        return self.taught

    async def start(self, model, spec, request_id, trigger=""):
        if self.error is not None:
            raise self.error
        self.started.append((model, request_id, trigger, spec.rollout))
        return training(0.0)


def test_what_is_due_is_asked_for_by_one_request_and_what_can_t_be_waits():
    world, now = World(), [1000.0]
    triggers = TrainingTriggers(replace(NONE, new_lessons=10), Lessons(), world, dict, world.start, lambda: now[0])

    def look():
        asyncio.run(triggers.look())

    look()
    look()
    assert world.started == [("digits", "trigger-digits-first", "500 new lessons", True)] * 2
    world.newest_one = training(1000.0)
    look()
    assert len(world.started) == 2
    now[0], world.error = 1900.0, QueueFull("16 trainings have not ended")
    look()
    world.error = None
    look()
    assert world.started.pop()[1] == "trigger-digits-t"  # they end within minutes
    now[0], world.error = 2000.0, NotNow("it has no Keras model")
    look()
    world.error = None
    look()
    assert len(world.started) == 2  # tried again only when the next one would be due
    now[0] = 2200.0
    look()
    assert world.started[-1][1] == "trigger-digits-t"


def test_what_is_new_is_so_since_a_training_that_was_given_everything():
    world = World()
    triggers = TrainingTriggers(replace(NONE, new_lessons=10), Lessons(), world, dict, world.start, lambda: 2000.0)
    world.newest_one = training(1000.0)  # it failed, or was of one region
    world.taught = training(900.0, 500)
    asyncio.run(triggers.look())
    assert [one[2] for one in world.started] == ["20 new lessons"]
