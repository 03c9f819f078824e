"""How benchmarks tell their targets."""

import io

import pytest
from rich.console import Console

from bench.targets import tell, verdict


@pytest.mark.parametrize(
    ("measured", "bound", "at_least", "told"),
    [
        (1.0, 1.0, False, "met"),
        (1.5, 1.0, False, "MISSED by 50%"),
        (3.0, 0.0, False, "MISSED"),
        (0.9, 0.9, True, "met"),
        (0.45, 0.9, True, "MISSED by 50%"),
    ],
)
def test_a_figure_is_held_against_its_bound(measured: float, bound: float, at_least: bool, told: str) -> None:
    assert verdict(measured, bound, at_least) == told


def test_what_is_told_has_figure_bound_and_verdict() -> None:
    out = io.StringIO()
    tell(Console(file=out, width=120), [("local share", 0.5, 0.94)], ".1%", at_least=True)
    assert out.getvalue() == "local share: 50.0% (target at least 0.94): MISSED by 47%\n"
