"""Models and versions as they are read from the database: what is there, or what is there instead."""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, RowMapping, select

from upriver.errors import NotFound
from upriver_control.store.records import (
    Lineage,
    Requirements,
    StoredModel,
    StoredVersion,
    Validation,
    VersionFile,
    model_name,
    version_name,
)
from upriver_control.store.schema import aliases, models, version_files, versions


def at_sign(names: Iterable[str]) -> str:
    """Aliases as people write them."""
    return ", ".join(f"@{name}" for name in names)


def read_model(connection: Connection, model: str) -> StoredModel:
    """A model; raises NotFound."""
    row = connection.execute(select(models).where(models.c.id == model)).mappings().one_or_none()
    if row is None:
        known = ", ".join(connection.scalars(select(models.c.id).order_by(models.c.id).limit(20))) or "none"
        raise NotFound(f"there is no {model_name(model)}; models: {known}")
    return StoredModel(row["id"], row["description"], row["created"], read_aliases(connection, [model]).get(model, {}))


def read_aliases(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The aliases of some models: {model: {alias: version}}."""
    query = (
        select(aliases.c.model, aliases.c.alias, versions.c.version)
        .join(versions, versions.c.number == aliases.c.number)
        .where(aliases.c.model.in_(names))
        .order_by(aliases.c.alias)
    )
    found: dict[str, dict[str, str]] = {}
    for model, alias, version in connection.execute(query):
        found.setdefault(model, {})[alias] = version
    return found


def read_version(connection: Connection, model: str, version: str) -> StoredVersion:
    """A version by its id or `@alias`; raises NotFound."""
    query = select(versions).where(versions.c.model == model)
    if version.startswith("@"):
        query = query.join(aliases, aliases.c.number == versions.c.number)
        query = query.where(aliases.c.model == model, aliases.c.alias == version[1:])
    else:
        query = query.where(versions.c.version == version)
    found = read_versions(connection, connection.execute(query).mappings().all())
    if found:
        return found[0]
    if version.startswith("@"):
        known = at_sign(read_model(connection, model).aliases) or "none"
        raise NotFound(f"{model_name(model)} has no alias {version}; aliases: {known}")
    read_model(connection, model)
    newest = select(versions.c.version).where(versions.c.model == model).order_by(versions.c.number.desc()).limit(20)
    known = ", ".join(connection.scalars(newest)) or "none"
    raise NotFound(f"there is no {version_name(model, version)}; versions: {known}")


def read_versions(connection: Connection, rows: Sequence[RowMapping]) -> list[StoredVersion]:
    """Versions of rows, with their files and aliases, in the rows' order."""
    numbers = [row["number"] for row in rows]
    files: dict[int, list[VersionFile]] = {}
    query = select(version_files).where(version_files.c.number.in_(numbers)).order_by(version_files.c.name)
    for row in connection.execute(query):
        files.setdefault(row.number, []).append(VersionFile(row.name, row.digest, row.size_bytes, row.chunks))
    pointing: dict[int, list[str]] = {}
    for row in connection.execute(select(aliases).where(aliases.c.number.in_(numbers)).order_by(aliases.c.alias)):
        pointing.setdefault(row.number, []).append(row.alias)
    return [_stored(row, files[row["number"]], pointing.get(row["number"], ())) for row in rows]


def _stored(row: RowMapping, files: Iterable[VersionFile], pointing: Iterable[str]) -> StoredVersion:
    requirements = json.loads(row["requirements"])
    return StoredVersion(
        model=row["model"],
        version=row["version"],
        digest=row["digest"],
        files=tuple(files),
        lineage=Lineage(**json.loads(row["lineage"])),
        requirements=Requirements(**requirements | {"operators": tuple(requirements["operators"])}),
        validation=Validation(**json.loads(row["validation"])),
        number=row["number"],
        created=row["created"],
        aliases=tuple(pointing),
    )
