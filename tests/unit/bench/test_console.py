"""What `scripts/bench console` makes of the times that it has taken."""

import pytest

from bench.console import Spread, main


def test_times_are_told_by_their_middle_and_their_end() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([float(at) for at in range(100, 0, -1)]) == Spread(50.5, 96.0, 100.0)


def test_a_page_that_is_never_opened_can_not_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--times", "0"])
    assert "expected 1 or more" in capsys.readouterr().err
