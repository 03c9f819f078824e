"""Models, versions and aliases in the database. Every change may be repeated."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver.errors import NotFound, NotNow, VersionConflict
from upriver_control.store.database import Database
from upriver_control.store.reading import at_sign, read_aliases, read_model, read_version, read_versions
from upriver_control.store.records import (
    Lineage,
    NewVersion,
    Requirements,
    StoredModel,
    StoredVersion,
    Validation,
    model_name,
    version_name,
)
from upriver_control.store.schema import (
    aliases,
    claims,
    heads,
    loose_blobs,
    models,
    questions,
    version_files,
    version_sources,
    versions,
)

T = TypeVar("T")
_REGISTRY: Final = 0x75707272  # an advisory lock of our own: "uprr"


class RegistryStore:
    """What the registry remembers. Methods block, and raise Unreachable and DiskTrouble as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_model(self, model: str, description: str, now: float) -> StoredModel:
        """Makes a model; raises VersionConflict when it is there with another description."""

        def change(connection: Connection) -> StoredModel:
            _make_model(connection, model, description, now)
            made = read_model(connection, model)
            if description and not made.description:
                connection.execute(update(models).where(models.c.id == model).values(description=description))
                return read_model(connection, model)
            if description != made.description and description:
                raise VersionConflict(
                    f"{model_name(model)} is there with another description, {made.description!r}; it can't be changed"
                )
            return made

        return self.change(change)

    def model(self, model: str) -> StoredModel:
        """Gives a model; raises NotFound."""
        return self._database.read(lambda connection: read_model(connection, model))

    def models(self, after: str, limit: int) -> list[StoredModel]:
        """Gives models by name, those after `after`, at most `limit`."""

        def look(connection: Connection) -> list[StoredModel]:
            query = select(models).where(models.c.id > after).order_by(models.c.id).limit(limit)
            rows = connection.execute(query).mappings().all()
            pointing = read_aliases(connection, [row["id"] for row in rows])
            return [
                StoredModel(row["id"], row["description"], row["created"], pointing.get(row["id"], {})) for row in rows
            ]

        return self._database.read(look)

    def delete_model(self, model: str) -> None:
        """Deletes a model; raises NotFound, and NotNow while it has versions."""

        def change(connection: Connection) -> None:
            read_model(connection, model)
            count = connection.scalar(select(func.count()).where(versions.c.model == model))
            if count:
                raise NotNow(f"{model_name(model)} has {count} versions; delete them first")
            connection.execute(delete(models).where(models.c.id == model))

        self.change(change)

    def version(self, model: str, version: str) -> StoredVersion:
        """Gives a version by its id, or by `@alias`; raises NotFound."""
        return self._database.read(lambda connection: read_version(connection, model, version))

    def by_digest(self, digest: str) -> StoredVersion:
        """Gives the version of a digest; raises NotFound."""

        def look(connection: Connection) -> StoredVersion:
            found = read_versions(
                connection, connection.execute(select(versions).where(versions.c.digest == digest)).mappings().all()
            )
            if not found:
                raise NotFound(f"no version has the digest {digest}")
            return found[0]

        return self._database.read(look)

    def versions(self, model: str, before: int | None, limit: int) -> list[StoredVersion]:
        """Gives a model's versions, newest first, those with numbers below `before`; raises NotFound."""

        def look(connection: Connection) -> list[StoredVersion]:
            read_model(connection, model)
            query = select(versions).where(versions.c.model == model).order_by(versions.c.number.desc()).limit(limit)
            if before is not None:
                query = query.where(versions.c.number < before)
            return read_versions(connection, connection.execute(query).mappings().all())

        return self._database.read(look)

    def claim(self, model: str, version: str, digest: str, blobs: Iterable[str], now: float, until: float) -> bool:
        """Takes a name for a content, and holds its blobs, until a time. False when it is published already.

        Raises VersionConflict when another content has the name, or takes it at this moment.
        """
        held = sorted(set(blobs))

        def change(connection: Connection) -> bool:
            known = connection.scalar(
                select(versions.c.digest).where(versions.c.model == model, versions.c.version == version)
            )
            if known is not None:
                _same(model, version, digest, known)
                return False
            here = (claims.c.model == model) & (claims.c.version == version)
            row = connection.execute(select(claims).where(here)).one_or_none()
            if row is not None and row.digest != digest and row.until > now:
                raise VersionConflict(
                    f"another content ({row.digest}) is being published as {version_name(model, version)}; "
                    "versions never change: give it another name"
                )
            connection.execute(delete(claims).where(here))
            connection.execute(insert(claims).values(model=model, version=version, digest=digest, until=until))
            loosen(connection, held, until)
            return True

        return self.change(change)

    def record(self, version: NewVersion, now: float) -> tuple[StoredVersion, bool]:
        """Keeps a version whose name was claimed: from here on it is published. Says whether this call did it.

        Raises VersionConflict when another content has the name, NotNow when the claim was lost.
        """

        def change(connection: Connection) -> tuple[StoredVersion, bool]:
            here = (versions.c.model == version.model) & (versions.c.version == version.version)
            known = connection.scalar(select(versions.c.digest).where(here))
            if known is not None:
                _same(version.model, version.version, version.digest, known)
                return read_version(connection, version.model, version.version), False
            claimed = (claims.c.model == version.model) & (claims.c.version == version.version)
            if connection.scalar(select(claims.c.digest).where(claimed)) != version.digest:
                raise NotNow(f"publishing {version.name} took so long that its name went to somebody else; try again")
            _make_model(connection, version.model, "", now)
            _insert(connection, version, now)
            connection.execute(delete(claims).where(claimed))
            connection.execute(delete(loose_blobs).where(loose_blobs.c.digest.in_(version.blobs())))
            return read_version(connection, version.model, version.version), True

        return self.change(change)

    def release(self, model: str, version: str, digest: str) -> None:
        """Gives a claim up."""
        held = (claims.c.model == model) & (claims.c.version == version) & (claims.c.digest == digest)
        self.change(lambda connection: connection.execute(delete(claims).where(held)))

    def delete_version(self, model: str, version: str, now: float) -> None:
        """Deletes a version; its blobs become loose. Raises NotFound, and NotNow while an alias points at it."""

        def change(connection: Connection) -> None:
            doomed = read_version(connection, model, version)
            if doomed.aliases:
                raise NotNow(f"{doomed.name} is {at_sign(doomed.aliases)}; move or delete the alias first")
            connection.execute(delete(version_files).where(version_files.c.number == doomed.number))
            connection.execute(delete(versions).where(versions.c.number == doomed.number))
            beside = version_sources.c.version_digest == doomed.digest
            sources = list(connection.scalars(select(version_sources.c.digest).where(beside)))
            connection.execute(delete(version_sources).where(beside))
            loosen(connection, (*doomed.blobs(), *sources), now)

        self.change(change)

    def set_alias(self, model: str, alias: str, version: str) -> StoredModel:
        """Points an alias at a version; raises NotFound."""

        def change(connection: Connection) -> StoredModel:
            target = read_version(connection, model, version)
            here = (aliases.c.model == model) & (aliases.c.alias == alias)
            connection.execute(delete(aliases).where(here))
            connection.execute(insert(aliases).values(model=model, alias=alias, number=target.number))
            return read_model(connection, model)

        return self.change(change)

    def delete_alias(self, model: str, alias: str) -> StoredModel:
        """Removes an alias; one that is not there is no error. Raises NotFound when there is no such model."""

        def change(connection: Connection) -> StoredModel:
            connection.execute(delete(aliases).where(aliases.c.model == model, aliases.c.alias == alias))
            return read_model(connection, model)

        return self.change(change)

    def sweep(self, now: float, remove: Callable[[str], None], limit: int = 100) -> int:
        """Has `remove` delete blobs that are loose and past their time, and forgets them; gives how many.

        Nobody can take up a blob while it is removed: both hold the same lock.
        """

        def change(connection: Connection) -> int:
            query = select(loose_blobs.c.digest).where(loose_blobs.c.until <= now).limit(limit)
            doomed = list(connection.scalars(query))
            used = _used(connection, doomed)
            for digest in doomed:
                if digest not in used:
                    remove(digest)
            connection.execute(delete(loose_blobs).where(loose_blobs.c.digest.in_(doomed)))
            return len(doomed) - len(used)

        return self.change(change)

    def read(self, look: Callable[[Connection], T]) -> T:
        """Runs a look at what holds blobs, which waits for no change."""
        return self._database.read(look)

    def change(self, change: Callable[[Connection], T]) -> T:
        """Runs a change with no other change of the registry beside it."""

        def alone(connection: Connection) -> T:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _REGISTRY})
            return change(connection)

        return self._database.write(alone)


def _same(model: str, version: str, digest: str, known: str) -> None:
    if known != digest:
        raise VersionConflict(
            f"{version_name(model, version)} is published already, as {known}; versions never change: publish this "
            f"content ({digest}) under another name"
        )


def _make_model(connection: Connection, model: str, description: str, now: float) -> None:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(models).values(id=model, description=description, created=now)
    connection.execute(made.on_conflict_do_nothing(index_elements=["id"]))


def loosen(connection: Connection, digests: Sequence[str], until: float) -> None:
    """Notes blobs as loose, those that no version refers to; a later time stays."""
    used = _used(connection, digests)
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    for digest in digests:
        if digest not in used:
            made = dialect.insert(loose_blobs).values(digest=digest, until=until)
            later = loose_blobs.c.until < made.excluded.until
            connection.execute(
                made.on_conflict_do_update(index_elements=["digest"], set_={"until": made.excluded.until}, where=later)
            )


def _used(connection: Connection, digests: Sequence[str]) -> set[str]:
    columns = (
        versions.c.digest, version_files.c.digest, version_files.c.chunks, questions.c.digest, heads.c.digest,
        version_sources.c.digest,
    )  # fmt: skip
    found = (connection.scalars(select(column).where(column.in_(digests))) for column in columns)
    return {digest for some in found for digest in some}


def _insert(connection: Connection, version: NewVersion, now: float) -> None:
    made = connection.execute(
        insert(versions).values(
            model=version.model,
            version=version.version,
            digest=version.digest,
            lineage=_document(version.lineage),
            requirements=_document(version.requirements),
            validation=_document(version.validation),
            created=now,
        )
    )
    number = made.inserted_primary_key[0] if made.inserted_primary_key else None
    connection.execute(insert(version_files), [{"number": number, **asdict(file)} for file in version.files])


def _document(value: Lineage | Requirements | Validation) -> str:
    return json.dumps(asdict(value), sort_keys=True, allow_nan=False)
