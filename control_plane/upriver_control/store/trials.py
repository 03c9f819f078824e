"""Trials of heads in regions, and how many there ever were. Methods block; they raise as Database does."""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.documents import from_document, to_document
from upriver_control.regional.model import Need, RegionTrial, TrialState
from upriver_control.store.database import Database
from upriver_control.store.schema import region_attempts, region_trials

MAX_KEPT: Final = 200
"""Trials that are kept of a version in a region, the newest."""


class TrialTable:
    """The tables `region_trials` and `region_attempts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, trial: RegionTrial) -> bool:
        """Keeps a trial; False when its head was tried before: the same again says nothing new.

        One that was withdrawn was not tried, and makes way; so does any that has ended for one that is to take the
        place of a head which must go, and need not be better than that.
        """

        def run(connection: Connection) -> bool:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            revision = _next(connection)  # before anything goes: it must not fall
            before = connection.scalar(select(region_trials.c.document).where(region_trials.c.digest == trial.id))
            if before is not None and _makes_way(from_document(RegionTrial, json.loads(before)), trial):
                connection.execute(delete(region_trials).where(region_trials.c.digest == trial.id))
            made = dialect.insert(region_trials).values(_written(trial) | {"revision": revision})
            added = connection.execute(made.on_conflict_do_nothing().returning(region_trials.c.digest)).first()
            here = (
                (region_trials.c.model == trial.trial.model)
                & (region_trials.c.version_digest == trial.trial.version_digest)
                & (region_trials.c.region == trial.region)
            )
            old = select(region_trials.c.digest).where(here).order_by(region_trials.c.created.desc()).offset(MAX_KEPT)
            for (digest,) in connection.execute(old.limit(MAX_KEPT)).all():
                connection.execute(delete(region_trials).where(region_trials.c.digest == digest))
            return added is not None

        return self._database.write(run)

    def save(self, trial: RegionTrial) -> None:
        """Keeps a changed trial."""

        def run(connection: Connection) -> None:
            fields = _written(trial) | {"revision": _next(connection)}
            connection.execute(update(region_trials).where(region_trials.c.digest == trial.id).values(fields))

        self._database.write(run)

    def open(self) -> Sequence[RegionTrial]:
        """The trials that are open, oldest first."""
        wanted = select(region_trials.c.document).where(region_trials.c.open.is_(True))
        return self._read(wanted.order_by(region_trials.c.created, region_trials.c.digest))

    def all(self, model: str = "", region: str | None = None) -> Sequence[RegionTrial]:
        """All trials, newest first, of a model and in a region where they are given."""
        wanted = select(region_trials.c.document)
        if model:
            wanted = wanted.where(region_trials.c.model == model)
        if region is not None:
            wanted = wanted.where(region_trials.c.region == region)
        return self._read(wanted.order_by(region_trials.c.created.desc(), region_trials.c.digest))

    def revision(self) -> tuple[int, int]:
        """Differs with every change: a change has the next higher number, and of two that had the same both count."""
        wanted = select(func.coalesce(func.max(region_trials.c.revision), 0), func.sum(region_trials.c.revision))
        highest, total = self._database.read(lambda connection: connection.execute(wanted).one())
        return int(highest), int(total or 0)

    def attempts(self, model: str, version_digest: str, region: str) -> int:
        """How many heads of a version were looked at in a region, ever."""
        wanted = select(region_attempts.c.attempts).where(_at(model, version_digest, region))
        return self._database.read(lambda connection: connection.scalar(wanted)) or 0

    def attempt(self, model: str, version_digest: str, region: str) -> int:
        """Counts a look before it is taken; gives its number, from 1 on."""

        def run(connection: Connection) -> int:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            fields = {"model": model, "version_digest": version_digest, "region": region, "attempts": 1}
            made = dialect.insert(region_attempts).values(fields)
            again = made.on_conflict_do_update(
                index_elements=["model", "version_digest", "region"],
                set_={"attempts": region_attempts.c.attempts + 1},
            )
            return int(connection.execute(again.returning(region_attempts.c.attempts)).scalar_one())

        return self._database.write(run)

    def _read(self, wanted: Any) -> Sequence[RegionTrial]:
        found = self._database.read(lambda connection: connection.scalars(wanted).all())
        return [from_document(RegionTrial, json.loads(document)) for document in found]


def _next(connection: Connection) -> int:
    return 1 + (connection.scalar(select(func.max(region_trials.c.revision))) or 0)


def _makes_way(before: RegionTrial, trial: RegionTrial) -> bool:
    if before.state is TrialState.OPEN:
        return False
    return before.state is TrialState.WITHDRAWN or (trial.need is Need.NOTHING and before.scope is trial.scope)


def _at(model: str, version_digest: str, region: str) -> Any:
    table = region_attempts.c
    return (table.model == model) & (table.version_digest == version_digest) & (table.region == region)


def _written(trial: RegionTrial) -> dict[str, Any]:
    return {
        "digest": trial.id,
        "model": trial.trial.model,
        "version_digest": trial.trial.version_digest,
        "region": trial.region,
        "open": trial.state is TrialState.OPEN,
        "created": trial.created,
        "document": json.dumps(to_document(trial), separators=(",", ":"), allow_nan=False),
    }
