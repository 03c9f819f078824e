"""Asking again: when an upstream has returned or a pair has changed, few at a time, and never in the callers' way."""

from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from tests.unit.agent.tickets.making import ABOVE, WAIT_S, answer, fact, issue, opened, request
from upriver.discovery.port import AgentRecord, ServedModel
from upriver.errors import DiskTrouble, InferenceFailed, ModelNotLoaded, QueueFull, TicketGone
from upriver.parameters import Reason
from upriver_agent.balance import NOBODY
from upriver_agent.cascade import Upward
from upriver_agent.envelope import CallerOptions
from upriver_agent.place import Place
from upriver_agent.tickets.asking import MAX_IN_FLIGHT, Asker, Mesh
from upriver_agent.tickets.reasking import Reasker, Sights
from upriver_agent.tickets.rules import State, Waiting

PLACE = Place("me", "device", "here", ("device", "cloud"))
CLOUD = AgentRecord("cloud", "cloud", "here", "127.0.0.1:1", 1, {}, 0.0)
FAR = AgentRecord("far", "cloud", "there", "127.0.0.1:2", 1, {}, 0.0)
DOWN = answer(fact(reason=Reason.UPSTREAM_DOWN))
UNSURE = answer(fact(reason=Reason.TOP, agent="cloud", path=("me", "cloud"), policy="sha256:up", confidence=0.4))
SURE = answer(fact(**ABOVE))


class World:
    """An agent's surroundings, as a test wants them; time stands until it is moved."""

    def __init__(self):
        self.now, self.wall = 100.0, 1e9
        self.agents, self.own, self.live = [CLOUD], {"m": "sha256:own"}, 0
        self.reply, self.asked = DOWN, []

    def infer(self, asked, call):
        assert call.metadata() == ()
        assert call.time_left_s() > 0
        self.asked.append(asked.again)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def pass_s(self, seconds):
        self.now += seconds
        self.wall += seconds


@contextmanager
def asking(folder, per_s=100.0, world=None):
    """A desk and what asks its tickets again, which looks when the test says so."""
    world = world or World()
    with opened(folder, clock=lambda: world.wall) as desk:
        look = lambda: Upward(world.agents, NOBODY, None, 0.0, 0)  # noqa: E731 - it reads the world when it is called
        asker = Asker(desk, Mesh(PLACE, world.infer, look), 5.0, lambda: world.now, lambda: 0.999)
        sights = Sights(PLACE, lambda: world.own, lambda: world.agents, lambda: world.live > 3)
        reasker = Reasker(desk, asker, sights, per_s, lambda: world.now)
        reasker.load()
        reasker.look()
        world.pass_s(1.0)
        yield world, desk, reasker


def looked(desk, reasker):
    """Looks once, with all that was written before, and waits until what came of it is in the journal."""
    desk.journal.write(lambda _: None).result(WAIT_S)
    pause_s = reasker.look()
    desk.journal.write(lambda _: None).result(WAIT_S)
    return pause_s


def test_a_ticket_is_answered_once_an_upstream_is_there_again(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk)
        world.agents = []
        looked(desk, reasker)
        assert world.asked == []  # nobody above is known: the model is not run for nothing
        world.agents = [CLOUD]
        looked(desk, reasker)
        assert (world.asked, desk.get("q-1").state) == (["q-1"], State.OPEN)
        world.reply = SURE
        world.pass_s(2.0)
        looked(desk, reasker)
        assert (desk.get("q-1").state, desk.get("q-1").answered_by) == (State.ANSWERED, "cloud")
        looked(desk, reasker)
        assert world.asked == ["q-1", "q-1"]


def test_of_many_tickets_only_a_trial_is_asked_while_nobody_answers_and_all_once_somebody_does(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, rows=20)
        looked(desk, reasker)
        assert len(world.asked) == 2  # the second failure shuts the gate
        for _ in range(8):
            world.pass_s(0.1)
            looked(desk, reasker)
        assert len(world.asked) == 2
        world.pass_s(0.3)
        looked(desk, reasker)
        assert len(world.asked) == 3
        world.reply = SURE
        world.pass_s(30.0)
        for _ in range(3):
            looked(desk, reasker)
        assert desk.counters().open == 0


def test_a_live_answer_from_above_opens_the_gate_at_once(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, rows=3)
        looked(desk, reasker)
        world.reply = SURE
        looked(desk, reasker)
        assert desk.counters().open == 3
        desk.reached("m", [fact(**ABOVE)])
        looked(desk, reasker)
        assert desk.counters().open == 0


def test_who_comes_back_by_discoverys_word_is_asked_at_once(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, rows=5)
        for _ in range(6):
            world.pass_s(5.0)
            looked(desk, reasker)  # the gate's pause has grown by now
        world.agents = []
        looked(desk, reasker)
        world.agents, world.reply = [CLOUD], SURE
        looked(desk, reasker)
        looked(desk, reasker)
        assert desk.counters().open == 0


def test_a_question_that_makes_upstreams_fail_does_not_keep_the_others_waiting(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, "q-bad")
        desk.wait("q-bad", 0.0, lambda _: True)  # the most valuable of all: somebody asks about it
        issue(desk, "q-good", rows=5)
        world.infer = lambda asked, _: DOWN if asked.again == "q-bad" else SURE
        reasker._asker._mesh = Mesh(PLACE, world.infer, reasker._asker._mesh.look)
        for _ in range(20):
            world.pass_s(1.0)
            looked(desk, reasker)
        assert [ticket.id for ticket in desk.listing(State.OPEN, "", 0, 10)] == ["q-bad"]


def test_what_the_top_was_unsure_of_is_asked_again_only_when_a_pair_is_new(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        looked(desk, reasker)
        issue(desk, given=UNSURE)
        world.reply = UNSURE
        for _ in range(5):
            world.pass_s(100.0)
            looked(desk, reasker)
        assert world.asked == []
        world.own = {"m": "sha256:new"}
        looked(desk, reasker)
        looked(desk, reasker)
        assert world.asked == ["q-1"]
        world.agents = [
            AgentRecord("cloud", "cloud", "here", "127.0.0.1:1", 1, {"m": ServedModel("2", "sha256:v2")}, 0.0)
        ]
        world.pass_s(2.0)
        looked(desk, reasker)
        assert world.asked == ["q-1", "q-1"]
        world.pass_s(3.0)
        desk.reached("m", [fact(**{**ABOVE, "policy": "sha256:up-3"})])  # as a live answer tells
        world.reply = SURE
        looked(desk, reasker)
        assert desk.get("q-1").answered_by == "cloud"


def test_a_start_is_no_change_and_a_pair_that_comes_back_is_one(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        looked(desk, reasker)
        issue(desk, given=UNSURE)
    with asking(tmp_path, world=world) as (world, desk, reasker):
        looked(desk, reasker)
        assert world.asked == []
        world.own, world.reply = {"m": "sha256:new"}, UNSURE
        looked(desk, reasker)
        world.own = {"m": "sha256:own"}
        world.pass_s(5.0)
        looked(desk, reasker)
        assert world.asked == ["q-1", "q-1"]


def test_a_better_guess_takes_the_place_of_the_old_one_and_what_could_not_go_up_changes_none(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk)
        first = desk.get("q-1").guess
        looked(desk, reasker)
        assert desk.get("q-1").guess == first
        world.reply = UNSURE
        world.pass_s(5.0)
        looked(desk, reasker)
        found = desk.get("q-1")
        assert found.guess != first
        assert found.course.waiting is Waiting.MODEL


def test_no_more_are_asked_than_the_pace_allows_and_none_while_callers_keep_the_agent_busy(tmp_path):
    with asking(tmp_path, per_s=2.0) as (world, desk, reasker):
        issue(desk, rows=10)
        world.reply, world.live = SURE, 4
        assert looked(desk, reasker) == pytest.approx(0.2)
        assert world.asked == []
        world.live = 0
        assert looked(desk, reasker) == pytest.approx(0.5)
        for number in range(2, 11):
            assert len(world.asked) == number  # two after the rest, then one every half second
            world.pass_s(0.5)
            looked(desk, reasker)


def test_with_no_pace_nothing_is_asked(tmp_path):
    with asking(tmp_path, per_s=0.0) as (world, desk, reasker):
        issue(desk)
        looked(desk, reasker)
        assert world.asked == []


def test_few_are_asked_at_a_time_and_the_end_gives_them_up(tmp_path):
    with asking(tmp_path) as (_, desk, reasker):
        issue(desk, rows=10)
        later = [Future() for _ in range(10)]
        calls = []

        def infer(asked, call):
            calls.append(call)
            call.on_end(lambda: None)
            return later[len(calls) - 1]

        reasker._asker._mesh = Mesh(PLACE, infer, reasker._asker._mesh.look)
        looked(desk, reasker)
        assert len(calls) == MAX_IN_FLIGHT
        later[0].set_result(SURE)
        looked(desk, reasker)
        assert len(calls) == MAX_IN_FLIGHT + 1
        ended = []
        calls[1].on_end(lambda: ended.append(1))
        reasker.close()
        assert ended == [1]
        assert not calls[1].on_end(lambda: None)


@pytest.mark.parametrize("error", [InferenceFailed("broken"), ModelNotLoaded("gone"), ZeroDivisionError()])
def test_a_question_that_fails_is_asked_again_later_and_later(tmp_path, error):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk)
        world.reply = error
        for _ in range(20):
            world.pass_s(1.0)
            looked(desk, reasker)
        assert 3 <= len(world.asked) <= 6
        assert desk.get("q-1").course.attempts == len(world.asked)


def test_a_full_agent_does_not_count_as_an_attempt(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk)
        world.reply = QueueFull("full")
        looked(desk, reasker)
        assert (len(world.asked), desk.get("q-1").course.attempts) == (1, 0)
        world.pass_s(0.1)
        world.reply = SURE
        looked(desk, reasker)
        assert desk.get("q-1").state is State.ANSWERED


def test_what_must_stay_in_the_region_is_not_asked_for_those_elsewhere(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        near = request(options=CallerOptions(region_only=True))
        issue(desk, "q-near", asked=near, given=answer(fact(reason=Reason.REGION)))
        issue(desk, "q-any")
        world.agents, world.reply = [FAR], SURE
        looked(desk, reasker)
        assert world.asked == ["q-any"]
        world.agents = [FAR, CLOUD]
        world.pass_s(2.0)
        looked(desk, reasker)
        assert world.asked == ["q-any", "q-near"]


def test_old_tickets_end_and_a_clock_that_is_set_ends_none(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        world.agents = []
        issue(desk)
        world.wall += 1e8  # the clock is set, time has not passed
        looked(desk, reasker)
        world.pass_s(61.0)
        looked(desk, reasker)
        assert desk.get("q-1").state is State.OPEN
        world.pass_s(3600.0)
        looked(desk, reasker)
        assert desk.counters().expired == 1


@pytest.mark.parametrize("column", ["waiting", "guess", "worth"])
def test_a_damaged_row_is_dropped_and_harms_no_other(tmp_path, column):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, "q-1")
        harm = {
            "waiting": "UPDATE ticket SET epoch = -1, waiting = 77",
            "guess": "UPDATE ticket SET epoch = -1, guess = 'text'",
            "worth": "UPDATE ticket SET epoch = -1, worth = 9",
        }[column]
        desk.journal.write(lambda connection: connection.execute(harm) and None).result(WAIT_S)
        issue(desk, "q-2")
        with pytest.raises(DiskTrouble, match="q-1 is damaged"):
            desk.get("q-1")
        assert [ticket.id for ticket in desk.listing(0, "", 0, 10)] == ["q-2"]
        world.reply = SURE
        looked(desk, reasker)
        looked(desk, reasker)
        with pytest.raises(TicketGone):
            desk.get("q-1")
        assert desk.get("q-2").state is State.ANSWERED
        assert (desk.counters().open, desk.counters().dropped) == (0, 1)


def test_what_was_kept_and_can_not_be_read_is_put_off_and_harms_no_other(tmp_path):
    with asking(tmp_path) as (world, desk, reasker):
        issue(desk, "q-1")
        issue(desk, "q-2")
        world.reply = SURE
        damage = "UPDATE ticket SET request = x'ffff' WHERE id = 'q-1'"
        desk.journal.write(lambda connection: connection.execute(damage) and None).result(WAIT_S)
        looked(desk, reasker)
        assert world.asked == ["q-2"]
        assert desk.get("q-1").course.attempts == 1
