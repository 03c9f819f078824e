"""Lessons go up agent by agent, whatever is lost, repeated, reordered or killed on the way: each is kept once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.handing_up.memory import Memory
from upriver.errors import DiskTrouble, NotSupported, Unreachable
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.route import Way
from upriver_agent.handing_up.sender import Pace, Sender
from upriver_agent.handing_up.submitting import Taken

PARENT, OTHER = Way("parent", "p:1", True), Way("control plane cp:1", "cp:1", False)


class Top:
    """A control plane in memory: an id is kept once, and one that was forgotten never."""

    def __init__(self):
        self.kept, self.forgotten, self.calls, self.answer = {}, set(), [], None

    def __call__(self, way, entries):
        self.calls.append((way.name, [entry.id for entry in entries]))
        if self.answer is not None:
            return self.answer(way, entries)
        return self.take(entries)

    def take(self, entries):
        for entry in entries:
            if entry.forgotten:
                self.forgotten.add(entry.id)
                self.kept.pop(entry.id, None)
            elif entry.id not in self.forgotten:
                self.kept[entry.id] = self.kept.get(entry.id, 0) + (entry.id not in self.kept)
        return Taken(frozenset(entry.id for entry in entries), {})


def sender(journal, submit, ways=(PARENT,), rate=0):
    return Sender(journal, None, lambda: ways, submit, Pace(bytes_per_s=rate), clock=lambda: 0.0, chance=lambda: 1.0)


def test_what_waits_goes_up_in_calls_until_nothing_is_left():
    journal, top = Memory(), Top()
    journal.put(*(f"l{number}" for number in range(450)))
    work = sender(journal, top)
    assert [work.step() for _ in range(4)] == [0.0, 0.0, 0.0, None]
    assert [len(ids) for _, ids in top.calls] == [200, 200, 50]
    assert (len(top.kept), journal.left()) == (450, [])


def test_a_way_that_fails_is_left_alone_for_longer_each_time_and_another_is_tried():
    journal, top = Memory(), Top()
    journal.put("a")

    def away(way, entries):
        raise Unreachable("nobody there")

    top.answer = away
    work = sender(journal, top, ways=(PARENT, OTHER))
    assert [work.step() for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert [name for name, _ in top.calls] == [PARENT.name, OTHER.name, PARENT.name, OTHER.name]
    top.answer = None
    assert (work.step(), work.step(), list(top.kept)) == (0.0, None, ["a"])


def test_who_hands_up_nothing_costs_no_pause_while_another_way_is_left():
    journal, top = Memory(), Top()
    journal.put("a")

    def none(way, entries):
        if way.is_agent or top.fails:
            raise NotSupported("this agent hands no lessons up")
        return top.take(entries)

    top.answer, top.fails = none, True
    agents = [Way(f"a{number}", f"a{number}:1", True) for number in range(8)]
    work = sender(journal, top, ways=(*agents, OTHER))
    assert [work.step() for _ in range(18)] == [*[0.0] * 8, 1.0, *[0.0] * 8, 2.0]
    top.fails = False
    assert ([work.step() for _ in range(10)], work.failures) == ([*[0.0] * 9, None], 0)


def test_who_has_no_room_is_as_good_as_away_and_who_refuses_is_not_asked_again():
    journal, top = Memory(), Top()
    journal.put("a", "b")
    top.answer = lambda way, entries: Taken(frozenset(), {})
    work = sender(journal, top)
    assert work.step() == 1.0
    top.answer = lambda way, entries: Taken(frozenset({"a"}), {"b": "its input is too large"})
    assert (work.step(), work.step()) == (0.0, None)
    assert spool.tally(journal.connection)["refused"] == 1


def test_nobody_above_means_waiting_and_nothing_is_lost():
    journal = Memory()
    journal.put("a")
    work = sender(journal, Top(), ways=())
    assert [work.step(), work.step()] == [1.0, 2.0]
    assert journal.left() == ["a"]


def test_the_rate_is_bounded():
    journal, top = Memory(), Top()
    journal.put("a", "b")
    work = sender(journal, top, rate=100)
    assert work.step() == pytest.approx((2 * spool.OVERHEAD + 2) / 100)


def test_a_disk_that_is_full_loses_nothing():
    journal, top = Memory(), Top()
    journal.put("a")
    journal.full = True
    with pytest.raises(DiskTrouble):
        sender(journal, top).step()
    journal.full = False
    work = sender(journal, top)
    assert (work.step(), work.step(), list(top.kept)) == (0.0, None, ["a"])


class Killed(BaseException):
    """The process ended here."""


STEPS = st.lists(
    st.sampled_from(["learn", "device", "edge", "lose", "kill", "repeat", "forget", "switch", "shuffle"]), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_each_lesson_is_kept_once_at_the_end_and_none_that_was_forgotten(steps, seed):
    """A device hands up to an edge, or past it; both may be killed between any two things that they do."""
    chance, top = random.Random(seed), Top()  # noqa: S311 - a test's
    device, edge = Memory(), Memory()
    learnt, forgotten, old = [], set(), []
    mood = {"now": "fine", "way": PARENT}

    def submit(way, entries):
        if mood["now"] == "before":
            raise Killed
        old.append(list(entries))
        if way is PARENT:
            gone = [one.id for one in entries if one.forgotten]
            noted = edge.write(lambda connection: spool.forget(connection, gone, 3000)).result()
            lessons = [one for one in entries if not one.forgotten]
            kept = edge.write(lambda connection: spool.put(connection, lessons, 3000)).result()
            taken = Taken(frozenset({*kept, *noted}), {})
        else:
            taken = top.take(entries)
        if mood["now"] == "after":
            raise Killed
        if mood["now"] == "lost":
            raise Unreachable("the answer was lost")
        return taken

    def step(journal, way):
        try:
            return sender(journal, submit, ways=(way,)).step()
        except Killed:
            return 0.0

    for action in steps:
        match action:
            case "learn":
                name = f"l{len(learnt)}"
                learnt.append(name)
                device.put(name)
                seqs = [len(learnt)]
                device.write(lambda connection, seqs=seqs: spool.saw(connection, seqs))
            case "device":
                step(device, mood["way"])
            case "edge":
                step(edge, OTHER)
            case "lose":
                mood["now"] = "lost"
                step(device, mood["way"])
            case "kill":
                mood["now"] = chance.choice(["before", "after"])
                step(chance.choice([device, edge]) if mood["way"] is PARENT else device, mood["way"])
            case "repeat" if old:
                top.take(chance.choice(old))
            case "forget" if learnt:
                number = chance.randrange(len(learnt))
                forgotten.add(learnt[number])
                pair = (number + 1, learnt[number])
                device.write(lambda connection, pair=pair: spool.forget_own(connection, [pair]))
            case "switch":
                mood["way"] = OTHER if mood["way"] is PARENT else PARENT
            case "shuffle":
                chance.shuffle(old)
        mood["now"] = "fine"
    for _ in range(200):
        if step(device, mood["way"]) is None and step(edge, OTHER) is None:
            break
        step(edge, OTHER)
    assert device.left() == edge.left() == []
    for entries in old:
        top.take(entries)
    assert top.kept == dict.fromkeys(sorted(set(learnt) - forgotten), 1)
