"""Bytes that changed on a disk, the agent's or the control plane's, are noticed before anything loads them."""

import hashlib
import shutil
from contextlib import ExitStack

import pytest

from tests.agent_process import running, until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, recorded, refusal, roll_out
from tests.versions import MIB

SIZE = 2 * MIB


def flip_in_place(path, place=700):
    """Changes a byte in the model's own part; whatever else links to the file sees it too."""
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0xFF]))


def model_of(state, folder):
    """The model file of a published version, as the state folder has it."""
    digest = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    found = [path for path in state.glob("versions/*/model.tflite") if path.samefile(state / "blobs" / digest)]
    return found[0], state / "blobs" / digest, digest


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "control") as plane:
        yield plane


@pytest.fixture
def folders(tmp_path, plane):
    return {version: publish(plane, tmp_path, version, SIZE, seed) for seed, version in enumerate(("v1", "v2"))}


def provisioned(tmp_path, plane, versions=("v1", "v2"), **more):
    """An agent that runs the last of the versions and ran the others before, and is stopped."""
    with plane.stubs() as operator, following(tmp_path, plane, "dev-1", **more) as agent:
        for version in versions:
            roll_out(operator, version)
            until(lambda version=version: recorded(tmp_path / "dev-1") == version, 30, version)
    return agent


def test_a_damaged_version_gives_way_to_the_one_before_and_is_fetched_anew(tmp_path, plane, folders):
    agent = provisioned(tmp_path, plane)
    state = tmp_path / "dev-1"
    model, blob, digest = model_of(state, folders["v2"])
    flip_in_place(model)
    plane.kill()
    with running(agent.config, "dev-1") as again:
        assert version_of(again) == "v1"
        assert "is not whole" in agent.log.read_text()
        plane.start()
        until(lambda: version_of(again) == "v2", 60, "the version, fetched anew")
        assert hashlib.sha256(model.read_bytes()).hexdigest() == digest
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest


def test_with_nothing_before_it_a_damaged_version_does_not_answer_until_it_is_fetched_anew(tmp_path, plane, folders):
    agent = provisioned(tmp_path, plane, ("v1",))
    model, _, digest = model_of(tmp_path / "dev-1", folders["v1"])
    flip_in_place(model)
    plane.kill()
    with running(agent.config, "dev-1") as again:
        assert version_of(again) == ""
        plane.start()
        until(lambda: version_of(again) == "v1", 60, "the version, fetched anew")
        assert hashlib.sha256(model.read_bytes()).hexdigest() == digest


def test_a_damaged_record_or_manifest_ends_nothing(tmp_path, plane, folders):
    agent = provisioned(tmp_path, plane)
    state = tmp_path / "dev-1"
    model, _, _ = model_of(state, folders["v2"])
    flip_in_place(model.with_name("manifest.toml"), 30)
    for name in ("slots.json", "discovery.json"):
        (state / name).write_text('{"format": 1, "slo')
    for note in (state / "verified").iterdir():
        note.write_text("{}")
    with running(agent.config, "dev-1") as again:
        until(lambda: version_of(again) == "v2", 60, "the assignment, without the record")


def test_a_relay_does_not_pass_on_a_blob_that_was_damaged_on_its_disk(tmp_path, plane, folders):
    relay = provisioned(tmp_path, plane, ("v1",), tier="far-edge")
    model, blob, digest = model_of(tmp_path / "dev-1", folders["v1"])
    shutil.copy(model, blob.with_suffix(".copy"))
    blob.with_suffix(".copy").replace(blob)
    flip_in_place(blob)
    with ExitStack() as stack:
        again = stack.enter_context(running(relay.config, "dev-1"))
        assert version_of(again) == "v1"
        device = stack.enter_context(following(tmp_path, plane, "dev-2"))
        operator = stack.enter_context(plane.stubs())
        roll_out(operator, "v1", "tier=device")
        until(lambda: version_of(device) == "v1", 30, "the version")
        assert "is left" not in device.log.read_text()
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest


def test_what_was_damaged_on_the_control_planes_disk_is_refused_until_it_is_mended(tmp_path, plane, folders):
    digest = hashlib.sha256((folders["v2"] / "model.tflite").read_bytes()).hexdigest()
    artifact = next(path for path in (plane.state / "artifacts").rglob("*") if path.is_file() and digest in path.name)
    flip_in_place(artifact)
    with plane.stubs() as operator, following(tmp_path, plane, "dev-1") as agent:
        roll_out(operator, "v1")
        until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
        roll_out(operator, "v2")
        told = until(lambda: refusal(plane, "dev-1", "unavailable"), 30, "the refusal in the fleet")
        assert digest in told
        assert "not what was signed" in told or "what came is not" in told
        assert version_of(agent) == "v1"
        flip_in_place(artifact)
        until(lambda: version_of(agent) == "v2", 60, "the version, once the artifact is mended")
