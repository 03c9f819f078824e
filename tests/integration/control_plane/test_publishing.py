"""Publishing: what passes is kept, signed and shown; what ends half way is not there, and a repetition mends it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.control_plane_registry import open_registry, signed
from tests.models.folders import HERE
from tests.postgres_process import real_postgres
from tests.versions import make_version
from upriver.errors import GoldenMismatch, InvalidInput, ModelInvalid, NotFound, NotNow, VersionConflict
from upriver.listing import parse_listing, version_digest
from upriver.policies import read_policy
from upriver_control.store.records import Lineage
from upriver_control.validation import ChildValidation, Limits, Verdict, make_golden

SAMPLES = np.random.default_rng(3).random((4, 14, 14, 1), np.float32)


@pytest.fixture
def registry(tmp_path):
    opened = open_registry(tmp_path / "control")
    yield opened
    opened.database.close()


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Verdicts of the real validation, each version tried once for all tests."""
    known: dict[str, Verdict] = {}

    def validate(folder: Path) -> Verdict:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        key = str(sorted((name, hash(data)) for name, data in files.items()))
        if key not in known:
            known[key] = ChildValidation()(folder)
        return known[key]

    return validate


def with_golden(folder: Path) -> Path:
    samples = folder.parent / "samples.npz"
    np.savez(samples, **{"inputs/image": SAMPLES})
    assert make_golden(folder, samples, folder / "golden.npz") == 4
    return folder


def test_a_version_is_tried_kept_signed_and_shown(registry, tmp_path):
    parent, _ = registry.publisher.publish(make_version(tmp_path, "v0", 0.5), "pattern", Lineage())
    folder = with_golden(make_version(tmp_path, "v1", "inf"))
    lineage = Lineage(parent.name, "s3://data/train", {"accuracy": 0.9}, "")
    version, created = registry.publisher.publish(folder, "pattern", lineage)
    assert created
    assert version == registry.store.version("pattern", "v1")
    assert version.lineage == lineage
    assert (version.validation.task, version.validation.golden_rows) == ("classify", 4)
    assert read_policy(version.validation.policy_document).threshold == float("inf")
    assert version.requirements.memory_bytes > 0
    assert "SOFTMAX" in version.requirements.operators
    listing = parse_listing(registry.artifacts.read(version.digest))
    assert version_digest(listing) == version.digest
    for file in version.files:
        assert registry.artifacts.read(file.digest) == (folder / file.name).read_bytes()
    facts = signed(registry, "pattern", "v1")
    assert f"sha256:{facts['sha256']}" == version.digest
    assert facts["parent"] == parent.digest
    assert {name: file["sha256"] for name, file in facts["files"].items()} == listing
    assert facts["requires"]["operators"] == list(version.requirements.operators)


def test_a_large_file_has_a_list_of_its_chunks(registry, tmp_path, verdicts):
    folder = make_version(tmp_path, "v1", 0.5)
    publisher = replace(registry.publisher, validate=verdicts)
    with (folder / "model.tflite").open("ab") as file:
        file.write(bytes(range(256)) * 10_000)  # what follows a flatbuffer is no part of it
    version, _ = publisher.publish(folder, "pattern", Lineage())
    (model,) = (file for file in version.files if file.name == "model.tflite")
    chunks = registry.artifacts.read(model.chunks)
    data = (folder / "model.tflite").read_bytes()
    assert len(chunks) == 32 * -(-len(data) // (1 << 20))
    assert signed(registry, "pattern", "v1")["files"]["model.tflite"]["chunks"] == model.chunks.removeprefix("sha256:")


def test_the_same_version_twice_is_one(registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    first, created = registry.publisher.publish(folder, "pattern", Lineage())
    again, created_again = registry.publisher.publish(folder, "pattern", Lineage(training_data="other"))
    assert (created, created_again) == (True, False)
    assert first == again


def test_publishing_again_mends_what_was_lost(registry, tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    version, _ = registry.publisher.publish(folder, "pattern", Lineage())
    registry.artifacts.delete(version.files[0].digest)
    registry.repository.withdraw("pattern", "v1")
    registry.publisher.publish(folder, "pattern", Lineage())
    assert registry.artifacts.has(version.files[0].digest)
    assert signed(registry, "pattern", "v1") is not None


def test_another_content_under_a_name_is_refused_and_nothing_changes(registry, tmp_path):
    version, _ = registry.publisher.publish(make_version(tmp_path / "a", "v1", 0.5), "pattern", Lineage())
    blobs = set(registry.artifacts.digests())
    with pytest.raises(VersionConflict, match=r"models/pattern/versions/v1 is published already"):
        registry.publisher.publish(make_version(tmp_path / "b", "v1", 0.6), "pattern", Lineage())
    assert registry.store.version("pattern", "v1") == version
    assert set(registry.artifacts.digests()) == blobs
    assert f"sha256:{signed(registry, 'pattern', 'v1')['sha256']}" == version.digest


@pytest.mark.parametrize(
    ("lineage", "kind", "told"),
    [
        (Lineage(parent="models/pattern/versions/none"), NotFound, "models: none"),
        (Lineage(parent="v0"), InvalidInput, "is no version's name"),
        (Lineage(metrics={"accuracy": float("nan")}), InvalidInput, "'accuracy' = nan: expected finite"),
        (Lineage(metrics={"": 1.0}), InvalidInput, "metrics with names"),
        (Lineage(training_data="x" * 3000), InvalidInput, "at most 2000 characters"),
    ],
)
def test_a_wrong_lineage_is_refused(registry, tmp_path, lineage, kind, told):
    with pytest.raises(kind, match=told):
        registry.publisher.publish(make_version(tmp_path, "v1", 0.5), "pattern", lineage)
    assert registry.store.models("", 9) == []


def test_a_version_of_another_model_is_refused(registry, tmp_path):
    with pytest.raises(
        InvalidInput, match="the manifest's model is 'pattern'; it is published as a version of 'faces'"
    ):
        registry.publisher.publish(make_version(tmp_path, "v1", 0.5), "faces", Lineage())


def harmful(folder: Path, file: str) -> Path:
    made = make_version(folder, "v1", 0.5)
    shutil.copy(HERE / file, made / "model.tflite")
    return made


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.tflite").write_bytes(b"x" * 100), "flatbuffer|TFL3"),
        (lambda folder: (folder / "manifest.toml").write_text("format = 1"), "model"),
        (lambda folder: shutil.copy(HERE / "scalar.tflite", folder / "model.tflite"), "does not fit the model"),
        (lambda folder: shutil.copy(HERE / "out_of_bounds.tflite", folder / "model.tflite"), "published|fit"),
        (lambda folder: (folder / "golden.npz").write_bytes(b"x"), "golden"),
    ],
)
def test_what_does_not_pass_leaves_nothing(registry, tmp_path, spoil, told):
    folder = make_version(tmp_path, "v1", 0.5)
    spoil(folder)
    with pytest.raises(ModelInvalid, match=told):
        registry.publisher.publish(folder, "pattern", Lineage())
    assert registry.store.models("", 9) == []
    assert list(registry.artifacts.digests()) == []
    assert signed(registry, "pattern", "v1") is None


def test_golden_samples_that_do_not_come_out_are_told_as_such(registry, tmp_path):
    folder = with_golden(make_version(tmp_path, "v1", 0.5))
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    arrays["outputs/probabilities"] = arrays["outputs/probabilities"][::-1] + np.float32(0.2)
    np.savez(folder / "golden.npz", **arrays)
    with pytest.raises(GoldenMismatch, match="golden: row 0, output 'probabilities'"):
        registry.publisher.publish(folder, "pattern", Lineage())


def test_a_version_that_never_ends_is_ended(tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    with (HERE / "endless.tflite").open("rb") as file:
        (folder / "model.tflite").write_bytes(file.read())
    with pytest.raises(ModelInvalid):
        ChildValidation(Limits(timeout_s=2.0))(folder)


def test_a_version_goes_when_nobody_needs_it(tmp_path, verdicts):
    reasons = ["rollouts/7 wants it on agents"]
    registry = open_registry(tmp_path / "control", validate=verdicts, needed=lambda version: "".join(reasons))
    publisher = registry.publisher
    one, _ = publisher.publish(make_version(tmp_path, "v1", 0.5), "pattern", Lineage())
    two, _ = publisher.publish(make_version(tmp_path, "v2", 0.5), "pattern", Lineage(parent=one.name))
    publisher.set_alias("pattern", "champion", "v1")
    with pytest.raises(NotNow, match="is @champion"):
        publisher.delete("pattern", "v1")
    publisher.set_alias("pattern", "champion", "v2")
    with pytest.raises(NotNow, match="rollouts/7 wants it"):
        publisher.delete("pattern", "v1")
    reasons.clear()
    publisher.delete("pattern", "v1")
    assert signed(registry, "pattern", "v1") is None
    assert set(registry.artifacts.digests()) == set(two.blobs())
    with pytest.raises(NotFound):
        publisher.delete("pattern", "v1")
    again, created = publisher.publish(make_version(tmp_path / "new", "v1", 0.9), "pattern", Lineage())
    assert created
    assert again.digest != one.digest
    registry.database.close()


def test_uploads_that_were_left_behind_go(tmp_path, verdicts):
    now = [1_000_000.0]
    registry = open_registry(tmp_path / "control", validate=verdicts, clock=lambda: now[0])
    with registry.publisher.incoming() as folder:
        (folder / "x").write_bytes(b"x")
        os.utime(folder, (now[0] - 10, now[0] - 10))
        registry.publisher.clean()
        assert folder.exists()
        now[0] += 90_000
        registry.publisher.clean()
        assert not folder.exists()
    registry.database.close()


CRASHING = """
import json, os, signal, sys
from pathlib import Path
from tests.control_plane_registry import open_registry
from upriver_control.store.records import Lineage, Requirements, Validation
from upriver_control.validation import Verdict

control, folder, verdict, left = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])

class Mortal:
    "Passes calls on; the process is killed before or after one of them."
    def __init__(self, inner): self.inner = inner
    def __getattr__(self, name):
        method = getattr(self.inner, name)
        def call(*args):
            step(); result = method(*args); step()
            return result
        return call

def step():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def validate(_):
    facts = dict(verdict)
    requirements = Requirements(**facts.pop("requirements"))
    return Verdict(**facts | {"requirements": requirements, "validation": Validation(**facts["validation"])})

made = open_registry(control, validate=validate)
from dataclasses import replace
publisher = made.publisher
mortal = replace(publisher, store=Mortal(made.store), artifacts=Mortal(made.artifacts), signer=Mortal(made.repository))
mortal.publish(folder, "pattern", Lineage())
"""


def test_a_publication_that_is_killed_anywhere_is_not_there_or_whole_and_can_be_repeated(tmp_path, verdicts):
    folder = make_version(tmp_path / "one", "v1", 0.5)
    other = make_version(tmp_path / "other", "v1", 0.6)
    verdict = verdicts(folder)
    told = json.dumps(
        {
            **{name: getattr(verdict, name) for name in ("model", "version", "description", "digest")},
            "requirements": {name: getattr(verdict.requirements, name) for name in verdict.requirements.__slots__},
            "validation": {name: getattr(verdict.validation, name) for name in verdict.validation.__slots__},
        }
    )
    killed = shown = 0
    for step in range(1, 40):
        control = tmp_path / f"control-{step}"
        command = [sys.executable, "-c", CRASHING, str(control), str(folder), told, str(step)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=Path(__file__).parents[3])
        assert done.returncode in (0, -9), done.stderr.decode()
        now = [0.0]
        registry = open_registry(control, validate=verdicts, clock=lambda now=now: now[0])
        if done.returncode == 0:
            break
        killed += 1
        if [model.id for model in registry.store.models("", 9)] == ["pattern"]:
            shown += 1
            version = registry.store.version("pattern", "v1")
            assert all(registry.artifacts.has(digest) for digest in version.blobs())
            assert f"sha256:{signed(registry, 'pattern', 'v1')['sha256']}" == version.digest
        if step % 2:
            version, _ = registry.publisher.publish(folder, "pattern", Lineage())
        elif registry.store.models("", 9) == []:
            now[0] = 1e12  # the claim of the one that was killed has run out
            version, _ = registry.publisher.publish(other, "pattern", Lineage())
            assert version.digest != verdict.digest
        else:
            version = registry.store.version("pattern", "v1")
        assert f"sha256:{signed(registry, 'pattern', 'v1')['sha256']}" == version.digest
        now[0] = 1e12
        registry.publisher.sweep()
        assert set(registry.artifacts.digests()) == set(version.blobs())
        registry.database.close()
    assert killed >= 12
    assert 0 < shown < killed


@pytest.mark.real_postgresql
def test_a_publication_outlives_a_restart_of_postgresql_and_two_control_planes_see_it(tmp_path, verdicts):
    with real_postgres() as postgres:
        url = postgres.new_database()

        def validate(folder: Path) -> Verdict:
            postgres.restart()
            return verdicts(folder)

        one = open_registry(tmp_path / "control", url, validate=validate)
        other = open_registry(tmp_path / "control", url, validate=validate)
        folder = make_version(tmp_path, "v1", 0.5)
        version, created = one.publisher.publish(folder, "pattern", Lineage())
        assert created
        assert other.publisher.publish(folder, "pattern", Lineage()) == (version, False)
        with pytest.raises(VersionConflict):
            other.publisher.publish(make_version(tmp_path / "other", "v1", 0.6), "pattern", Lineage())
        for registry in (one, other):
            registry.database.close()
