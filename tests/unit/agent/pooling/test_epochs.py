import pytest

from upriver.errors import DiskTrouble
from upriver_agent.pooling.epochs import FILE, Epochs


def test_epochs_rise_over_restarts_wherever_the_agent_was_killed(tmp_path) -> None:
    given: list[int] = []
    for _ in range(4):
        epochs = Epochs(tmp_path, lambda: 1000.0)
        assert epochs.used is bool(given)
        given += [epochs(0) for _ in range(70)]
    assert given == sorted(set(given))


def test_an_epoch_exceeds_what_others_have_seen(tmp_path) -> None:
    epochs = Epochs(tmp_path, lambda: 1.0)
    first = epochs(0)
    assert epochs(first + 500) > first + 500
    assert Epochs(tmp_path, lambda: 1.0)(0) > first + 500


def test_an_agent_that_lost_its_epochs_goes_on_from_its_clock(tmp_path) -> None:
    first = Epochs(tmp_path, lambda: 1000.0)(0)
    for broken in ("", "x", "-5"):
        (tmp_path / FILE).write_text(broken)
        assert Epochs(tmp_path, lambda: 2000.0)(0) > first


def test_without_a_disk_there_are_no_epochs(tmp_path) -> None:
    (tmp_path / "gone").write_text("a file where the folder should be")
    with pytest.raises(DiskTrouble, match="expected a folder to write to"):
        Epochs(tmp_path / "gone", lambda: 1.0)(0)
