"""Rules of the house that a machine can check."""

import ast
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"upriver": ROOT / "client", "upriver_agent": ROOT / "agent", "upriver_control": ROOT / "control_plane"}
OURS = [
    path
    for folder in ("client", "agent", "control_plane", "demo", "bench", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.endswith("_pb2.py")
]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in OURS if "tests" not in path.parts], ids=_name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "no module docstring"


def test_tests_use_ports_and_real_parts_instead_of_patches() -> None:
    offenders = []
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            offenders += [_name(path) for name in names if name.startswith(("unittest.mock", "mock", "pytest_mock"))]
    assert offenders == []


def test_an_exception_from_a_checker_carries_its_reason() -> None:
    silent = re.compile(r"# (noqa(?!: [A-Z0-9, ]+ - \w)|type: ignore(?!\[[\w, -]+\]  # \w))")
    lines = [(path, line) for path in OURS if path != Path(__file__) for line in path.read_text().splitlines()]
    assert [f"{_name(path)}: {line.strip()}" for path, line in lines if silent.search(line)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    assert (PACKAGES[package] / package / "py.typed").is_file()


def test_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    pin = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*(; python_version (<|>=) '3\.\d+')?")
    assert [line for line in pins if not pin.fullmatch(line)] == []
    assert len({line.partition(";")[0] for line in pins}) == len(pins)


@pytest.mark.parametrize("name", ["light_agent.txt", "light_agent_fleet.txt"])
def test_what_a_device_installs_is_listed_with_reasons(name: str) -> None:
    listed = (ROOT / "tests/architecture" / name).read_text().splitlines()
    rows = [line for line in listed if line and not line.startswith("#")]
    assert [line for line in rows if len(line.split(None, 1)) < 2] == []
    names = [line.split()[0] for line in rows]
    assert names == sorted(set(names))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_documents_name_only_files_that_exist(path: Path) -> None:
    text = path.read_text()
    named = set(
        re.findall(
            r"(?:\./)?\b((?:scripts|docs|agent|client|control_plane|demo|bench|tests|proto|deploy)/[\w./-]*\w)", text
        )
    )
    missing = sorted(name for name in named if not (ROOT / name).exists() and not list(ROOT.glob(f"{name}*")))
    assert missing == []
    links = set(re.findall(r"\]\((?!https?:|#)([^)#]+)", text))
    assert sorted(link for link in links if not (path.parent / link).exists()) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_documents_name_only_modules_that_exist(path: Path) -> None:
    named = {name.replace(".", "/") for name in re.findall(r"`(upriver_agent(?:\.\w+)+)`", path.read_text())}
    agent = ROOT / "agent"
    assert sorted(name for name in named if not list(agent.glob(f"{name}.py")) and not (agent / name).is_dir()) == []


def test_no_servicer_of_the_control_plane_asks_for_the_peer_of_a_call() -> None:
    # On an asyncio call that has ended grpcio 1.85.1 dereferences null, and the process is gone.
    files = sorted((ROOT / "control_plane").rglob("*.py"))
    assert [_name(path) for path in files if ".peer()" in path.read_text()] == []


DECISIONS = sorted((ROOT / "docs/adr").glob("*.md"))


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", DECISIONS, ids=_name)
def test_a_decision_tells_what_it_costs(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"# {path.name[:4]}. ")
    headings = {line.removeprefix("## ") for line in lines if line.startswith("## ")}
    assert {"Context", "Negative consequences"} <= headings


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=_name)
def test_a_script_can_be_run_and_says_what_it_is_for(path: Path) -> None:
    if path.is_dir() or path.suffix == ".pyc":
        pytest.skip("a folder")
    lines = path.read_text().splitlines()
    if path.suffix == "":
        assert lines[0].startswith("#!/usr/bin/env ")
        assert os.access(path, os.X_OK)
    assert any(line.startswith(("# ", '"""')) for line in lines[:3])


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    places = re.compile(r"(?<![\w.])/(?:root|Users)/")
    texts = [*OURS, *DOCUMENTS, *(p for p in (ROOT / "scripts").iterdir() if p.is_file())]
    texts += [ROOT / "pyproject.toml", ROOT / "constraints.txt", *sorted((ROOT / "docs").rglob("*.toml"))]
    assert [_name(path) for path in texts if path != Path(__file__) and places.search(path.read_text())] == []


CONSOLE = sorted((ROOT / "control_plane/upriver_control/console").rglob("*.py"))


@pytest.mark.parametrize("path", [path for path in CONSOLE if path.name != "svg.py"], ids=_name)
def test_one_module_of_the_console_writes_markup(path: Path) -> None:
    # It escapes; whoever may export spans chooses the names that stand in the pages.
    bracket = re.compile(r"<[A-Za-z/!]")
    texts, made = [], []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Markup" and node.args:
            made.append(ast.unparse(node))
    assert [text for text in texts if bracket.search(text)] == []
    assert made == []
