"""Continuous integration must not pass because a real part was missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = """
import pytest

@pytest.fixture
def consul():
    pytest.skip("no consul here")

@pytest.mark.real_consul
def test_in_setup(consul): ...

@pytest.mark.real_consul
def test_in_call():
    pytest.skip("no consul here")

def test_other():
    pytest.skip("not on this system")
"""


@pytest.mark.parametrize(("required", "code", "told"), [("1", 1, "1 failed, 1 skipped, 1 error"), ("", 0, "3 skipped")])
def test_a_skipped_test_of_a_real_part_fails_where_it_is_required(
    tmp_path: Path, required: str, code: int, told: str
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real_consul: needs Consul\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"UPRIVER_REQUIRE_REAL": required},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert told in done.stdout.splitlines()[-1]
