"""Trainings in the database, and what versions are trained from. Methods block."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from upriver.errors import NotFound
from upriver_control.jobs.training import Training
from upriver_control.store.database import Database
from upriver_control.store.jobs import WorkTable
from upriver_control.store.registry import RegistryStore, loosen
from upriver_control.store.schema import trainings, version_sources, versions


class TrainingTable(WorkTable[Training]):
    """The table `trainings`; raises Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, trainings, Training, "training")


class SourceKind(StrEnum):
    """What is kept beside a version."""

    KERAS = "keras"
    """The Keras file that it was converted from."""
    REPLAY = "replay"
    """A questions file with labels that whoever is trained from it must not forget."""
    LESSONS = "lessons"
    """A Parquet file with the ids of the lessons that it was trained on."""
    RESULT = "result"
    """What its training gave, as JSON."""


@dataclass(frozen=True, slots=True)
class Source:
    """A blob beside a version."""

    digest: str
    size_bytes: int


class SourceTable:
    """The table `version_sources`, which holds blobs; changes go through the registry, which knows of all blobs."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    def keep(self, version_digest: str, found: Mapping[SourceKind, Source], now: float) -> None:
        """Notes what is beside a version, in the place of what was of the same kinds."""

        def change(connection: Connection) -> None:
            here = version_sources.c.version_digest == version_digest
            of_kinds = here & version_sources.c.kind.in_([kind.value for kind in found])
            old = set(connection.scalars(select(version_sources.c.digest).where(of_kinds)))
            connection.execute(delete(version_sources).where(of_kinds))
            rows = [
                {"version_digest": version_digest, "kind": kind.value, "digest": one.digest,
                 "size_bytes": one.size_bytes, "created": now}
                for kind, one in found.items()
            ]  # fmt: skip
            if rows:
                connection.execute(insert(version_sources), rows)
            loosen(connection, sorted(old), now)

        self._registry.change(change)

    def of(self, version_digest: str) -> Mapping[SourceKind, Source]:
        """What is beside a version."""

        def look(connection: Connection) -> Mapping[SourceKind, Source]:
            here = version_sources.c.version_digest == version_digest
            rows = connection.execute(select(version_sources).where(here)).all()
            return {SourceKind(row.kind): Source(row.digest, row.size_bytes) for row in rows}

        return self._registry.read(look)

    def one(self, version_digest: str, kind: SourceKind, version: str) -> Source:
        """One of them; raises NotFound naming the version."""
        found = self.of(version_digest).get(kind)
        if found is None:
            raise NotFound(f"{version} has no {kind.value} beside it")
        return found

    def forget(self, before: float, now: float) -> None:
        """Lets go of what was put there before a time for versions that were never published, or are no more."""

        def change(connection: Connection) -> None:
            known = select(versions.c.digest)
            lost = version_sources.c.version_digest.not_in(known) & (version_sources.c.created < before)
            doomed = set(connection.scalars(select(version_sources.c.digest).where(lost)))
            connection.execute(delete(version_sources).where(lost))
            loosen(connection, sorted(doomed), now)

        self._registry.change(change)
