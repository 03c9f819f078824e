"""Two distributions from one tree, `upriver` and `upriver-control`, which are released together."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAIN = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTROL = tomllib.loads((ROOT / "control_plane/pyproject.toml").read_text())

# What an operator's machine lacks: it has both distributions, and no extra but `cli`, which upriver-control asks for.
FOR_CONTROL_PLANES = (
    "ai_edge_litert", "alembic", "backports", "cryptography", "fsspec", "grpc_health", "grpc_reflection", "nicegui",
    "pyarrow", "pydantic", "scipy", "securesystemslib", "sklearn", "sqlalchemy", "tuf",
)  # fmt: skip


def packages(settings):
    return [Path(name).name for name in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


def test_a_device_has_no_code_of_the_control_plane_on_disk():
    assert packages(MAIN) == ["upriver", "upriver_agent"]
    assert packages(CONTROL) == ["upriver_control"]


def test_both_have_the_same_version_and_ask_for_exactly_each_other():
    version = MAIN["project"]["version"]
    assert CONTROL["project"]["version"] == version
    assert CONTROL["project"]["dependencies"] == [f"upriver[cli]=={version}"]
    extras = MAIN["project"]["optional-dependencies"]
    named = {extra for extra, asked in extras.items() for one in asked if one.startswith("upriver-control")}
    assert named == {"console", "control-plane", "postgresql", "ray", "s3", "train"}  # those that its code alone uses
    for extra in named:
        assert f"upriver-control=={version}" in extras[extra]


def test_both_say_the_same_of_pythons_and_licence():
    for key in ("requires-python", "license", "license-files"):
        assert CONTROL["project"][key] == MAIN["project"][key]
    assert (ROOT / "control_plane/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_programs_come_with_the_code_that_they_run():
    for settings in (MAIN, CONTROL):
        for start in settings["project"]["scripts"].values():
            assert start.partition(".")[0] in packages(settings)


def test_an_operators_commands_need_nothing_that_only_a_control_plane_has():
    commands = MAIN["project"]["entry-points"]["upriver.commands"].values()
    modules = [entry.partition(":")[0] for entry in commands if entry.startswith("upriver_control.")]
    assert len(modules) > 5
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FOR_CONTROL_PLANES!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import {", ".join(modules)}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
