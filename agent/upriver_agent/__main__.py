"""`python -m upriver_agent`: runs an agent, without the packages that the full command line needs."""

import argparse
import os
import sys
from pathlib import Path

from upriver.errors import UpriverError
from upriver_agent.app import run
from upriver_agent.config import load_config


def main() -> int:
    """Reads the arguments and runs the agent until it is told to end."""
    parser = argparse.ArgumentParser(
        prog="upriver-agent",
        description="Serve models in one place and ask upstream agents when unsure. SIGTERM and Ctrl-C drain it.",
        epilog="Every setting can be overridden by UPRIVER_<SECTION>_<KEY>, for example UPRIVER_AGENT_TIER=cloud.",
    )
    parser.add_argument("--config", type=Path, help="TOML configuration; without it, environment and defaults")
    parser.add_argument("--ready-file", type=Path, help="written as JSON {agent, address, pid} once the agent serves")
    arguments = parser.parse_args()
    try:
        return run(load_config(arguments.config, os.environ), arguments.ready_file)
    except UpriverError as error:
        print(f"upriver-agent: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
