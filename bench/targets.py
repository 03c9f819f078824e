"""How figures stand against their targets, told the same way by every benchmark."""

from collections.abc import Sequence

from rich.console import Console


def verdict(measured: float, bound: float, at_least: bool = False) -> str:
    """Whether a figure keeps to its bound (at most it, or at least), and if not by what share of it."""
    if measured >= bound if at_least else measured <= bound:
        return "met"
    return f"MISSED by {abs(measured / bound - 1):.0%}" if bound else "MISSED"


def tell(
    console: Console, targets: Sequence[tuple[str, float, float]], form: str = ".2f", at_least: bool = False
) -> None:
    """Prints each target: what, measured (in the format `form`), its bound."""
    which = "at least" if at_least else "at most"
    for what, measured, bound in targets:
        told = verdict(measured, bound, at_least)
        console.print(f"{what}: {measured:{form}} (target {which} {bound:g}): {told}", highlight=False)
