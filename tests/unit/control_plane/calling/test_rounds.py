"""Rounds over many agents: who is away does not hold up the next ones."""

import asyncio

import pytest

from upriver.errors import InvalidInput, NotSupported, Unreachable
from upriver_control.calling.rounds import AWAY_S, LONGEST_AWAY_S, MAX_AWAY, Rounds


class Agents:
    """Answer with their name; `errors` has those that do not."""

    def __init__(self, **errors):
        self.errors = errors
        self.asked = []

    async def __call__(self, agent):
        self.asked.append(agent)
        error = self.errors.get(agent)
        if error == "never":
            await asyncio.sleep(60)
        elif error is not None:
            raise error
        return agent


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def ask(rounds, agents, **since):
    return asyncio.run(rounds.ask(since, agents))


def test_each_agent_answers_or_says_why_not():
    agents = Agents(b=Unreachable("a wall"), c=NotSupported("an old one"), d=InvalidInput("what?"), e="never")
    replies = ask(Rounds(0.3), agents, a=1.0, b=1.0, c=1.0, d=1.0, e=1.0)
    assert replies.answers == {"a": "a"}
    assert replies.problems == {"b": "a wall", "d": "what?", "e": "there was no answer within 0.3 s"}


def test_who_was_away_is_left_alone_for_a_while_or_until_it_connects_anew():
    clock, agents = Clock(), Agents(a=Unreachable("a wall"), b=InvalidInput("what?"))
    rounds = Rounds(30.0, clock)
    for _ in range(2):
        assert ask(rounds, agents, a=1.0, b=1.0).problems == {"a": "a wall", "b": "what?"}
    assert agents.asked == ["a", "b", "b"]
    ask(rounds, agents, a=2.0)
    assert agents.asked[3:] == ["a"]
    for times in (1, 2, 4, 8, 16, 20, 20):  # twice as long each time
        clock.now += times * AWAY_S - 1
        ask(rounds, agents, a=2.0)
        assert agents.asked[3:] == ["a"]
        clock.now += 2
        ask(rounds, agents, a=2.0)
        assert agents.asked.pop() == "a"
    clock.now += LONGEST_AWAY_S + 1
    agents.errors = {}
    assert ask(rounds, agents, a=2.0).answers == {"a": "a"}
    assert agents.asked[3:] == ["a", "a"]
    assert ask(rounds, agents, a=2.0).answers == {"a": "a"}


def test_who_is_only_slow_is_asked_again():
    agents, rounds = Agents(a="never"), Rounds(0.1, Clock())
    for _ in range(2):
        assert ask(rounds, agents, a=1.0).problems == {"a": "there was no answer within 0.1 s"}
    assert agents.asked == ["a", "a"]


def test_who_leaves_meanwhile_leaves_nobody_asking():
    async def run():
        ended = []

        async def call(agent):
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(agent)

        task = asyncio.create_task(Rounds(60.0).ask({"a": 1.0}, call))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended

    assert asyncio.run(run()) == ["a"]


def test_what_is_remembered_is_bounded():
    rounds = Rounds(30.0, Clock())
    for number in range(3):
        names = [f"a{index}" for index in range(number * MAX_AWAY // 2, (number + 1) * MAX_AWAY // 2)]
        ask(rounds, Agents(**{name: Unreachable("a wall") for name in names}), **dict.fromkeys(names, 1.0))
    assert len(rounds._away) == MAX_AWAY
