import hashlib
import io
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.models.folders import CLASSIFIER, version_folder
from upriver import archive
from upriver.errors import ManifestError, ModelInvalid
from upriver_agent.versions.store import Version, open_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return version_folder(tmp_path / "given", "float_dynamic")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def zipped(folder: Path, at: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(at, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("model.tflite", "manifest.toml"):
            made.write(folder / name, prefix + name)
    return at


def tarred(folder: Path, at: Path, prefix: str = "") -> Path:
    with tarfile.open(at, "w:gz") as made:
        for name in ("model.tflite", "manifest.toml"):
            made.add(folder / name, prefix + name)
    return at


def tar_of(at: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(at, "w:gz") as made:
        for info, content in members:
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return at


def refused(path: Path, state: Path) -> str:
    with pytest.raises(ModelInvalid) as caught:
        open_version(path, state)
    left = [file for file in (state / "versions").iterdir() if file.name != ".lock"] if state.exists() else []
    assert left == [], "a refused version leaves nothing behind"
    return str(caught.value)


def test_a_folder_and_its_archives_are_the_same_version(folder: Path, state: Path, tmp_path: Path) -> None:
    opened = [
        open_version(path, state)
        for path in (
            folder,
            zipped(folder, tmp_path / "a.zip"),
            zipped(folder, tmp_path / "b.zip", "version/"),
            tarred(folder, tmp_path / "c.tar.gz"),
            tarred(folder, tmp_path / "d.tgz", "./version/"),
        )
    ]
    assert len({(version.digest, version.folder) for version in opened}) == 1
    assert sorted(path.name for path in (state / "versions").iterdir()) == [
        ".lock",
        opened[0].digest.removeprefix("sha256:"),
    ]


def test_the_digest_can_be_made_with_sha256sum(folder: Path, state: Path) -> None:
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("manifest.toml", "model.tflite")
    ]
    assert open_version(folder, state).digest == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def test_what_was_opened_stays_when_its_source_goes(folder: Path, state: Path) -> None:
    version = open_version(folder, state)
    shutil.rmtree(folder)
    assert version.model_path.read_bytes()[4:8] == b"TFL3"
    assert isinstance(version, Version)
    assert version.labels == tuple("abcdefghij")


def test_a_damaged_copy_is_replaced(folder: Path, state: Path) -> None:
    version = open_version(folder, state)
    whole = version.model_path.read_bytes()
    version.model_path.write_bytes(whole[:-1] + b"!")
    assert open_version(folder, state).model_path.read_bytes() == whole


def test_a_version_that_is_kept_already_needs_no_writing(folder: Path, state: Path) -> None:
    version = open_version(folder, state)
    (state / "versions" / ".lock").unlink()
    assert open_version(folder, state) == version
    assert [path.name for path in (state / "versions").iterdir()] == [version.folder.name]


def test_what_a_killed_process_left_is_cleared_away(folder: Path, state: Path) -> None:
    left = state / "versions" / ".incoming"
    left.mkdir(parents=True)
    (left / "model.tflite").write_bytes(b"half of a mod")
    assert open_version(folder, state).labels
    assert not left.exists()


def test_many_openings_at_once_give_one_version(folder: Path, state: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: open_version(folder, state), range(16)))
    assert len({version.folder for version in opened}) == 1
    assert opened[0].model_path.exists()


def test_another_manifest_is_another_version(folder: Path, state: Path) -> None:
    before = open_version(folder, state)
    (folder / "manifest.toml").write_text(CLASSIFIER.replace("0.9", "0.8"))
    assert open_version(folder, state).digest != before.digest


def test_a_path_with_nothing_there_is_named(state: Path, tmp_path: Path) -> None:
    assert "no such folder or archive" in refused(tmp_path / "nowhere", state)


@pytest.mark.parametrize("name", ["model.tflite", "manifest.toml"])
def test_a_missing_file_is_named(folder: Path, state: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / name)
    assert f"has no {name}" in refused(folder, state)


def test_a_wrong_manifest_is_a_manifest_error(folder: Path, state: Path) -> None:
    (folder / "manifest.toml").write_text("format = 7")
    with pytest.raises(ManifestError):
        open_version(folder, state)
    (folder / "manifest.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="not UTF-8"):
        open_version(folder, state)


def test_a_file_that_is_no_archive_is_refused(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "version.zip"
    path.write_bytes(b"this is no archive")
    assert "neither a folder nor a .zip nor a .tar.gz" in refused(path, state)


def test_a_truncated_archive_is_refused(folder: Path, state: Path, tmp_path: Path) -> None:
    for whole in (zipped(folder, tmp_path / "a.zip"), tarred(folder, tmp_path / "a.tar.gz")):
        cut = tmp_path / f"cut-{whole.name}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        refused(cut, state)


@pytest.mark.parametrize("name", ["../model.tflite", "/model.tflite", "a/../../model.tflite", "..\\model.tflite"])
def test_members_that_point_outside_are_refused(folder: Path, state: Path, tmp_path: Path, name: str) -> None:
    content = (folder / "model.tflite").read_bytes()
    tar = tar_of(tmp_path / "bad.tar.gz", (tarfile.TarInfo(name), content))
    assert "points outside" in refused(tar, state)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as made:
        made.writestr(name, content)
    assert "points outside" in refused(tmp_path / "bad.zip", state)


def test_a_link_in_place_of_a_file_is_refused(state: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("model.tflite")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "not a plain file" in refused(tar_of(tmp_path / "link.tar.gz", (link, b"")), state)


def test_two_versions_in_one_archive_are_refused(folder: Path, state: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip", "one/")
    with zipfile.ZipFile(path, "a") as made:
        made.write(folder / "model.tflite", "two/model.tflite")
    assert "expected exactly one version" in refused(path, state)


def test_other_files_in_an_archive_are_left_alone(folder: Path, state: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("README.md", "hello")
        made.writestr("deep/er/model.tflite", "not this one")
    assert sorted(file.name for file in open_version(path, state).folder.iterdir()) == ["manifest.toml", "model.tflite"]


def test_a_manifest_of_a_gigabyte_is_refused_before_it_is_unpacked(folder: Path, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.write(folder / "model.tflite", "model.tflite")
        with made.open("manifest.toml", "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 18))
    assert path.stat().st_size < 100_000
    assert f"manifest.toml: more than {archive.LIMITS['manifest.toml']} bytes" in refused(path, state)


def test_a_file_in_place_of_the_state_folder_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ModelInvalid, match="can't keep"):
        open_version(folder, tmp_path / "state")
