"""When an input is worth compressing."""

from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.payoff import SMALLEST, Payoff, pays

SIZE = 1000


def run(payoff: Payoff, shares: list[float]) -> tuple[Payoff, int]:
    """One request after the other; each comes to its share when it is tried. Gives how many were tried."""
    tries = 0
    for share in shares:
        if payoff.worth_trying(SIZE):
            payoff = payoff.tried(SIZE, int(share * SIZE))
            tries += 1
        else:
            payoff = payoff.passed_over()
    return payoff, tries


def test_an_input_that_shrinks_is_compressed_every_time() -> None:
    assert run(Payoff(), [0.3] * 500)[1] == 500


def test_an_input_that_never_shrinks_is_tried_ever_more_rarely_and_never_given_up() -> None:
    assert 5 <= run(Payoff(), [1.0] * 2000)[1] <= 8
    settled, _ = run(Payoff(), [1.0] * 60_000)
    assert 10 <= run(settled, [1.0] * 50_000)[1] <= 13


def test_an_input_that_begins_to_shrink_is_compressed_from_the_next_try_on() -> None:
    settled, _ = run(Payoff(), [1.0] * 100)
    found, _ = run(settled, [0.2] * 200)
    assert found.known
    assert run(found, [0.2] * 50)[1] == 50


def test_what_is_tiny_is_never_compressed() -> None:
    assert not Payoff().worth_trying(SMALLEST - 1)
    assert Payoff().worth_trying(SMALLEST)


@given(st.integers(SMALLEST, 10**6), st.integers(1, 10**6))
def test_it_pays_only_when_fewer_bytes_are_sent_even_with_the_mark(size: int, packed: int) -> None:
    if pays(size, packed):
        assert packed + 32 < size
