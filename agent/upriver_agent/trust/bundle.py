"""Takes in a bundle, versions in a folder that was carried here, by the same checks as over the network."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble, ModelInvalid, Untrusted
from upriver_agent.installing.mesh_supply import Fetcher, SignedFile, SignedVersion
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
from upriver_agent.versions import assemble

TRUST: Final = "trust"
"""The folder below an agent's state folder that its trust is kept in."""
SIDE_LOADED: Final = "side-loaded"
_FORMAT: Final = 1
_MOST_BYTES: Final = 1 << 20
_MOST_VERSIONS: Final = 1_000
_CHUNK: Final = 1 << 20
_NAME = re.compile(r"models/[^/]{1,256}/versions/[^/]{1,256}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SideLoaded:
    """A version that was taken in. `folder` has its files; an agent serves it when `[[models]]` names that folder."""

    name: str
    digest: str
    folder: Path


def side_load(bundle: Path, state_dir: Path, fingerprint: str) -> Sequence[SideLoaded]:
    """Checks every version of a bundle against the pinned root and keeps it in the state folder.

    Nothing is kept of a version that is refused. Raises Untrusted, ModelInvalid or ManifestError for what the bundle
    has, DiskTrouble for the state folder.
    """
    trust = Trust(state_dir / TRUST, FolderMetadata(bundle / "metadata"), fingerprint)
    return [
        _take(name, digest, trust.version(name, digest), bundle / "blobs/sha256", state_dir / SIDE_LOADED)
        for name, digest in _listed(bundle / "bundle.json").items()
    ]


class SideLoadedFirst:
    """A Fetcher that looks among what was side-loaded before it asks another one."""

    def __init__(self, state_dir: Path, others: Fetcher) -> None:
        self._blobs = state_dir / SIDE_LOADED / "sha256"
        self._others = others

    def fetch(self, file: SignedFile, bases: Sequence[str], cancelled: threading.Event) -> Path:
        """The path of a blob; one that is damaged here is fetched."""
        path = self._blobs / file.digest.removeprefix("sha256:")
        try:
            with path.open("rb") as stream:
                if f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" == file.digest:
                    return path
        except OSError:
            pass  # not here, or not readable: the others may have it
        return self._others.fetch(file, bases, cancelled)


def _take(name: str, digest: str, signed: SignedVersion, blobs: Path, folder: Path) -> SideLoaded:
    kept = folder / "sha256"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        paths = {file: _copy(name, facts, blobs, kept) for file, facts in signed.files.items()}
        return SideLoaded(name, digest, assemble(digest, paths, folder).folder)
    except OSError as error:
        raise DiskTrouble(f"can't keep {name} in {folder}: {error.strerror or error}") from error


def _copy(name: str, file: SignedFile, blobs: Path, kept: Path) -> Path:
    """Copies a blob, checked while it is copied; raises ModelInvalid when it is not what was signed."""
    digits = file.digest.removeprefix("sha256:")
    aside, final = kept / f".{digits}.new", kept / digits
    found, size = hashlib.sha256(), 0
    try:
        reader = (blobs / digits).open("rb")
    except OSError as error:
        raise ModelInvalid(f"{name}: the bundle has no {file.digest}: {error.strerror or error}") from error
    with reader, aside.open("wb") as writer:
        while size <= file.size_bytes and (data := reader.read(_CHUNK)):
            found.update(data)
            size += len(data)
            writer.write(data)
        writer.flush()
        os.fsync(writer.fileno())
    if size != file.size_bytes or f"sha256:{found.hexdigest()}" != file.digest:
        aside.unlink()
        raise Untrusted(
            f"{name}: tampered with or damaged: the bundle's {file.digest} is not what was signed; expected "
            f"{file.size_bytes} bytes with that sha256"
        )
    aside.replace(final)
    return final


def _listed(path: Path) -> Mapping[str, str]:
    """The bundle's versions, {name: digest}; only names to look for: what counts is what is signed."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}; expected {_FORMAT}")
        versions = {str(entry["name"]): str(entry["digest"]) for entry in document["versions"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelInvalid(f"{path.parent} is no bundle: {type(error).__name__}: {error}") from error
    for name, digest in versions.items():
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
            raise ModelInvalid(f"{path}: {name[:80]!r} with digest {digest[:80]!r} is no version")
    if len(versions) > _MOST_VERSIONS:
        raise ModelInvalid(f"{path} has {len(versions)} versions; expected at most {_MOST_VERSIONS}")
    return versions
