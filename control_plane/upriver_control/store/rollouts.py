"""Rollouts in the database: made once for a request, changed only by those who have seen the newest revision.

Revisions are given out under a lock that lasts until the transaction is committed, so what a process reads after the
last revision that it knows is all that it has missed. Rollouts are never deleted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from upriver.errors import NotFound
from upriver_control.documents import from_document, to_document
from upriver_control.rollout import RevisionConflict, Rollout
from upriver_control.store.database import Database
from upriver_control.store.schema import rollouts

MAX_PAGE = 1000
_KEPT_APART = {"id", "generation", "revision", "created"}


@dataclass(frozen=True, slots=True)
class Page:
    """Some rollouts, newest first; `before` is the generation that the next page starts below, 0 on the last."""

    rollouts: tuple[Rollout, ...]
    before: int


class RolloutTable:
    """The table `rollouts`. Its methods block; raise Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, rollout: Rollout, request_id: str) -> tuple[Rollout, bool]:
        """Keeps a new rollout and gives it with its generation, or the one that this request has made before."""

        def run(connection: Connection) -> tuple[Rollout, bool]:
            revision = _next_revision(connection)
            made = _first(connection, rollouts.c.request_id == request_id)
            if made is not None:
                return made, False
            values = {
                "id": rollout.id,
                "model": rollout.model,
                "state": rollout.state.value,
                "revision": revision,
                "request_id": request_id,
                "document": _written(rollout),
                "created": rollout.created,
            }
            generation = connection.execute(
                insert(rollouts).values(values).returning(rollouts.c.generation)
            ).scalar_one()
            return replace(rollout, generation=generation, revision=revision), True

        return self._database.write(run)

    def get(self, rollout: str) -> Rollout:
        """A rollout by its id; raises NotFound."""
        found = self._database.read(lambda connection: _first(connection, rollouts.c.id == rollout))
        if found is None:
            raise NotFound(f"there is no rollout rollouts/{rollout}")
        return found

    def of_request(self, request_id: str) -> Rollout | None:
        """The rollout that a request has made."""
        return self._database.read(lambda connection: _first(connection, rollouts.c.request_id == request_id))

    def page(self, model: str = "", before: int = 0, size: int = 100) -> Page:
        """Rollouts of a model (empty: all), newest first, below a generation (0: from the newest)."""
        size = max(1, min(size, MAX_PAGE))
        wanted = select(rollouts).order_by(rollouts.c.generation.desc()).limit(size + 1)
        if model:
            wanted = wanted.where(rollouts.c.model == model)
        if before:
            wanted = wanted.where(rollouts.c.generation < before)
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        read = tuple(_read(row) for row in found[:size])
        return Page(read, read[-1].generation if len(found) > size else 0)

    def changed_since(self, revision: int, limit: int = MAX_PAGE) -> Sequence[Rollout]:
        """At most `limit` of those changed after a revision, in the order of their changes."""
        wanted = select(rollouts).where(rollouts.c.revision > revision).order_by(rollouts.c.revision).limit(limit)
        return [_read(row) for row in self._database.read(lambda connection: connection.execute(wanted).all())]

    def save(self, rollout: Rollout) -> Rollout:
        """Keeps a changed rollout, and gives it with its new revision.

        `rollout.revision` is the one that it was read at: raises RevisionConflict when the table has a newer one.
        """

        def run(connection: Connection) -> int:
            revision = _next_revision(connection)
            done = connection.execute(
                update(rollouts)
                .where(rollouts.c.id == rollout.id, rollouts.c.revision == rollout.revision)
                .values(state=rollout.state.value, revision=revision, document=_written(rollout))
            )
            return revision if done.rowcount == 1 else 0

        revision = self._database.write(run)
        if not revision:
            raise RevisionConflict(f"rollouts/{rollout.id} has changed since revision {rollout.revision}")
        return replace(rollout, revision=revision)


def _next_revision(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(text("LOCK TABLE rollouts IN SHARE ROW EXCLUSIVE MODE"))
    newest = connection.execute(select(func.max(rollouts.c.revision))).scalar()
    return (newest or 0) + 1


def _first(connection: Connection, condition: Any) -> Rollout | None:
    row = connection.execute(select(rollouts).where(condition)).one_or_none()
    return None if row is None else _read(row)


def _written(rollout: Rollout) -> str:
    document = {key: value for key, value in to_document(rollout).items() if key not in _KEPT_APART}
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _read(row: Row[Any]) -> Rollout:
    apart = {"id": row.id, "generation": row.generation, "revision": row.revision, "created": row.created}
    return from_document(Rollout, {**json.loads(row.document), **apart})
