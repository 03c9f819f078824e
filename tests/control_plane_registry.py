"""A registry of real parts in a folder: SQLite, artifacts, a signed repository, and the child that tries versions."""

import time
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Targets

from upriver_control.artifacts import FsspecArtifacts
from upriver_control.publishing import Publisher, nobody
from upriver_control.store import Database, open_database
from upriver_control.store.registry import RegistryStore
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository, TrustOptions
from upriver_control.validation import ChildValidation, Limits


@dataclass
class Registry:
    database: Database
    store: RegistryStore
    artifacts: FsspecArtifacts
    repository: Repository
    publisher: Publisher


def open_registry(folder: Path, url: str = "", validate=None, needed=nobody, clock=time.time) -> Registry:
    database = open_database(url or f"sqlite:///{folder}/control.db")
    store = RegistryStore(database)
    artifacts = FsspecArtifacts(str(folder / "artifacts"))
    repository = Repository(FolderMetadataStore(folder / "metadata"), Keys(folder / "keys"), TrustOptions(), time.time)
    repository.open()
    trying = validate or ChildValidation(Limits(timeout_s=60.0))
    publisher = Publisher(store, artifacts, repository, trying, needed, folder / "uploads", clock)
    return Registry(database, store, artifacts, repository, publisher)


def signed(registry: Registry, model: str, version: str) -> dict | None:
    """What is signed for a version: the target's custom facts and digest; None when it is not signed."""
    path = f"versions/{model}/{version}"
    current = registry.repository._current()
    name = registry.repository._bin_of(path)
    target = registry.repository._load(Targets, name, current.bins[name]).signed.targets.get(path)
    return None if target is None else {"sha256": target.hashes["sha256"], **target.custom}
