"""`upriver policy` for the tests, in this process and as a process in a terminal."""

import json
import sys
from typing import Any

from typer.testing import CliRunner

from tests.control_plane_process import ControlPlaneProcess
from upriver.errors import UpriverError
from upriver_control.cli.policies import app

PROGRAM = "from upriver_control.cli.policies import app; app()"


def command(*arguments: str) -> list[str]:
    """The same as a process."""
    return [sys.executable, "-c", PROGRAM, *arguments]


def policy(plane: ControlPlaneProcess, *arguments: str, status: int = 0) -> str:
    """Runs a command in this process and gives what it printed; raises the errors that the command line tells."""
    result = CliRunner().invoke(app, list(arguments), env=plane.operator(), catch_exceptions=True)
    if isinstance(result.exception, UpriverError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def policy_json(plane: ControlPlaneProcess, *arguments: str) -> Any:
    """The same with --json."""
    return json.loads(policy(plane, *arguments, "--json"))
