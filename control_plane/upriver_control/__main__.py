"""`upriver-control`, or `python -m upriver_control`: says what to install when it can't, else runs the command line."""

import sys


def main() -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 a configuration that can't be used."""
    try:
        from upriver_control.cli.control import run  # here, so that a missing package is told and not traced

        status = run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("upriver"):
            raise
        sys.exit(f"upriver-control: {error.name} is not installed; it needs: pip install 'upriver[control-plane]'")
    sys.exit(status)


if __name__ == "__main__":
    main()
