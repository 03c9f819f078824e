"""Looks targets up in signed metadata: the only module of the agent that imports python-tuf, imported when first used.

`look_up` brings the metadata up to date first; `look_up_kept` reads what an earlier look-up has kept and touches
neither network nor disk otherwise. Both check every signature, from the pinned root on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from upriver.errors import DiskTrouble, NotFound, Unreachable, Untrusted, UpriverError
from upriver_agent.trust.signed import Target
from upriver_agent.trust.source import MetadataSource

T = TypeVar("T")
_MAX_ROOTS: Final = 256
_ATTEMPTS: Final = 2
"""A file that went while it was being fetched, because much was published meanwhile, is there under a newer name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What earlier look-ups have kept of a target. `fresh` when all metadata belongs together and none has expired."""

    target: Target
    fresh: bool


def look_up(folder: Path, source: MetadataSource, root: bytes, path: str, now: float) -> Target | None:
    """Brings the metadata in `folder` up to date and finds a target; None when it is not signed.

    `root` is the pinned root; `now` a Unix time that expiry is judged by. Raises Untrusted saying what was refused,
    Unreachable when the source can't be asked, DiskTrouble. Whatever is refused leaves what is kept as it was.
    """
    for leftover in folder.glob("tmp*"):  # of an updater that was killed while it wrote
        leftover.unlink(missing_ok=True)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _told(lambda: _find(folder, source, root, path, now), folder)
        except Untrusted as error:
            if attempt == _ATTEMPTS or not isinstance(error.__cause__, tuf_errors.DownloadHTTPError):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def look_up_kept(folder: Path, root: bytes, path: str, now: float) -> Kept | None:
    """Finds a target in what is kept; None when it is not there, or not signed from the pinned root on.

    A bin may be older than the snapshot that is kept: it was current when it was taken in.
    """
    try:
        return _find_kept(folder, root, path, datetime.fromtimestamp(now, UTC))
    except (tuf_errors.RepositoryError, ValueError, OSError):
        return None  # nothing that could be relied on


def _find(folder: Path, source: MetadataSource, root: bytes, path: str, now: float) -> Target | None:
    config = UpdaterConfig(prefix_targets_with_hash=False, max_root_rotations=_MAX_ROOTS)
    updater = Updater(str(folder), "", fetcher=_Fetcher(source), config=config, bootstrap=root)
    # The updater reads the clock once, here, and has no argument for it; a test holds this line to its effect.
    updater._trusted_set.reference_time = datetime.fromtimestamp(now, UTC)
    found = updater.get_targetinfo(path)
    return None if found is None else _target(found)


def _find_kept(folder: Path, pinned: bytes, path: str, now: datetime) -> Kept | None:
    root = _kept_root(folder, pinned)
    top = _load(folder / "targets.json", root.signed, "targets")
    delegations = top.signed.delegations
    if delegations is None or delegations.succinct_roles is None:
        return None
    name = delegations.succinct_roles.get_role_for_target(path)
    holding = _load(folder / f"{name}.json", top.signed, name)
    found = holding.signed.targets.get(path)
    if found is None:
        return None
    return Kept(_target(found), _belong_together(folder, root, {"targets": top, name: holding}, now))


def _belong_together(folder: Path, root: Metadata[Root], loaded: dict[str, Metadata[Any]], now: datetime) -> bool:
    """Whether the kept timestamp and snapshot speak of just this metadata, and none of it has expired."""
    try:
        timestamp = _load(folder / "timestamp.json", root.signed, "timestamp")
        snapshot = _load(folder / "snapshot.json", root.signed, "snapshot")
    except (tuf_errors.RepositoryError, OSError):
        return False
    versions = {name: meta.version for name, meta in snapshot.signed.meta.items()}
    return (
        timestamp.signed.snapshot_meta.version == snapshot.signed.version
        and all(versions.get(f"{name}.json") == metadata.signed.version for name, metadata in loaded.items())
        and not any(metadata.signed.is_expired(now) for metadata in (root, timestamp, snapshot, *loaded.values()))
    )


def _kept_root(folder: Path, pinned: bytes) -> Metadata[Root]:
    root: Metadata[Root] = Metadata.from_bytes(pinned)
    root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
    for _ in range(_MAX_ROOTS):
        number = root.signed.version + 1
        try:
            newer: Metadata[Root] = Metadata.from_bytes((folder / f"root_history/{number}.root.json").read_bytes())
        except FileNotFoundError:
            break
        root.signed.verify_delegate("root", newer.signed_bytes, newer.signatures)
        newer.signed.verify_delegate("root", newer.signed_bytes, newer.signatures)
        if newer.signed.version != number:
            raise tuf_errors.BadVersionNumberError(f"root {newer.signed.version} in the place of root {number}")
        root = newer
    return root


def _load(file: Path, delegator: Any, role: str) -> Metadata[Any]:
    metadata: Metadata[Any] = Metadata.from_bytes(file.read_bytes())
    expected = role if role in ("targets", "timestamp", "snapshot") else "targets"
    if metadata.signed.type != expected:
        raise tuf_errors.RepositoryError(f"{file.name} is of the kind {metadata.signed.type}")
    delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    return metadata


def _target(found: Any) -> Target:
    return Target(f"sha256:{found.hashes.get('sha256', '')}", int(found.length), found.custom)


def _told(ask: Callable[[], T], folder: Path) -> T:
    """Runs the updater and says in our words why it refuses."""
    try:
        return ask()
    except tuf_errors.ExpiredMetadataError as error:
        raise Untrusted(
            f"frozen: the signed metadata has expired ({error}); either the control plane has not signed anew, "
            "somebody holds back what it signed, or this device's clock is wrong: compare it with `date -u`"
        ) from error
    except tuf_errors.BadVersionNumberError as error:
        raise Untrusted(f"rolled back: older metadata than was seen before, or mixed up ({error})") from error
    except tuf_errors.UnsignedMetadataError as error:
        raise Untrusted(f"wrong key: metadata that the trusted keys have not signed ({error})") from error
    except tuf_errors.LengthOrHashMismatchError as error:
        raise Untrusted(f"tampered with or mixed up: metadata that is not what was signed ({error})") from error
    except tuf_errors.DownloadLengthMismatchError as error:
        raise Untrusted(f"too large: metadata that is longer than was signed, or without end ({error})") from error
    except tuf_errors.DownloadHTTPError as error:
        raise Untrusted(f"signed metadata is missing: {error}") from error
    except tuf_errors.DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, UpriverError):
            raise cause from error
        raise Unreachable(f"metadata can't be fetched: {error}") from error
    except tuf_errors.RepositoryError as error:
        raise Untrusted(f"tampered with: metadata that makes no sense ({error})") from error
    except OSError as error:
        raise DiskTrouble(f"metadata can't be kept in {folder}: {error.strerror or error}") from error


class _Fetcher(FetcherInterface):
    """Fetches by name over a MetadataSource."""

    def __init__(self, source: MetadataSource) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.rpartition("/")[2]
        try:
            yield self._source.fetch(name)
        except NotFound as error:
            raise tuf_errors.DownloadHTTPError(str(error), 404) from error
        except Unreachable as error:
            raise tuf_errors.DownloadError(str(error)) from error
