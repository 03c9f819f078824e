"""Retries go around all agents, wait between rounds, and end: within the deadline and their number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import DeadlineExpired, Draining, InvalidInput, QueueFull, Unreachable
from upriver.refusals import REPEATABLE
from upriver.retries import FIRST_WAIT_S, LONGEST_WAIT_S, Attempts, Way

CHANCE = st.floats(0, 1, exclude_max=True)
ADDRESSES = ("one:1", "two:2", "three:3")
FAR = 1e9


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 6), CHANCE)
def test_every_agent_is_asked_once_a_round_from_the_preferred_one_on(
    agents: int, first: int, retries: int, chance: float
) -> None:
    first %= agents
    attempts, asked, waits, now = Attempts(agents, first, retries, FAR), [], [], 0.0
    while True:
        asked.append(attempts.at)
        attempts, step = attempts.failed(now, chance)
        if step is None:
            break
        assert step.at == attempts.at
        waits.append(step.wait_s)
        now += step.wait_s
    one_round = [(first + place) % agents for place in range(agents)]
    assert asked == one_round * (1 + retries)
    between_rounds = waits[agents - 1 :: agents]
    assert sum(waits) == pytest.approx(sum(between_rounds))  # within a round nobody waits
    for number, wait_s in enumerate(between_rounds):
        assert wait_s == pytest.approx(chance * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**number))


@given(st.integers(1, 4), st.floats(0, 5), st.floats(0, 5), CHANCE)
def test_no_wait_outlasts_the_deadline(agents: int, deadline: float, now: float, chance: float) -> None:
    attempts = Attempts(agents, 0, 100, deadline)
    for _ in range(agents * 3):
        attempts, step = attempts.failed(now, chance)
        if step is None:
            return
        assert now + step.wait_s < deadline


def test_waits_stay_bounded_however_many_rounds_there_were() -> None:
    _, step = Attempts(1, 0, 10_000, FAR, done=5_000).failed(0.0, 0.999)
    assert step is not None
    assert step.wait_s <= LONGEST_WAIT_S


def test_what_is_not_repeatable_is_raised_at_once() -> None:
    way = Way(ADDRESSES, 0, 2, FAR)
    with pytest.raises(InvalidInput, match="shape"):
        way.failed(InvalidInput("shape"), 0.0, 0.5)
    assert way.address == "one:1"


@pytest.mark.parametrize("kind", REPEATABLE)
def test_what_is_repeatable_moves_to_the_next_agent_at_once(kind: type[Unreachable]) -> None:
    way = Way(ADDRESSES, 2, 0, FAR)
    assert way.failed(kind("no"), 0.0, 0.5) == 0.0
    assert (way.at, way.address) == (0, "one:1")


def test_in_the_end_every_agents_last_failure_is_told() -> None:
    way = Way(ADDRESSES, 0, 0, FAR)
    way.failed(Unreachable("refused at one"), 0.0, 0.5)
    way.failed(Draining("two drains"), 0.0, 0.5)
    with pytest.raises(QueueFull, match=r"none of 3 agents .*refused at one; two drains; three is full"):
        way.failed(QueueFull("three is full"), 0.0, 0.5)


def test_one_agents_failure_is_told_as_it_is() -> None:
    refused = Unreachable("refused")
    with pytest.raises(Unreachable) as raised:
        Way(("one:1",), 0, 0, FAR).failed(refused, 0.0, 0.5)
    assert raised.value is refused


def test_time_left_is_what_the_deadline_leaves() -> None:
    way = Way(ADDRESSES, 0, 0, 10.0)
    assert way.time_left_s(7.5) == 2.5
    with pytest.raises(DeadlineExpired, match="one:1"):
        way.time_left_s(10.0)
