"""What keys do to tickets that wait, without a browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.console.labelling import (
    MAX_TYPED,
    Choice,
    Desk,
    Waiting,
    arrived,
    chosen,
    failed,
    kept,
    look_at,
    press,
)

FRUIT = ("apple", "apricot", "banana", "umbrella", "ugli")
DIGITS = tuple("0123456789")


def desk(*labels: tuple[str, ...]) -> Desk:
    return arrived(Desk(), [Waiting("a", f"tickets/q-{number}", each) for number, each in enumerate(labels)])


def after(before: Desk, *keys: str) -> tuple[Desk, list[Choice]]:
    sent = []
    for key in keys:
        before, choice = press(before, key)
        if choice is not None:
            sent.append(choice)
    return before, sent


def test_arrows_choose_the_ticket_a_digit_the_label_and_enter_sends() -> None:
    left, sent = after(desk(FRUIT, FRUIT, FRUIT), "ArrowDown", "3", "Enter")
    assert sent == [Choice(Waiting("a", "tickets/q-1", FRUIT), "banana")]
    assert [one.name for one in left.tickets] == ["tickets/q-0", "tickets/q-2"]
    assert left.current is not None and left.current.name == "tickets/q-2"  # noqa: PT018 - one thought
    assert (left.label, left.typed) == ("", "")


def test_what_is_typed_chooses_the_one_label_that_begins_with_it() -> None:
    typing, _ = after(desk(FRUIT), "A", "p")
    assert (typing.label, typing.typed) == ("", "Ap")
    assert typing.said == "2 labels begin with Ap."
    unique, _ = after(typing, "r")
    assert unique.label == "apricot"
    wrong, _ = after(unique, "x")
    assert (wrong.label, wrong.said) == ("apricot", "No label begins with Aprx.")
    back, _ = after(unique, "Backspace")
    assert (back.label, back.typed) == ("", "Ap")


def test_where_labels_are_digits_a_digit_is_the_label_and_not_its_place() -> None:
    seven, _ = after(desk(DIGITS), "7")
    assert seven.label == "7"
    assert after(desk(("1", "10", "2")), "1")[0].label == "1", "the whole label, though another begins with it"
    assert after(desk(("1", "10", "2")), "1", "0")[0].label == "10"


def test_u_takes_a_choice_back_and_is_a_letter_where_it_goes_on_with_a_label() -> None:
    assert after(desk(FRUIT), "3", "u")[0].label == ""
    assert after(desk(FRUIT), "b", "u") == after(desk(FRUIT), "b", "Escape")
    assert after(desk(FRUIT), "u")[0].typed == "u"
    assert after(desk(FRUIT), "u", "m")[0].label == "umbrella"
    assert after(desk(("mud", "mug")), "m", "u")[0].typed == "mu"
    assert after(desk(FRUIT), "3", "u", "Enter")[1] == []


def test_enter_without_a_choice_sends_nothing_and_says_what_to_do() -> None:
    for labels in (FRUIT, DIGITS, ()):
        left, sent = after(desk(labels), "Enter")
        assert sent == []
        assert left.said


def test_news_leave_the_choice_alone_while_its_ticket_waits_and_take_it_away_with_it() -> None:
    choosing, _ = after(desk(FRUIT, FRUIT), "ArrowDown", "2")
    earlier = Waiting("b", "tickets/new", FRUIT)
    same = arrived(choosing, [earlier, *choosing.tickets])
    assert (same.current, same.label) == (choosing.current, "apricot")
    gone = arrived(choosing, [earlier])
    assert (gone.current, gone.label) == (earlier, "")
    assert gone.said == "q-1 does not wait any more."
    assert after(gone, "Enter")[1] == [], "never the choice that was made for another"


def test_a_ticket_that_is_answered_is_gone_at_once_and_back_when_its_answer_was_not_taken() -> None:
    whole = desk(FRUIT, FRUIT)
    sending, (choice,) = after(whole, "1", "Enter")
    assert arrived(sending, whole.tickets).tickets == whole.tickets[1:], "news of before it was answered"
    back = arrived(failed(sending, choice, "the agent is away"), whole.tickets)
    assert back.tickets == whole.tickets
    assert back.said == "q-0 was not answered: the agent is away"
    done = arrived(kept(sending, choice), whole.tickets[1:])
    assert (done.sent, done.said) == (frozenset(), "q-0 is answered: apple.")


def test_pointing_does_the_same() -> None:
    pointed = chosen(look_at(desk(FRUIT, FRUIT), 1), "banana")
    assert (pointed.at, pointed.label) == (1, "banana")
    assert chosen(pointed, "no such label") == pointed


names = st.text(max_size=4)
tickets = st.builds(Waiting, names, names, st.lists(names, unique=True, max_size=12).map(tuple))
keys = st.sampled_from(["ArrowUp", "ArrowDown", "Home", "End", "Enter", "Escape", "Backspace", "Tab", "F5", "Dead"])


@given(st.lists(st.lists(tickets, max_size=4, unique_by=lambda one: one.key) | keys | st.text(max_size=2), max_size=40))
def test_whatever_comes_only_what_waits_is_answered_with_one_of_its_labels(steps: list[list[Waiting] | str]) -> None:
    now = Desk()
    for step in steps:
        if isinstance(step, list):
            now = arrived(now, step)
            continue
        before = now
        now, choice = press(now, step)
        if choice is not None:
            assert step == "Enter"
            assert choice.ticket == before.current
            assert choice.label in choice.ticket.labels
            assert choice.ticket not in now.tickets
    assert 0 <= now.at <= max(0, len(now.tickets) - 1)
    assert len(now.typed) <= MAX_TYPED
    assert now.label == "" or (now.current is not None and now.label in now.current.labels)


@pytest.mark.parametrize("key", ["ArrowDown", "Enter", "1", "u", "Escape"])
def test_without_tickets_no_key_does_anything(key: str) -> None:
    assert press(Desk(), key) == (Desk(), None)
