"""What the benchmark makes of what it measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import framed, unframed
from bench.serving import FIGURES, Results, summed_up, targets


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_messages_come_out_of_a_body_as_they_went_in(messages: list[bytes]) -> None:
    assert unframed(b"".join(framed(message) for message in messages)) == messages


def test_a_figure_is_the_median_of_the_rounds_beside_the_lowest_and_highest() -> None:
    rounds = [dict.fromkeys(FIGURES, value) for value in (3.0, 1.0, 10.0)]
    told = summed_up(rounds)
    for figure in FIGURES:
        assert told[figure] == 3.0
        assert told[f"{figure}_spread"] == [1.0, 10.0]


def results(**cpu_us: float) -> Results:
    return {name: summed_up([{**dict.fromkeys(FIGURES, 1.0), "cpu_us": value}]) for name, value in cpu_us.items()}


def test_the_agent_is_held_against_the_echo_and_the_peers_that_were_measured() -> None:
    told = {what: measured for what, measured, _ in targets(results(echo=100.0, agent=120.0, kserve=400.0))}
    assert told["CPU of agent / echo"] == pytest.approx(1.2)
    assert told["CPU of agent / kserve"] == pytest.approx(0.3)
    assert "CPU of agent / mlserver" not in told
