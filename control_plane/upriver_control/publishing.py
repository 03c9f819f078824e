"""Publishing versions: tried, kept by content, signed, and only then shown.

The order makes it safe to end at any point. A name is claimed for a content; blobs are kept under their digests; the
signature is made; the row in the database comes last, and what has no row is not there. A repetition finds each step
done or does it again. What was left by one that never came back is swept when its claim has run out.
"""

import hashlib
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from upriver.chunks import CHUNK, chunk_list
from upriver.errors import DiskTrouble, InvalidInput, NotFound, NotNow, VersionConflict
from upriver.listing import digest as digest_of
from upriver.listing import format_listing
from upriver_control.artifacts import Artifacts, put_bytes
from upriver_control.store.records import (
    Lineage,
    NewVersion,
    StoredModel,
    StoredVersion,
    VersionFile,
    check_alias,
    check_id,
    read_version_name,
    version_name,
)
from upriver_control.store.registry import RegistryStore
from upriver_control.validation import Validate, Verdict

FORMAT: Final = 1
CLAIM_S: Final = 600.0
ABANDONED_S: Final = 86_400.0
MAX_METRICS: Final = 100
MAX_TEXT: Final = 2_000


class Signer(Protocol):
    """Signs versions, for agents to believe."""

    def publish(self, model: str, version: str, listing: bytes, custom: Mapping[str, object]) -> None:
        """Signs a version. The same again changes nothing; another content is a VersionConflict."""
        ...

    def withdraw(self, model: str, version: str) -> None:
        """Takes a version's signature back; one that is not there is no error."""
        ...


class Needed(Protocol):
    """Knows who needs a version."""

    def __call__(self, version: StoredVersion) -> str:
        """Who needs it, for example `rollouts/3 wants it on agents`; empty when nobody does."""
        ...


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes and deletes. Methods block: for seconds where a version is tried. `uploads` is a folder of its own."""

    store: RegistryStore
    artifacts: Artifacts
    signer: Signer
    validate: Validate
    needed: Needed
    uploads: Path
    clock: Callable[[], float] = time.time

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new folder for an upload, which goes when the context ends."""
        try:
            self.uploads.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="upload-", dir=self.uploads))
        except OSError as error:
            raise DiskTrouble(f"can't take uploads in {self.uploads}: {error.strerror}") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what stays is removed by `clean`

    def publish(self, folder: Path, model: str, lineage: Lineage) -> tuple[StoredVersion, bool]:
        """Publishes the version in a folder; gives it, and whether it was not there before.

        Raises ModelInvalid and GoldenMismatch when it did not pass, VersionConflict when another content has its name,
        InvalidInput for a wrong lineage or model, DiskTrouble, Unreachable.
        """
        files = _files_in(folder)
        listing = format_listing({file.name: file.digest.removeprefix("sha256:") for file in files})
        known = self._known(digest_of(listing))
        if known is not None:
            self._check_model(known.model, model)
            self._keep(folder, known, listing)
            self._sign(known, listing)
            if self._known(known.digest) is not None:  # else it was deleted at this moment, and is published anew
                return known, False
        parent = self._check_lineage(lineage)
        verdict = self.validate(folder)
        self._check_model(verdict.model, model)
        if verdict.digest != digest_of(listing):
            raise DiskTrouble(f"the upload changed while it was tried: {verdict.digest}, {digest_of(listing)} before")
        version = _new(verdict, files, lineage)
        now = self.clock()
        if self.store.claim(version.model, version.version, version.digest, version.blobs(), now, now + CLAIM_S):
            try:
                self._keep(folder, version, listing)
                self._sign(version, listing, parent)
            except BaseException:
                self.store.release(version.model, version.version, version.digest)
                raise
        return self.store.record(version, self.clock())

    def delete(self, model: str, version: str) -> None:
        """Deletes a version and what only it was made of; raises NotFound, and NotNow while somebody needs it."""
        doomed = self.store.version(check_id(model, "model"), check_id(version, "version"))
        if doomed.aliases:
            raise NotNow(f"{doomed.name} is @{', @'.join(doomed.aliases)}; move or delete the alias first")
        reason = self.needed(doomed)
        if reason:
            raise NotNow(f"{doomed.name} is needed: {reason}")
        self.signer.withdraw(doomed.model, doomed.version)
        self.store.delete_version(doomed.model, doomed.version, self.clock())
        self.sweep()

    def set_alias(self, model: str, alias: str, version: str) -> StoredModel:
        """Points an alias at a published version, which is one that passed; raises NotFound and InvalidInput."""
        return self.store.set_alias(check_id(model, "model"), check_alias(alias), check_id(version, "version"))

    def sweep(self) -> int:
        """Deletes blobs that no version refers to any more; gives how many. To be called now and then."""
        return self.store.sweep(self.clock(), self.artifacts.delete)

    def clean(self) -> None:
        """Removes uploads that a process left behind when it was killed."""
        if not self.uploads.is_dir():
            return
        for folder in self.uploads.glob("upload-*"):
            try:
                old = self.clock() - folder.stat().st_mtime > ABANDONED_S
            except FileNotFoundError:  # another process was faster
                continue
            if old:
                shutil.rmtree(folder, ignore_errors=True)  # tried again at the next start

    def _known(self, digest: str) -> StoredVersion | None:
        try:
            return self.store.by_digest(digest)
        except NotFound:
            return None

    def _check_model(self, found: str, expected: str) -> None:
        if found != expected:
            raise InvalidInput(f"the manifest's model is {found!r}; it is published as a version of {expected!r}")

    def _check_lineage(self, lineage: Lineage) -> str:
        """Gives the parent's digest, empty without one."""
        problems = [f"metric {name!r} = {value}" for name, value in lineage.metrics.items() if not math.isfinite(value)]
        if problems:
            raise InvalidInput(f"lineage: {', '.join(problems)}: expected finite numbers")
        if len(lineage.metrics) > MAX_METRICS:
            raise InvalidInput(f"lineage: {len(lineage.metrics)} metrics; at most {MAX_METRICS}")
        texts = (lineage.training_data, lineage.conversion, *lineage.metrics)
        if any(len(text) > MAX_TEXT for text in texts) or "" in lineage.metrics:
            raise InvalidInput(f"lineage: expected texts of at most {MAX_TEXT} characters, and metrics with names")
        if not lineage.parent:
            return ""
        return self.store.version(*read_version_name(lineage.parent)).digest

    def _keep(self, folder: Path, version: NewVersion, listing: bytes) -> None:
        for file in version.files:
            try:
                with (folder / file.name).open("rb") as stream:
                    self.artifacts.put(file.digest, stream)
            except OSError as error:
                raise DiskTrouble(f"can't read the upload's {file.name}: {error.strerror}") from error
            if file.chunks:
                put_bytes(self.artifacts, file.chunks, _chunk_list(folder / file.name))
        put_bytes(self.artifacts, version.digest, listing)

    def _sign(self, version: NewVersion, listing: bytes, parent: str | None = None) -> None:
        if parent is None:
            parent = self._parent_of(version)
        facts = signed_facts(version, parent)
        try:
            self.signer.publish(version.model, version.version, listing, facts)
        except VersionConflict:
            if self._known(version.digest) is not None:
                raise
            # Signed by a publication that ended before its version was shown, or deleted half way: nobody has it.
            self.signer.withdraw(version.model, version.version)
            self.signer.publish(version.model, version.version, listing, facts)

    def _parent_of(self, version: NewVersion) -> str:
        """The digest of a version's parent; empty when it has none, or none any more."""
        if not version.lineage.parent:
            return ""
        try:
            return self.store.version(*read_version_name(version.lineage.parent)).digest
        except NotFound:
            return ""


def signed_facts(version: NewVersion, parent: str) -> dict[str, object]:
    """What is signed beside a version's listing: its blobs, what a device needs, and its parent's digest or ''."""
    files: dict[str, dict[str, object]] = {}
    for file in version.files:
        files[file.name] = {"sha256": file.digest.removeprefix("sha256:"), "size": file.size_bytes}
        if file.chunks:
            files[file.name]["chunks"] = file.chunks.removeprefix("sha256:")
    requirements = version.requirements
    requires = {
        "memory_bytes": requirements.memory_bytes,
        "min_runtime": requirements.min_runtime,
        "operators": list(requirements.operators),
    }
    return {"format": FORMAT, "files": files, "requires": requires, "parent": parent}


def _new(verdict: Verdict, files: tuple[VersionFile, ...], lineage: Lineage) -> NewVersion:
    check_id(verdict.model, "model")
    check_id(verdict.version, "version")
    if lineage.parent == version_name(verdict.model, verdict.version):
        raise InvalidInput(f"lineage: {lineage.parent} can't be its own parent")
    return NewVersion(
        verdict.model, verdict.version, verdict.digest, files, lineage, verdict.requirements, verdict.validation
    )


def _files_in(folder: Path) -> tuple[VersionFile, ...]:
    """The files of a version, by name; `folder` holds nothing else."""
    files = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        size = path.stat().st_size
        chunks = digest_of(_chunk_list(path)) if size > CHUNK else ""
        files.append(VersionFile(path.name, f"sha256:{found}", size, chunks))
    return tuple(files)


def _chunk_list(path: Path) -> bytes:
    with path.open("rb") as stream:
        return chunk_list(stream)


def nobody(_: StoredVersion) -> str:
    """A `Needed` where there are no rollouts and no agents."""
    return ""
