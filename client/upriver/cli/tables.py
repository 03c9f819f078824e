"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 200  # where there is no terminal whose width could be asked


def print_table(table: Table) -> None:
    """Prints a table, as wide as the terminal allows."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)  # print's own width can only narrow the console's, which would be 80
    console.print(table)
