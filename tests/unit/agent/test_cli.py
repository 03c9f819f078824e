import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from upriver_agent.cli import app

TEXT = '[agent]\nid = "a"\ntier = "device"\ntiers = ["device", "cloud"]\nstate_dir = "state"\n'
UPSTREAM = '[[discovery.static]]\nid = "up"\naddress = "up:8470"\ntier = "cloud"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(TEXT + UPSTREAM)
    return path


def test_check_config_prints_what_takes_effect(file: Path) -> None:
    result = CliRunner().invoke(app, ["check-config", str(file)], env={"UPRIVER_SERVING_MAX_INFLIGHT": "3"})
    assert result.exit_code == 0, result.output
    shown = tomllib.loads(result.output)
    assert shown["serving"]["max_inflight"] == 3
    assert shown["agent"]["state_dir"] == str(file.parent / "state")
    assert shown["discovery"]["static"][0]["address"] == "up:8470"


def test_what_check_config_prints_is_a_configuration_itself(file: Path) -> None:
    first = CliRunner().invoke(app, ["check-config", str(file)]).output
    file.write_text(first)
    assert CliRunner().invoke(app, ["check-config", str(file)]).output == first


def test_check_config_as_json(file: Path) -> None:
    shown = json.loads(CliRunner().invoke(app, ["check-config", str(file), "--json"]).output)
    assert shown["ok"] is True
    assert shown["config"]["agent"]["id"] == "a"


def test_check_config_tells_all_problems(file: Path) -> None:
    file.write_text(TEXT + "[serving]\nthreads = 0\n[log]\nlevle = 1\n")
    result = CliRunner().invoke(app, ["check-config", str(file)])
    assert result.exit_code == 2
    assert "serving.threads = 0" in result.output
    assert "did you mean level?" in result.output
    result = CliRunner().invoke(app, ["check-config", str(file), "--json"])
    assert result.exit_code == 2
    assert len(json.loads(result.output)["problems"]) == 2


def test_run_refuses_a_wrong_configuration(file: Path) -> None:
    file.write_text("[agent]\n")
    result = CliRunner().invoke(app, ["run", "--config", str(file)])
    assert result.exit_code == 2
    assert "agent.tier: missing" in result.output
