"""Where the `upriver` command starts: says what to install when it can't, else runs it."""

import sys


def main() -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 asked for in a way that makes no sense."""
    try:
        from upriver.cli.root import run  # here, so that a missing package is told and not traced
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.exit(f"upriver: {error.name} is not installed; the command line needs: pip install 'upriver[cli]'")
    sys.exit(run())
