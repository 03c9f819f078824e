"""Which pairs were seen: only what is new counts as a change, also across starts and the loss of the journal."""

from tests.unit.agent.tickets.making import WAIT_S, issue, opened
from upriver_agent.tickets.changes import Changes
from upriver_agent.tickets.store import MAX_PAIRS


def made(desk):
    changes = Changes(desk.journal)
    changes.load()
    return changes


def settle(desk):
    desk.journal.write(lambda _: None).result(WAIT_S)


def test_what_was_seen_before_is_no_change(tmp_path):
    with opened(tmp_path) as desk:
        changes = made(desk)
        assert changes.epoch_of("m") == 0
        assert changes.note("m", ["up-1"], "own-1")
        assert not changes.note("m", ["up-1"], "own-1")
        assert not changes.note("m", [], "")
        assert changes.epoch_of("m") == 1
        assert changes.note("m", ["up-1", "up-2"])
        assert not changes.note("m", ["up-1"])
        assert (changes.epoch_of("m"), changes.epoch_of("other")) == (2, 0)
        settle(desk)
        again = made(desk)
        assert again.epoch_of("m") == 2
        assert not again.note("m", ["up-2", "up-1"], "own-1")


def test_an_own_pair_that_comes_back_is_a_change_and_one_above_is_not(tmp_path):
    with opened(tmp_path) as desk:
        changes = made(desk)
        for own in ("a", "b", "a"):
            assert changes.note("m", [], own)
        assert changes.epoch_of("m") == 3


def test_nothing_is_noted_before_the_journal_was_read(tmp_path):
    with opened(tmp_path) as desk:
        assert not Changes(desk.journal).note("m", ["up"], "own")


def test_what_is_remembered_is_bounded_and_epochs_go_on(tmp_path):
    with opened(tmp_path) as desk:
        changes = made(desk)
        for number in range(MAX_PAIRS + 20):
            assert changes.note("m", [f"up-{number}"])
        assert changes.epoch_of("m") == MAX_PAIRS + 20
        assert changes.note("m", ["up-0"])


def test_epochs_go_on_from_those_that_tickets_have_seen(tmp_path):
    with opened(tmp_path) as desk:
        desk.epoch_of = lambda _: 7
        issue(desk)
        changes = made(desk)
        assert changes.epoch_of("m") == 7
        assert changes.note("m", [], "own")
        assert changes.epoch_of("m") == 8
