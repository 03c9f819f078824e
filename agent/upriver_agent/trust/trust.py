"""Checks pairs against signed metadata, from a pinned root on.

The root is pinned: the first root metadata that is ever seen must have the configured fingerprint, and every later one
must be signed by the one before. What is refused leaves everything as it was: the agent goes on with what it has.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from upriver.errors import DiskTrouble, NotFound, RuntimeMissing, Unreachable, Untrusted
from upriver.whole import write_whole
from upriver_agent.installing.mesh_supply import SignedVersion
from upriver_agent.trust.accepted import Accepted
from upriver_agent.trust.files import alone
from upriver_agent.trust.signed import Target, read_version
from upriver_agent.trust.source import MetadataSource

_LOG = logging.getLogger(__name__)
_FIRST_ROOT: Final = "1.root.json"
_LOCK_S: Final = 60.0
_NAME = re.compile(r"models/([^/]{1,256})/versions/([^/]{1,256})")


class Trust:
    """Signatures of one control plane, kept in a folder. Threads and processes go through it one at a time.

    `fingerprint` is `sha256:` and 64 digits of the first root metadata's bytes; `clock` gives the Unix time that
    expiry is judged by.
    """

    def __init__(
        self, folder: Path, source: MetadataSource, fingerprint: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._source = source
        self._fingerprint = fingerprint
        self._clock = clock
        self._accepted = Accepted(folder / "accepted.json")

    def version(self, name: str, digest: str) -> SignedVersion:
        """What was signed of `models/{model}/versions/{version}`.

        Raises Untrusted when it was not signed, or with another digest; Unreachable when metadata can't be fetched
        and what is kept does not tell; DiskTrouble when it can't be kept.
        """
        named = _NAME.fullmatch(name)
        if named is None:
            raise Untrusted(f"{name[:80]!r} names no version; expected models/MODEL/versions/VERSION")
        path = f"versions/{named[1]}/{named[2]}"
        target = self._target(path)
        if target is None:
            raise Untrusted(f"{name} is not signed by the control plane")
        if target.digest != digest:
            raise Untrusted(f"{name} was signed as {target.digest}; it was assigned as {digest}")
        signed = read_version(name, digest, target.custom)
        self._accept(path, digest)
        return signed

    def policy(self, model: str, document: str) -> None:
        """Returns if the policy document was signed for the model; raises as `version` does."""
        data = document.encode()
        found = hashlib.sha256(data).hexdigest()
        path = f"policies/{model}/{found}"
        target = self._target(path)
        if target is None:
            raise Untrusted(f"the policy {path} is not signed by the control plane")
        if (target.digest, target.size_bytes) != (f"sha256:{found}", len(data)):
            raise Untrusted(f"the policy {path} is not what was signed: it was signed as {target.digest}")
        self._accept(path, target.digest)

    def refresh(self) -> None:
        """Brings the metadata up to date, so that it is known before it is needed; raises as `version` does."""
        self._look_up("")

    def trusted_offline(self, path: str) -> Target | None:
        """A target that is known without asking anybody: none is given that was not signed.

        While the kept metadata is in force it counts; once it has expired, only what was taken in before does.
        """
        root = self._kept_root()
        if root is None:
            return None
        kept = _updating().look_up_kept(self._folder / "metadata", root, path, self._clock())
        if kept is None or not (kept.fresh or self._accepted.digest(path) == kept.target.digest):
            return None
        target: Target = kept.target
        return target

    def _target(self, path: str) -> Target | None:
        try:
            target = self._look_up(path)
        except Unreachable as error:
            known = self.trusted_offline(path)
            if known is None:
                raise
            _LOG.info("%s is trusted from what is kept: %s", path, error)
            return known
        if target is None:
            with self._alone():
                self._accepted.remove(path)
        return target

    def _look_up(self, path: str) -> Target | None:
        updating = _updating()
        metadata = self._folder / "metadata"
        with self._alone():
            try:
                metadata.mkdir(exist_ok=True)
                root = self._first_root()
                target: Target | None = updating.look_up(metadata, self._source, root, path, self._clock())
                return target
            finally:
                self._source.release()

    def _first_root(self) -> bytes:
        """The pinned root: kept here since the first contact, and held against the fingerprint at every use."""
        kept = self._kept_root()
        if kept is not None:
            return kept
        try:
            root = self._source.fetch(_FIRST_ROOT)
        except NotFound as error:
            raise Untrusted(f"not signed at all: the control plane has no {_FIRST_ROOT}: {error}") from error
        if not self._is_pinned(root):
            raise Untrusted(
                f"wrong fingerprint: the control plane's root is sha256:{hashlib.sha256(root).hexdigest()}; this agent "
                f"expects {self._fingerprint}: it is another control plane, or somebody in between"
            )
        write_whole(self._folder / _FIRST_ROOT, root)
        return root

    def _kept_root(self) -> bytes | None:
        try:
            root = (self._folder / _FIRST_ROOT).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskTrouble(f"can't read {self._folder / _FIRST_ROOT}: {error.strerror or error}") from error
        return root if self._is_pinned(root) else None

    def _is_pinned(self, root: bytes) -> bool:
        return f"sha256:{hashlib.sha256(root).hexdigest()}" == self._fingerprint

    def _accept(self, path: str, digest: str) -> None:
        with self._alone():
            self._accepted.add(path, digest)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with alone(self._folder, _LOCK_S):
                yield
        except OSError as error:
            raise DiskTrouble(f"metadata can't be kept in {self._folder}: {error.strerror or error}") from error


def _updating() -> ModuleType:
    """What uses python-tuf, imported here and not above: an agent that is sent no models never pays for it."""
    try:
        from upriver_agent.trust import updating
    except ModuleNotFoundError as error:
        raise RuntimeMissing(f"{error.name} is not installed; signatures need: pip install 'upriver[fleet]'") from error
    return updating
