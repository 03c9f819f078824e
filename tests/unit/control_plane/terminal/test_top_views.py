"""The mesh on the terminal."""

import re
from io import StringIO

from rich.console import Console

from tests.canned_answers import a_mesh
from upriver_control.cli.top_views import changes, in_order, overview, summary


def shown(mesh, rows=30):
    console = Console(file=StringIO(), width=160)
    console.print(overview(mesh, rows, "q quits"))
    return console.file.getvalue()


def test_every_agent_has_its_figures_with_units_and_whom_it_asked():
    lines = shown(a_mesh()).splitlines()
    assert lines[0] == (
        "08:00:00 UTC, 2 of 2 agents connected, 2.4 rows/s at all of them, 24 calls up in the last minute, 1 failed, "
        "0 alarms"
    )
    device = next(line for line in lines if line.startswith("device-1"))
    cells = ["device-1", "device", "eu", "2.0", "20%", "0.4 ms", "12%", "pattern device-1", "cloud-1 24 (1 failed)"]
    assert re.split(r" {2,}", device.strip()) == cells
    assert lines[-1] == "q quits"


def test_whoever_is_in_trouble_comes_first_and_the_rest_by_tier():
    mesh = a_mesh()
    assert [agent.agent for agent in in_order(mesh)] == ["device-1", "cloud-1"]
    mesh.agents[0].connected = False
    assert [agent.agent for agent in in_order(mesh)] == ["cloud-1", "device-1"]
    assert "not connected" in shown(mesh)
    assert "ALARM pattern" in shown(a_mesh(alarm=True))
    assert summary(a_mesh(alarm=True)).endswith("1 alarm")


def test_what_can_not_be_told_now_is_said():
    mesh = a_mesh()
    mesh.missing.append("who asked whom: the span store is locked")
    assert "missing: who asked whom: the span store is locked" in shown(mesh)


def test_those_that_do_not_fit_are_counted():
    assert "and 1 more" in shown(a_mesh(), rows=1)


def test_only_what_has_changed_is_said_again_and_what_is_gone_once():
    first = changes({}, a_mesh())
    assert list(first) == ["device-1", "cloud-1"]
    assert changes(first, a_mesh()) == {}
    later = changes(first, a_mesh(rate=3.0))
    assert list(later) == ["device-1"]
    assert later["device-1"].startswith("device-1 (device, eu): 3.0 rows/s, 20% up, p95 0.4 ms")
    without = a_mesh()
    del without.agents[0]
    gone = changes(first, without)
    assert gone == {"cloud-1": "cloud-1 is gone"}
    assert changes(first | gone, without) == {}
