"""The benchmark of many agents runs through all its phases, and tells before it starts when it can't."""

import json

import pytest

from bench import fleet
from bench.fleet_control import FleetFailed
from bench.fleet_processes import raise_file_limit


def test_a_few_agents_go_through_all_phases(tmp_path) -> None:
    told = tmp_path / "fleet.json"
    assert fleet.main(["--agents", "60", "--idle", "0.5", "--processes", "2", "--json", str(told)]) == 0
    figures = json.loads(told.read_text())
    assert figures["agents"] == 60
    for push in (figures["push_ms"], figures["push_again_ms"]):
        assert 0 < push["p50"] <= push["p99"] <= push["max"]
    assert figures["attach_s"] > 0
    assert 0 < figures["reconnect_each_s"]["p50"] <= figures["reconnect_s"]
    assert figures["operator_ms"]["max"] > 0
    assert figures["rss_kb_per_agent"] > 0
    assert figures["control_cpu_s"] > 0


def test_more_agents_than_files_may_be_open_are_refused() -> None:
    with pytest.raises(FleetFailed, match="open files in one process"):
        raise_file_limit(10**9)


def test_a_figure_is_the_nearest_rank() -> None:
    assert fleet.percentiles([float(value) for value in range(1, 201)]) == {"p50": 100.0, "p99": 198.0, "max": 200.0}
    assert fleet.percentiles([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0}


@pytest.mark.parametrize("arguments", [["--agents", "0"], ["--agents", "x"], ["--processes", "-1"]])
def test_a_number_that_makes_no_sense_is_refused(arguments, capsys) -> None:
    with pytest.raises(SystemExit):
        fleet.main(arguments)
    assert arguments[0] in capsys.readouterr().err
