"""`upriver model` as operators run it: processes against a control plane."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.control_plane_registry import open_registry, serving
from tests.versions import make_version

PROGRAM = "from upriver.cli.main import main; main()"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    registry = open_registry(tmp_path_factory.mktemp("control"))
    with serving(registry) as served:
        yield served
    registry.database.close()


@pytest.fixture
def upriver(address):
    def run(*arguments, code=0, **environment):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "model", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env=os.environ | {"COLUMNS": "200", "TERM": "dumb", "UPRIVER_CONTROL_PLANE": address} | environment,
        )
        assert done.returncode == code, done.stdout + done.stderr
        if code:
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_a_version_is_published_shown_compared_and_deleted(upriver, tmp_path):
    samples = tmp_path / "samples.npz"
    np.savez(samples, **{"inputs/image": np.random.default_rng(1).random((6, 14, 14, 1), np.float32)})
    upriver("create", "pattern", "--description", "Patterns")
    first = make_version(tmp_path, "v1", 0.5)
    told = upriver("publish", first, "--training-data", "s3://train", "--metric", "accuracy=0.9", "--alias", "champion")
    assert "published" in told
    assert "@champion" in told
    archive = shutil.make_archive(str(tmp_path / "v2"), "zip", make_version(tmp_path, "v2", 0.7))
    options = ("--parent", "v1", "--metric", "accuracy=0.95", "--samples", samples, "--json")
    published = json.loads(upriver("publish", archive, *options))
    assert published["created"] is True
    assert published["version"]["lineage"]["parent"] == "models/pattern/versions/v1"
    assert published["version"]["validation"]["golden_rows"] == 6
    assert "golden.npz" in published["version"]["files"]
    again = json.loads(upriver("publish", archive, *options))
    assert again["created"] is False
    assert again["version"] == published["version"]

    assert "Patterns" in upriver("list")
    versions = json.loads(upriver("list", "pattern", "--json"))["versions"]
    assert [version["name"].rpartition("/")[2] for version in versions] == ["v2", "v1"]
    assert "v2" in upriver("list", "pattern")
    assert json.loads(upriver("show", "pattern/@champion", "--json"))["name"].endswith("/v1")
    assert "SOFTMAX" in upriver("show", "pattern/v1")
    assert json.loads(upriver("show", "pattern", "--json"))["aliases"] == {"champion": "v1"}

    difference = json.loads(upriver("diff", "pattern/@champion", "pattern/v2", "--json"))
    found = difference["changed"]
    assert {'-version = "v1"', '+version = "v2"', "-threshold = 0.5", "+threshold = 0.7"} <= set(difference["manifest"])
    assert found["policy threshold"] == [0.5, 0.7]
    assert found["metric accuracy"] == [0.9, 0.95]
    assert found["parent"] == ["", "models/pattern/versions/v1"]
    assert "golden.npz" in found
    assert "model.tflite" not in found
    assert "the same" in upriver("diff", "pattern/v1", "pattern/@champion")
    assert "policy threshold" in upriver("diff", "pattern/v1", "pattern/v2")

    assert "@champion is v2" in upriver("alias", "pattern", "champion", "v2")
    assert "is @champion" in upriver("delete", "pattern/v2", code=1)
    assert "is deleted" in upriver("delete", "pattern/v1")
    upriver("alias", "pattern", "champion", "--delete")
    upriver("delete", "pattern/v2")
    upriver("delete", "pattern")
    assert "there are no models" in upriver("list")


def test_what_goes_wrong_is_one_line(upriver, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    assert "--metric 'accuracy': expected NAME=NUMBER" in upriver("publish", folder, "--metric", "accuracy", code=2)
    assert "either a version or --delete" in upriver("alias", "pattern", "champion", code=2)
    assert "there is no models/none" in upriver("show", "none/v1", code=1)
    assert "no such folder or archive" in upriver("publish", tmp_path / "nothing", code=1)
    assert "can't be reached" in upriver("list", code=1, UPRIVER_CONTROL_PLANE="127.0.0.1:1")
    assert "--token-file" in upriver("list", "--token-file", tmp_path / "none", code=2)
    (folder / "model.tflite").write_bytes(b"broken")
    assert "can't be published" in upriver("publish", folder, code=1)
    (folder / "manifest.toml").write_text("= broken")
    assert "can't be read as TOML" in upriver("publish", folder, code=1)


def test_samples_that_do_not_fit_are_told(upriver, tmp_path):
    samples = tmp_path / "samples.npz"
    np.savez(samples, **{"inputs/picture": np.zeros((2, 14, 14, 1), np.float32)})
    told = upriver("publish", make_version(tmp_path, "v1", 0.5), "--samples", samples, code=1)
    assert "has no 'inputs/image'; it has inputs/picture" in told


def test_a_trained_model_wants_its_manifest_and_the_train_extra(upriver, tmp_path):
    trained = tmp_path / "model.keras"
    trained.write_bytes(b"")
    assert "give its --manifest" in upriver("publish", trained, code=2)
    manifest = make_version(tmp_path, "v1", 0.5) / "manifest.toml"
    assert "expected best or float" in upriver("publish", trained, "--manifest", manifest, "--quantise", "no", code=2)
    assert "needs --samples" in upriver("publish", trained, "--manifest", manifest, "--quantise", "int8", code=2)


def test_the_group_has_the_commands_of_both_packages(upriver):
    told = upriver("--help")
    assert all(
        command in told for command in ("inspect", "create", "publish", "list", "show", "diff", "alias", "delete")
    )
    assert "models/pattern" not in upriver("publish", "--help")


def test_commands_import_no_database():
    heavy = "sqlalchemy,alembic,tuf,tensorflow,pydantic,upriver_agent"
    code = (
        "import sys; import upriver_control.cli.models; "
        f"print([name for name in '{heavy}'.split(',') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
