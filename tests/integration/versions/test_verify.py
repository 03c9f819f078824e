"""Versions tried in a real child process, with models that do harm."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.models.folders import CLASSIFIER, DETECTOR, ENCODED, HERE, SCALAR, version_folder
from upriver.errors import ModelInvalid, RuntimeMissing
from upriver_agent.versions import VerifyReport, open_version, verify_version
from upriver_agent.versions.verify import CHILD, NICER, Trial, run_trial

EMBEDDED = CLASSIFIER.replace("[policy]", 'embedding = "embedding"\n[policy]')


def tried(path: Path, timeout_s: float = 30.0, memory_mib: int = 4096, runtime: str = "litert") -> VerifyReport:
    return run_trial(Trial(str(path), False, runtime, 1, timeout_s, memory_mib), path.name)


def reason(path: Path, timeout_s: float = 30.0, memory_mib: int = 4096) -> str:
    with pytest.raises(ModelInvalid) as caught:
        tried(path, timeout_s, memory_mib)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "manifest"),
    [
        ("float_dynamic", CLASSIFIER),
        ("int8_dynamic", EMBEDDED),
        ("uint8_fixed1", CLASSIFIER),
        ("float_fixed4", CLASSIFIER),
        ("float_dynamic", ENCODED),
        ("detector", DETECTOR),
        ("scalar", SCALAR),
    ],
)
def test_a_good_version_passes_and_is_measured(tmp_path: Path, model: str, manifest: str) -> None:
    version = open_version(version_folder(tmp_path / "given", model, manifest), tmp_path / "state")
    report = verify_version(version, "litert", timeout_s=30.0)
    assert report.runtime.startswith("litert ")
    assert 0.0 < report.invoke_ms < 1000.0
    assert 0.0 < report.peak_mib < 400.0
    assert report.model_mib == pytest.approx(version.model_path.stat().st_size / 2**20)


def test_a_model_that_crashes_its_runtime_only_takes_the_child_down() -> None:
    told = reason(HERE / "calling_itself.tflite")
    assert "crashed on it in the self-test (SIGSEGV)" in told
    assert "calling_itself.tflite" in told


def test_a_model_that_never_ends_is_ended() -> None:
    start = time.monotonic()
    assert "took more than 3 s" in reason(HERE / "endless.tflite", timeout_s=3.0)
    assert time.monotonic() - start < 60.0


def test_a_trial_gives_way_to_those_who_answer() -> None:
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(reason, HERE / "endless.tflite", 3.0)
        found = until(children, 3.0, "the child")
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        until(lambda: os.getpriority(os.PRIO_PROCESS, found[0]) == min(19, mine + NICER), 3.0, "its niceness")
        assert "took more than 3 s" in ended.result()
    assert children() == []


def children() -> list[int]:
    """The trials that run now; the test runner may have other children."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [int(pid) for task in tasks for pid in _read(task / "children").split()]
    return [pid for pid in pids if CHILD.encode() in _read(Path(f"/proc/{pid}/cmdline"))]


def _read(file: Path) -> bytes:
    """A file of /proc; nothing when what it is about has just ended."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_model_that_takes_too_much_memory_is_refused() -> None:
    assert "FILL" in reason(HERE / "swelling.tflite", memory_mib=2048)


def test_truncated_and_random_files_are_refused(tmp_path: Path) -> None:
    whole = (HERE / "int8_dynamic.tflite").read_bytes()
    for name, content in (
        ("half", whole[: len(whole) // 2]),
        ("short", whole[:40]),
        ("random", bytes(range(256)) * 20),
        ("marked", b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 20),
    ):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        assert path.name in reason(path)


def test_a_version_whose_file_changed_under_it_is_refused_by_the_child(tmp_path: Path) -> None:
    version = open_version(version_folder(tmp_path / "given", "float_dynamic"), tmp_path / "state")
    version.model_path.write_bytes((HERE / "detector.tflite").read_bytes())
    with pytest.raises(ModelInvalid, match=r"shapes/one: .*the manifest does not fit the model"):
        verify_version(version, "litert", timeout_s=30.0)


def test_a_runtime_that_is_not_installed_is_named() -> None:
    with pytest.raises(RuntimeMissing, match="tflite-runtime"):
        tried(HERE / "float_dynamic.tflite", runtime="tflite-runtime")


def test_a_version_that_passed_is_not_tried_again(tmp_path: Path) -> None:
    version = open_version(version_folder(tmp_path / "given", "float_dynamic"), tmp_path / "state")
    first = verify_version(version, "litert", timeout_s=30.0, remember=tmp_path / "passed")
    # With no time at all a child could not pass: the answer is the remembered one.
    assert verify_version(version, "litert", timeout_s=0.0, remember=tmp_path / "passed") == first
    with pytest.raises(ModelInvalid):
        verify_version(version, "litert", timeout_s=0.0)


def test_a_broken_note_of_an_earlier_pass_is_not_believed(tmp_path: Path) -> None:
    version = open_version(version_folder(tmp_path / "given", "float_dynamic"), tmp_path / "state")
    verify_version(version, "litert", timeout_s=30.0, remember=tmp_path / "passed")
    (note,) = (tmp_path / "passed").iterdir()
    note.write_text(json.dumps({"invoke_ms": 1}))
    with pytest.raises(ModelInvalid):
        verify_version(version, "litert", timeout_s=0.0, remember=tmp_path / "passed")
