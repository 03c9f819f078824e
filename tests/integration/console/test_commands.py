"""What the terminal says of questions and of the mesh, against what the agents answered."""

import json

import pytest

from tests.console_mesh import RIDDLE, ConsoleMesh


def test_a_trace_in_the_terminal_has_the_numbers_of_the_response(mesh: ConsoleMesh) -> None:
    told = next(told for told in mesh.told if told["path"].count(",") == 1 and told["resolved"])
    path = told["path"].split(",")
    trace = json.loads(mesh.plane.upriver("trace", told["trace_id"], "--json"))
    assert [hop["agent"] for hop in trace["hops"]] == path
    assert trace["hops"][-1]["score"] == pytest.approx(told["confidence"], abs=1e-6)
    assert trace["hops"][-1]["policy"] == told["policy"]
    assert sum(hop["bytes_up"] for hop in trace["hops"]) == told["bytes_up"]
    assert (trace["question"]["reason"], trace["question"]["answered_by"]) == (told["reason"], told["agent"])
    shown = mesh.plane.upriver("trace", told["trace_id"])
    assert f"└─ asks {path[1]}" in shown
    assert f"{told['bytes_up']:,} bytes up, answered" in shown


def test_why_and_top_are_told_of_the_mesh_at_work(mesh: ConsoleMesh) -> None:
    ticketed = next(told for told in reversed(mesh.told) if "ticket" in told)
    why = mesh.plane.upriver("why", ticketed["ticket"])
    assert why.startswith("cloud-1 (cloud) answered, though it was not sure enough")
    assert "under a ticket" in why
    top = json.loads(mesh.plane.upriver("top", "--once", "--json"))
    agents = {agent["agent"]: agent for agent in top["agents"]}
    assert set(agents) == set(mesh.agents)
    assert all(agent["connected"] for agent in agents.values())
    assert f"models/{RIDDLE}/versions/riddle-1" in agents["device-1"]["versions"]
