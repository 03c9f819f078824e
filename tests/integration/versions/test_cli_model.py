"""`upriver model inspect` as a person runs it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.models.folders import CLASSIFIER, ENCODED, HERE, version_folder, without

EMBEDDED = CLASSIFIER.replace("[policy]", 'embedding = "embedding"\n[policy]')


def upriver(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from upriver_agent.cli_model import app; app()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )


def inspected(path: Path, *more: str, status: int = 0) -> dict[str, Any]:
    done = upriver("inspect", str(path), "--json", *more)
    assert done.returncode == status, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["ok"] is (status == 0)
    return told


def test_a_bare_model_shows_what_it_needs_and_that_it_runs() -> None:
    told = inspected(HERE / "int8_dynamic.tflite")
    model = told["flatbuffer"]
    assert model["operators"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "SOFTMAX": 1}
    assert model["quantised"] is True
    assert model["batch"] == "free"
    (image,) = model["inputs"]
    assert (image["name"], image["dtype"], image["shape"], image["zero_point"]) == (
        "image",
        "int8",
        [-1, 14, 14, 1],
        -128,
    )
    assert told["run"]["runtime"].startswith("litert ")
    assert told["run"]["invoke_ms"] > 0
    assert "'embedding'" in told["learning"]["advice"]


def test_a_version_shows_its_manifest_and_what_it_needs_to_learn(tmp_path: Path) -> None:
    told = inspected(version_folder(tmp_path / "v", "float_embedding", EMBEDDED))
    assert told["version"]["model"] == "shapes"
    assert told["version"]["digest"].startswith("sha256:")
    assert told["learning"]["possible"] is False
    assert "upriver model prior" in told["learning"]["advice"]


def test_an_archive_is_inspected_like_its_folder(tmp_path: Path) -> None:
    folder = version_folder(tmp_path / "v", "float_dynamic", CLASSIFIER.replace("0.9", "inf"))
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as made:
        for file in folder.iterdir():
            made.write(file, file.name)
    told = inspected(tmp_path / "v.zip")
    assert told["version"] == inspected(folder)["version"]
    assert told["version"]["threshold"] == "inf"


def test_a_version_without_an_embedding_says_how_to_add_one(tmp_path: Path) -> None:
    told = inspected(version_folder(tmp_path / "v", "float_dynamic", ENCODED))
    assert told["learning"]["possible"] is False
    assert "m.layers[-2].output" in told["learning"]["advice"]


def test_metadata_is_shown() -> None:
    metadata = inspected(HERE / "with_metadata.tflite")["flatbuffer"]["metadata"]
    assert metadata["labels"]["probabilities"][2] == "class-2"
    assert metadata["normalisation"]["image"] == {"mean": [127.5], "std": [127.5]}


def test_every_problem_of_a_manifest_is_told_and_the_model_is_shown_anyway(tmp_path: Path) -> None:
    broken = without(CLASSIFIER, "threshold").replace('"area"', '"cubist"')
    told = inspected(version_folder(tmp_path / "v", "float_dynamic", broken), status=1)
    assert len(told["problems"]) == 2
    assert told["flatbuffer"]["inputs"][0]["name"] == "image"
    assert told["run"] is None


@pytest.mark.parametrize(
    ("model", "reason"), [("calling_itself", "SIGSEGV"), ("endless", "took more than 2 s"), ("swelling", "FILL")]
)
def test_a_model_that_does_harm_is_refused_with_the_reason(model: str, reason: str) -> None:
    told = inspected(HERE / f"{model}.tflite", "--timeout", "2", status=1)
    assert any(reason in problem for problem in told["problems"])
    assert told["flatbuffer"]["size_bytes"] > 1000


@pytest.mark.parametrize("content", [b"", b"random", bytes(4) + b"TFL3" + bytes(range(200))])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    assert inspected(path, status=1)["problems"]


def test_a_path_with_nothing_there_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in inspected(tmp_path / "nowhere", status=1)["problems"][0]


def test_a_runtime_that_is_not_installed_is_a_problem_of_this_machine() -> None:
    told = inspected(HERE / "float_dynamic.tflite", "--runtime", "tflite-runtime", status=1)
    assert "tflite-runtime" in told["problems"][0]


def test_people_get_text() -> None:
    done = upriver("inspect", str(HERE / "with_metadata.tflite"))
    assert done.returncode == 0
    for part in ("runs here on litert", "image", "[any, 14, 14, 1]", "SOFTMAX x1", "10 labels", "no embedding output"):
        assert part in done.stdout


def test_help_teaches() -> None:
    done = upriver("inspect", "--help")
    assert done.returncode == 0
    assert "upriver model inspect" in done.stdout
