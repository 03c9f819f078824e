"""Rollouts on the terminal: what other commands want is never cut, whether somebody reads it or a program does."""

import subprocess
import sys
from io import StringIO

from rich.console import Console

from upriver.v1 import rollout_pb2 as pb
from upriver_control.cli.rollout_views import listing

ROLLOUT = pb.Rollout(
    name="rollouts/handwritten-digits-5f0c2a7be1",
    pair={"version": "models/handwritten-digits/versions/device-14px-better"},
    selector="tier=device,region=eu,canary!=true",
    state=pb.ROLLOUT_STATE_COMPLETED,
)


def test_on_a_narrow_terminal_the_name_is_whole_and_the_others_give_way():
    console = Console(file=StringIO(), width=80)
    console.print(listing([ROLLOUT]))
    assert "handwritten-digits-5f0c2a7be1" in console.file.getvalue()


def test_in_a_pipe_nothing_is_cut():
    program = (
        "from rich.table import Table; from upriver.cli.tables import print_table; "
        "table = Table('one', 'two'); table.add_row('a' * 70, 'b' * 70); print_table(table)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={}, check=True)
    assert "a" * 70 in shown.stdout
    assert "b" * 70 in shown.stdout
