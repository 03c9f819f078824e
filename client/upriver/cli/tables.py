"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 200  # where there is no terminal whose width could be asked


def print_table(table: Table) -> None:
    """Prints a table, as wide as the terminal allows."""
    console = Console()
    console.print(table, width=None if console.is_terminal else _PIPED_WIDTH)
