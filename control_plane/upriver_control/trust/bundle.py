"""Bundles: versions in a folder, with the metadata that vouches for them, to be carried to where no network is.

`metadata/` has the signed files, `blobs/sha256/<digits>` the content, `bundle.json` the versions' names. Nothing here
checks signatures: the agent that takes the bundle in does, by the same code as over the network.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from upriver.errors import DiskTrouble, NotFound, Untrusted
from upriver.whole import write_whole

FORMAT: Final = 1
_MAX_ROOTS: Final = 256
_CHUNK: Final = 1 << 20


class BundleSource(Protocol):
    """Where a bundle comes from."""

    def metadata(self, name: str) -> bytes | None:
        """A metadata file; None when there is none of that name. Raises Unreachable."""
        ...

    def blob(self, digest: str) -> Iterator[bytes]:
        """A blob's bytes; raises BlobNotFound, Unreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Bundled:
    """What was written: digests by version name, bytes of blobs, and when the first of the signatures expires."""

    versions: Mapping[str, str]
    size_bytes: int
    expires: str


@dataclass(frozen=True, slots=True)
class _Metadata:
    """Signed files by name, and the targets in them by path."""

    files: Mapping[str, bytes]
    targets: Mapping[str, Any]
    expires: str


def export_bundle(
    source: BundleSource,
    versions: Sequence[tuple[str, str]],
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> Bundled:
    """Writes (model, version) pairs into a folder; what is there already and whole is not fetched again.

    `progress` is called with bytes as they are written. Raises NotFound naming a version that is not signed, Untrusted
    when what comes is not what its digest says, DiskTrouble, and what the source raises.
    """
    paths = {f"models/{model}/versions/{version}": f"versions/{model}/{version}" for model, version in versions}
    signed = _collect(source, list(paths.values()))
    missing = [name for name, path in paths.items() if path not in signed.targets]
    if missing:
        raise NotFound(f"not signed, so that no agent would take it: {', '.join(missing)}")
    digests = {name: f"sha256:{signed.targets[path]['hashes']['sha256']}" for name, path in paths.items()}
    blobs: dict[str, int] = {}
    for path in paths.values():
        blobs |= _blobs(signed.targets[path])
    with _told(folder):
        for digest, size in blobs.items():
            _write_blob(source, digest, size, folder / "blobs/sha256", progress)
        metadata = folder / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        for stale in metadata.glob("*.json"):
            if stale.name not in signed.files:
                stale.unlink()  # of an earlier export into the same folder
        for name, data in signed.files.items():
            write_whole(metadata / name, data)
        document = {"format": FORMAT, "versions": [{"name": name, "digest": digests[name]} for name in paths]}
        write_whole(folder / "bundle.json", json.dumps(document, indent=1).encode())
    return Bundled(digests, sum(blobs.values()), signed.expires)


def _collect(source: BundleSource, paths: Sequence[str]) -> _Metadata:
    files: dict[str, bytes] = {}
    expires = []

    def take(name: str) -> Any:
        data = source.metadata(name)
        if data is None:
            raise NotFound(f"the control plane has no metadata {name!r}")
        files[name] = data
        signed = json.loads(data)["signed"]
        expires.append(str(signed["expires"]))
        return signed

    try:
        timestamp = take("timestamp.json")
        snapshot = take(f"{timestamp['meta']['snapshot.json']['version']}.snapshot.json")["meta"]
        top = take(f"{snapshot['targets.json']['version']}.targets.json")
        bins = top["delegations"]["succinct_roles"]
        targets: dict[str, Any] = {}
        for name in {_bin_of(path, bins): None for path in paths}:
            targets |= take(f"{snapshot[f'{name}.json']['version']}.{name}.json")["targets"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Untrusted(f"the control plane's metadata makes no sense: {type(error).__name__}: {error}") from error
    soonest = min(expires)
    for number in range(1, _MAX_ROOTS + 1):
        root = source.metadata(f"{number}.root.json")
        if root is None:
            break
        files[f"{number}.root.json"] = root
    files["timestamp.json"] = files.pop("timestamp.json")  # last: it brings the others into force
    return _Metadata(files, targets, soonest)


def _bin_of(path: str, bins: Mapping[str, Any]) -> str:
    """The hashed bin of a target, as TAP 15 has it: the path's sha256, its leftmost bits."""
    bits = int(bins["bit_length"])
    number = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") >> (32 - bits)
    return f"{bins['name_prefix']}-{number:0{len(f'{2**bits - 1:x}')}x}"


def _blobs(target: Mapping[str, Any]) -> dict[str, int]:
    """Everything that a version consists of: {digest: the largest size it may have}."""
    try:
        blobs = {f"sha256:{target['hashes']['sha256']}": int(target["length"])}
        for file in target["custom"]["files"].values():
            blobs[f"sha256:{file['sha256']}"] = int(file["size"])
            if file.get("chunks"):
                blobs[f"sha256:{file['chunks']}"] = -(-int(file["size"]) // _CHUNK) * 32
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Untrusted(f"what was signed of a version makes no sense: {type(error).__name__}: {error}") from error
    return blobs


def _write_blob(source: BundleSource, digest: str, size: int, folder: Path, progress: Callable[[int], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / digest.removeprefix("sha256:")
    if path.exists() and _sum(path) == digest:
        progress(size)
        return
    aside = folder / f".{path.name}.new"
    found, written = hashlib.sha256(), 0
    with aside.open("wb") as file:
        for data in source.blob(digest):
            written += len(data)
            if written > size:
                break
            found.update(data)
            file.write(data)
            progress(len(data))
        file.flush()
        os.fsync(file.fileno())
    if written != size or f"sha256:{found.hexdigest()}" != digest:
        aside.unlink()
        raise Untrusted(f"what came for blob {digest} is something else; expected {size} bytes with that sha256")
    aside.replace(path)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskTrouble(f"can't write the bundle in {folder}: {error.strerror or error}") from error
