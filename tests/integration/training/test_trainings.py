"""Lessons come in and trainings run on a real control plane, which is killed; what user code does is told."""

import json
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import grpc
import pytest

from tests.control_plane_process import ControlPlaneProcess
from tests.handed_lessons import lesson
from tests.train_commands import SERVICE, channel, command, submit, taught
from tests.versions import make_version
from upriver.errors import NotNow
from upriver.services import Stub
from upriver.v1 import train_pb2 as pb
from upriver_control.cli.lineage import app as lineage_app
from upriver_control.cli.models import app as models_app
from upriver_control.cli.train import app as train_app

WAIT_S = 120.0
CODE = """
import os, time
from pathlib import Path

def raises(dataset, base):
    print("going to fail", dataset.rows, base.labels[0])
    raise ValueError("no such layer")

def nothing(dataset, base):
    return None

def elsewhere(dataset, base):
    return "not-there"

def hangs(dataset, base):
    print("hanging", flush=True)
    time.sleep(600)

def fills(dataset, base):
    with open("large", "wb") as out:
        while True:
            out.write(os.urandom(1 << 20))
            out.flush()

def dies(dataset, base):
    os._exit(7)

def hangs_once(dataset, base):
    marker = Path(os.environ["MARKERS"]) / "began"
    if not marker.exists():
        marker.touch()
        time.sleep(600)
    raise ValueError("the second time")
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plane")
    (folder / "shop.py").write_text(CODE)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nMARKERS={folder} PYTHONPATH="{folder}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    made = ControlPlaneProcess(folder, f'[training]\npython = "{python}"\ndisk_mib = 16\nmax_loss = 0.0\n')
    try:
        made.start()
        version = make_version(folder, "v1", 0.5)
        command(models_app, "model", made, "publish", str(version), "--json")
        submit(made, [taught(number) for number in range(60)])
        yield made
    finally:
        made.kill()


def started(plane, code, *more):
    told = command(train_app, "train", plane, "pattern", "--code", f"shop:{code}", "--detach", "--json", *more)
    return json.loads(told)["name"]


def until(plane, name, wanted):
    deadline = time.monotonic() + WAIT_S
    while True:
        found = json.loads(command(train_app, "train", plane, "show", name, "--json"))
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def ended(found):
    return found["state"] not in ("pending", "running")


def count(plane, region):
    found = json.loads(command(train_app, "train", plane, "data", "pattern", "--json"))
    return sum(day["lessons"] for day in found["lessons"] if day["region"] == region)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raises", "shop:raises raised ValueError: no such layer"),
        ("nothing", "gave NoneType; expected the path of a SavedModel folder or of a Keras file"),
        ("elsewhere", "gave 'not-there', which is no trained model"),
        ("dies", "its process ended with exit status 7"),
        ("fills", "it wrote more than 16 MiB (training.disk_mib)"),
        ("unknown", "shop has no such function"),
    ],
)
def test_what_user_code_does_instead_of_training_is_told(plane, code, told):
    with pytest.raises(NotNow) as caught:
        command(train_app, "train", plane, "pattern", "--code", f"shop:{code}")
    assert told in str(caught.value)


def test_the_log_is_shown_and_user_code_that_hangs_is_cancelled(plane):
    name = started(plane, "hangs")
    with plane.stubs(), channel(plane) as made:
        calls = Stub(made, SERVICE).WatchTraining(
            pb.WatchTrainingRequest(name=name, log=True), timeout=WAIT_S,
            metadata=(("authorization", f"Bearer {plane.token}"),),
        )  # fmt: skip
        assert any("hanging" in answer.log for answer in calls)
        calls.cancel()
    assert json.loads(command(train_app, "train", plane, "cancel", name, "--json"))["state"] == "cancelled"
    deadline = time.monotonic() + WAIT_S
    while any(_trains(path, plane) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "its process still runs"
        time.sleep(0.05)


def _trains(path, plane):
    try:
        told = path.read_bytes()
    except OSError:
        return False
    return b"training.work" in told and str(plane.state).encode() in told


def test_killed_in_the_middle_a_training_is_begun_anew_and_lessons_are_there_once(plane):
    name = started(plane, "hangs_once")
    deadline = time.monotonic() + WAIT_S
    while not (plane.folder / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lessons = [taught(number, "south") for number in range(40)]
    assert len(submit(plane, lessons).kept) == 40
    plane.kill()
    plane.start()
    answer = submit(plane, [*reversed(lessons), taught(1, "west")], forgotten=["south-3", "west-2"])
    assert sorted(answer.kept) == sorted([*(one.id for one in lessons), "west-1", "south-3", "west-2"])
    assert submit(plane, [taught(2, "west")]).kept == ["west-2"]
    assert (count(plane, "south"), count(plane, "west")) == (39, 1)
    refused = submit(plane, [lesson("bad", label="", model="pattern")]).refused
    assert refused[0].id == "bad"
    found = until(plane, name, ended)
    assert (found["state"], "the second time" in found["reason"]) == ("failed", True)


def test_lessons_are_taken_from_those_who_show_the_join_token_alone(plane):
    with pytest.raises(grpc.RpcError) as caught:
        submit(plane, [taught(1)], token="wrong")  # noqa: S106 - no secret
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_that_is_said_and_local_goes_on(plane):
    with pytest.raises(NotNow, match=r"pip install 'upriver\[ray\]'"):
        command(train_app, "train", plane, "pattern", "--code", "shop:raises", "--executor", "ray",
                "--ray-address", "local")  # fmt: skip
    with pytest.raises(NotNow, match="no such layer"):
        command(train_app, "train", plane, "pattern", "--code", "shop:raises")


def test_lessons_of_another_region_or_model_are_asked_for_in_vain(plane):
    with pytest.raises(NotNow, match="there are no lessons of pattern of region nowhere"):
        command(train_app, "train", plane, "pattern", "--code", "shop:raises", "--region", "nowhere")


def test_lineage_of_what_was_trained_elsewhere_is_what_its_publisher_said(plane):
    (found,) = json.loads(command(lineage_app, "lineage", plane, "pattern/v1", "--json"))
    assert (found["version"], found["training"]) == ("models/pattern/versions/v1", None)
    assert "models/pattern/versions/v1" in command(lineage_app, "lineage", plane, "pattern/v1")


def test_a_version_without_its_source_says_how_to_bring_it_and_one_that_was_brought_stays(plane):
    with pytest.raises(NotNow, match=r"upriver model publish PATH --source model.keras"):
        command(train_app, "train", plane, "pattern")
    source = plane.folder / "model.keras"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("config.json", "{}")
    version = str(plane.folder / "version-v1")
    for _ in range(2):
        command(models_app, "model", plane, "publish", version, "--source", str(source), "--json")
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("config.json", "{ }")
    with pytest.raises(NotNow, match="has another keras beside it"):
        command(models_app, "model", plane, "publish", version, "--source", str(source))
    if find_spec("tensorflow") is None:
        with pytest.raises(NotNow, match=r"tensorflow is not installed .*upriver\[train\].*training.python"):
            command(train_app, "train", plane, "pattern")
