"""Checks pairs against signed metadata. The only module of the agent that imports python-tuf, and only when used.

The root is pinned: the first root metadata that is ever seen must have the configured fingerprint, and every later one
must be signed by the one before. What is refused leaves everything as it was: the agent goes on with what it has.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from tuf.api import exceptions as tuf_errors
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from upriver.errors import DiskTrouble, NotFound, Unreachable, Untrusted, UpriverError
from upriver.listing import LIMITS, REQUIRED, version_digest
from upriver_agent.installing.fit import Needs
from upriver_agent.installing.mesh_supply import SignedFile, SignedVersion
from upriver_agent.trust.source import MetadataSource

FORMAT: Final = 1
_HEX = re.compile(r"[0-9a-f]{64}")
_FIRST_ROOT = "1.root.json"
T = TypeVar("T")


class Trust:
    """Signatures of one control plane, kept in a folder. One thread at a time goes through it."""

    def __init__(self, folder: Path, source: MetadataSource, fingerprint: str) -> None:
        """`fingerprint` is `sha256:` and 64 digits of the first root metadata's bytes."""
        self._folder = folder
        self._source = source
        self._fingerprint = fingerprint
        self._lock = threading.Lock()

    def version(self, name: str, digest: str) -> SignedVersion:
        """What was signed of `models/{model}/versions/{version}`.

        Raises Untrusted when it was not signed, or with another digest; Unreachable when metadata can't be fetched;
        DiskTrouble when it can't be kept.
        """
        model, version = name.split("/")[1::2]
        target = self._target(f"versions/{model}/{version}")
        if target is None:
            raise Untrusted(f"{name} is not signed by the control plane")
        signed = f"sha256:{target.hashes.get('sha256', '')}"
        if signed != digest:
            raise Untrusted(f"{name} was signed as {signed}; it was assigned as {digest}")
        return _read_custom(name, digest, target.unrecognized_fields.get("custom"))

    def policy(self, model: str, document: str) -> None:
        """Returns if the policy document was signed for the model; raises as `version` does."""
        data = document.encode()
        name = f"policies/{model}/{hashlib.sha256(data).hexdigest()}"
        target = self._target(name)
        if target is None:
            raise Untrusted(f"the policy {name} is not signed by the control plane")
        try:
            target.verify_length_and_hashes(data)
        except tuf_errors.LengthOrHashMismatchError as error:
            raise Untrusted(f"the policy {name} is not what was signed: {error}") from error

    def _target(self, path: str) -> Any:
        with self._lock:
            return self._run(lambda: self._updater().get_targetinfo(path))

    def _updater(self) -> Updater:
        self._folder.mkdir(parents=True, exist_ok=True)
        root = self._first_root()
        config = UpdaterConfig(prefix_targets_with_hash=False)
        return Updater(
            str(self._folder / "metadata"), "", fetcher=_Fetcher(self._source), config=config, bootstrap=root
        )

    def _first_root(self) -> bytes:
        """The pinned root: kept here since the first contact, and checked again at every use."""
        (self._folder / "metadata").mkdir(exist_ok=True)
        kept = self._folder / _FIRST_ROOT
        try:
            root = kept.read_bytes()
            if self._is_pinned(root):
                return root
        except FileNotFoundError:
            pass  # the first contact
        root = self._source.fetch(_FIRST_ROOT)
        if not self._is_pinned(root):
            raise Untrusted(
                f"the control plane's root has the fingerprint sha256:{hashlib.sha256(root).hexdigest()}; this agent "
                f"expects {self._fingerprint}: it is another control plane, or somebody in between"
            )
        aside = kept.with_suffix(".new")
        aside.write_bytes(root)
        aside.replace(kept)
        return root

    def _is_pinned(self, root: bytes) -> bool:
        return f"sha256:{hashlib.sha256(root).hexdigest()}" == self._fingerprint

    def _run(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except tuf_errors.ExpiredMetadataError as error:
            raise Untrusted(
                f"the signed metadata has expired: {error}; either the control plane has not signed anew, somebody "
                "holds back what it signed, or this device's clock is wrong"
            ) from error
        except (tuf_errors.EqualVersionNumberError, tuf_errors.BadVersionNumberError) as error:
            raise Untrusted(f"older metadata than was seen before, or mixed up: {error}") from error
        except tuf_errors.UnsignedMetadataError as error:
            raise Untrusted(f"metadata that the trusted keys have not signed: {error}") from error
        except tuf_errors.LengthOrHashMismatchError as error:
            raise Untrusted(f"metadata that is not what was signed: {error}") from error
        except tuf_errors.DownloadLengthMismatchError as error:
            raise Untrusted(f"metadata without end: {error}") from error
        except tuf_errors.DownloadHTTPError as error:
            raise Untrusted(f"signed metadata is missing: {error}") from error
        except tuf_errors.DownloadError as error:
            cause = error.__cause__
            if isinstance(cause, UpriverError):
                raise cause from error
            raise Unreachable(f"metadata can't be fetched: {error}") from error
        except tuf_errors.RepositoryError as error:
            raise Untrusted(f"metadata that makes no sense: {error}") from error
        except OSError as error:
            raise DiskTrouble(f"metadata can't be kept in {self._folder}: {error.strerror or error}") from error


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


def _read_custom(name: str, digest: str, custom: object) -> SignedVersion:
    try:
        if not isinstance(custom, Mapping) or custom["format"] != FORMAT:
            raise ValueError(f"format {custom['format']!r}, expected {FORMAT}" if isinstance(custom, Mapping) else "")
        files = {str(file): _read_file(str(file), facts) for file, facts in custom["files"].items()}
        requires = custom["requires"]
        needs = Needs(
            size_bytes=sum(file.size_bytes for file in files.values()),
            memory_bytes=int(requires["memory_bytes"]),
            min_runtime=str(requires["min_runtime"]),
            operators=tuple(str(operator) for operator in requires["operators"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        shown = json.dumps(custom, default=str)[:200]
        raise Untrusted(
            f"{name}: what was signed of it can't be read ({type(error).__name__}: {error}): {shown}"
        ) from error
    listed = {file: signed.digest.removeprefix("sha256:") for file, signed in files.items()}
    if any(file not in files for file in REQUIRED) or version_digest(listed) != digest:
        raise Untrusted(f"{name}: the files that were signed are not those of {digest}")
    return SignedVersion(files, needs)


def _read_file(name: str, facts: Mapping[str, object]) -> SignedFile:
    digest, size, chunks = facts["sha256"], facts["size"], facts.get("chunks", "")
    if name not in LIMITS or not isinstance(size, int) or not 0 <= size <= LIMITS[name]:
        raise ValueError(f"{name!r} of {size!r} bytes")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ValueError(f"{name!r} with sha256 {digest!r}")
    if not isinstance(chunks, str) or not (chunks == "" or _HEX.fullmatch(chunks)):
        raise ValueError(f"{name!r} with chunks {chunks!r}")
    return SignedFile(f"sha256:{digest}", size, f"sha256:{chunks}" if chunks else "")
