"""Opening a version: its files are copied into the agent's state under their digest, and only that copy is used.

What is served can then neither change nor vanish under the agent, whatever happens to the folder or archive it came
from. A copy appears whole or not at all (written aside, flushed, renamed) and its digest is checked at every opening.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from upriver.errors import ManifestError, ModelInvalid
from upriver_agent.versions.archive import MANIFEST, MODEL, digest_of, sums, take
from upriver_agent.versions.binding import Binding, bind
from upriver_agent.versions.manifest import Manifest, parse_manifest
from upriver_agent.versions.model_file import ModelFile, read_model_file


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

    Raises ManifestError for a wrong manifest and ModelInvalid for everything else that is wrong with the artifact:
    files missing, archive or flatbuffer broken, manifest and flatbuffer at odds.
    """
    versions = state_dir / "versions"
    try:
        versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=versions, ignore_cleanup_errors=True) as aside:
            incoming = Path(aside) / "version"
            incoming.mkdir()
            digest = digest_of(take(path, incoming))
            load_folder(incoming, digest, str(path))
            final = versions / digest.removeprefix("sha256:")
            if not _is_whole(final, digest):
                _replace(incoming, final)
    except OSError as error:
        raise ModelInvalid(f"can't keep {path} in {versions}: {error.strerror or error}") from error
    return load_folder(final, digest, str(path))


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
        return digest_of(sums(folder)) == digest
    except FileNotFoundError:
        return False


def _replace(incoming: Path, final: Path) -> None:
    """Moves a complete folder to its place; a damaged one that is there already goes."""
    if final.exists():
        shutil.rmtree(final)
    try:
        incoming.rename(final)
    except OSError:
        if not final.exists():  # else another opening of the same version was faster
            raise
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
