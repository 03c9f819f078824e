"""Opening a version: its files are copied into the agent's state under their digest, and only that copy is used.

What is served can then neither change nor vanish under the agent, whatever happens to the folder or archive it came
from. A copy appears whole or not at all (written aside, flushed, renamed) and its digest is checked at every opening.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from upriver.archive import sums, take
from upriver.errors import ManifestError, ModelInvalid
from upriver.listing import MANIFEST, MODEL, version_digest
from upriver_agent.versions.binding import Binding, bind
from upriver_agent.versions.manifest import Manifest
from upriver_agent.versions.model_file import ModelFile, read_model_file
from upriver_agent.versions.parsing import parse_manifest


@dataclass(frozen=True)
class Version:
    """An opened version. `digest` is `sha256:` and 64 digits over both files; `labels` is empty when it has none."""

    manifest: Manifest
    digest: str
    folder: Path
    labels: tuple[str, ...]
    model: ModelFile
    binding: Binding

    @property
    def model_path(self) -> Path:
        """The .tflite file."""
        return self.folder / MODEL


def open_version(path: Path, state_dir: Path) -> Version:
    """Opens the version in a folder or a .zip or .tar.gz archive; no interpreter is started.

    Writes nothing when `state_dir` has the version already. Raises ManifestError for a wrong manifest and ModelInvalid
    for everything else that is wrong with the artifact: files missing, archive or flatbuffer broken, manifest and
    flatbuffer at odds.
    """
    versions = state_dir / "versions"
    try:
        digest = version_digest(take(path, None))
        if not _is_whole(_place(versions, digest), digest):
            digest = _store(path, versions)
    except OSError as error:
        raise ModelInvalid(f"can't keep {path} in {versions}: {error.strerror or error}") from error
    return load_folder(_place(versions, digest), digest, str(path))


def open_stored(digest: str, state_dir: Path) -> Version:
    """Opens a version that the state folder has; raises ModelInvalid when it has not, or no longer whole."""
    folder = _place(state_dir / "versions", digest)
    try:
        whole = _is_whole(folder, digest)
    except OSError as error:
        raise ModelInvalid(f"can't read {folder}: {error.strerror or error}") from error
    if not whole:
        raise ModelInvalid(f"version {digest} is not whole in {folder.parent}")
    return load_folder(folder, digest, folder.name)


def assemble(digest: str, files: Mapping[str, Path], state_dir: Path) -> Version:
    """Makes a version's folder of files that are here already, without a second copy where the disk allows links.

    `files` are {name: path}. Raises ModelInvalid and ManifestError as `open_version` does, OSError as the disk does.
    """
    versions = state_dir / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    final = _place(versions, digest)
    with _alone(versions):
        if not _is_whole(final, digest):
            incoming = versions / ".incoming"
            shutil.rmtree(incoming, ignore_errors=True)
            incoming.mkdir()
            try:
                for name, path in files.items():
                    _link(path, incoming / name)
                found = version_digest(sums(incoming))
                if found != digest:
                    raise ModelInvalid(f"the files make version {found}; expected {digest}")
                load_folder(incoming, digest, digest)
                if final.exists():
                    shutil.rmtree(final)
                _flush(incoming)
                incoming.rename(final)
                _flush(versions)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
    return load_folder(final, digest, digest)


def remove(digest: str, state_dir: Path) -> None:
    """Removes a version's folder, if it is there; raises OSError."""
    versions = state_dir / "versions"
    folder = _place(versions, digest)
    if not folder.is_dir():
        return
    with _alone(versions):
        doomed = versions / ".doomed"
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)  # gone in one step, whenever this process ends
        shutil.rmtree(doomed)


def folder_of(digest: str, state_dir: Path) -> Path:
    """Where a version of this digest lies, if it is in the state folder."""
    return _place(state_dir / "versions", digest)


def files_of(digest: str, state_dir: Path) -> tuple[str, ...]:
    """The digests of the files of a version that is in the state folder; none when it is not, or can't be read."""
    try:
        found = sums(_place(state_dir / "versions", digest))
    except OSError:
        return ()
    return tuple(f"sha256:{hexadecimal}" for hexadecimal in found.values())


def stored(state_dir: Path) -> tuple[str, ...]:
    """The digests of all versions in the state folder."""
    versions = state_dir / "versions"
    if not versions.is_dir():
        return ()
    return tuple(sorted(f"sha256:{path.name}" for path in versions.iterdir() if len(path.name) == 64))


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())


def _place(versions: Path, digest: str) -> Path:
    return versions / digest.removeprefix("sha256:")


def _store(path: Path, versions: Path) -> str:
    """Copies a version aside, checks it, and moves it to its place; gives the digest of what was copied."""
    versions.mkdir(parents=True, exist_ok=True)
    with _alone(versions):
        incoming = versions / ".incoming"
        if incoming.exists():  # left by a process that was killed
            shutil.rmtree(incoming)
        incoming.mkdir()
        try:
            digest = version_digest(take(path, incoming))
            load_folder(incoming, digest, str(path))
            final = _place(versions, digest)
            if not _is_whole(final, digest):
                if final.exists():
                    shutil.rmtree(final)
                incoming.rename(final)
                _flush(versions)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return digest


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, against other threads and processes; the kernel frees it when its holder dies."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load_folder(folder: Path, digest: str, source: str) -> Version:
    """Reads and checks a version where it lies; `source` names it in errors."""
    try:
        text = (folder / MANIFEST).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{source}: {MANIFEST}", [f"not UTF-8: {error}"]) from error
    manifest = parse_manifest(text, f"{source}: {MANIFEST}")
    model = read_model_file(folder / MODEL)
    binding = bind(manifest, model)
    return Version(manifest, digest, folder, binding.labels, model, binding)


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        return version_digest(sums(folder)) == digest
    except (FileNotFoundError, NotADirectoryError):
        return False


def _flush(folder: Path) -> None:
    """Makes a rename inside the folder last."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
