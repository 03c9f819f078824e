"""Calibrations in the database: made once for a request, worked on by one process at a time. Methods block.

A process holds a calibration by a lease that it prolongs; where that has run out, because the process ended, another
one begins the calibration anew.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from upriver.errors import NotFound
from upriver_control.documents import from_document, to_document
from upriver_control.jobs import ENDED, Job, JobState
from upriver_control.store.database import Database
from upriver_control.store.policies import StoredPolicy, add_policy
from upriver_control.store.schema import calibrations

MAX_PAGE = 1000
_KEPT_APART = {"id", "model", "state", "revision", "owner", "until", "created"}


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some calibrations, newest first; `before` is the number that the next page starts below, 0 on the last."""

    jobs: tuple[Job, ...]
    before: int


class JobTable:
    """The table `calibrations`; raises Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, job: Job, request_id: str) -> tuple[Job, bool]:
        """Keeps a new calibration, or gives the one that this request has made before; says whether it is new."""

        def run(connection: Connection) -> tuple[Job, bool]:
            made = _first(connection, calibrations.c.request_id == request_id)
            if made is not None:
                return made, False
            connection.execute(insert(calibrations).values(**_values(job, 1), id=job.id, request_id=request_id))
            return replace(job, revision=1), True

        return self._database.write(run)

    def get(self, model: str, job: str) -> Job:
        """A calibration by its id; raises NotFound."""
        here = (calibrations.c.id == job) & (calibrations.c.model == model)
        found = self._database.read(lambda connection: _first(connection, here))
        if found is None:
            raise NotFound(f"there is no calibration models/{model}/calibrations/{job}")
        return found

    def of_request(self, request_id: str) -> Job | None:
        """The calibration that a request has made."""
        return self._database.read(lambda connection: _first(connection, calibrations.c.request_id == request_id))

    def page(self, model: str = "", before: int = 0, size: int = 100) -> JobPage:
        """Calibrations of a model (empty: all), newest first, below a number (0: from the newest)."""
        size = max(1, min(size, MAX_PAGE))
        wanted = select(calibrations).order_by(calibrations.c.number.desc()).limit(size + 1)
        if model:
            wanted = wanted.where(calibrations.c.model == model)
        if before:
            wanted = wanted.where(calibrations.c.number < before)
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return JobPage(tuple(map(_read, found[:size])), found[size - 1].number if len(found) > size else 0)

    def open_jobs(self) -> Sequence[Job]:
        """All that have not ended, oldest first."""
        wanted = select(calibrations).where(_open()).order_by(calibrations.c.number)
        return [_read(row) for row in self._database.read(lambda connection: connection.execute(wanted).all())]

    def newest(self, model: str, automatic: bool) -> Job | None:
        """The newest calibration of a model that was, or was not, started by itself."""
        wanted = select(calibrations).where(calibrations.c.model == model).order_by(calibrations.c.number.desc())
        found = self._database.read(lambda connection: connection.execute(wanted.limit(MAX_PAGE)).all())
        return next((job for job in map(_read, found) if job.automatic == automatic), None)

    def claim(self, owner: str, now: float, until: float) -> Job | None:
        """Takes the oldest calibration that nobody works on, until a time; None when there is none."""

        def run(connection: Connection) -> Job | None:
            free = or_(calibrations.c.state == JobState.PENDING.value, calibrations.c.until <= now)
            wanted = select(calibrations).where(_open() & free).order_by(calibrations.c.number).limit(1)
            row = connection.execute(wanted.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            job = _read(row)
            taken = replace(
                job, state=JobState.RUNNING, owner=owner, until=until, attempt=job.attempt + 1, updated=now,
                doing="beginning", progress=0.0,
            )  # fmt: skip
            return _write(connection, taken, job.revision)

        return self._database.write(run)

    def save(self, job: Job, policies: Sequence[StoredPolicy] = ()) -> Job | None:
        """Keeps a changed calibration, with its policies, and gives it with its new revision.

        None, and nothing is kept, when it has changed since it was read.
        """

        def run(connection: Connection) -> Job | None:
            kept = _write(connection, job, job.revision)
            for policy in policies if kept is not None else ():
                add_policy(connection, policy)
            return kept

        return self._database.write(run)

    def count_open(self, model: str) -> int:
        """How many of a model have not ended."""
        wanted = select(func.count()).where(_open() & (calibrations.c.model == model))
        return self._database.read(lambda connection: int(connection.scalar(wanted) or 0))


def _open() -> Any:
    return calibrations.c.state.not_in([state.value for state in ENDED])


def _write(connection: Connection, job: Job, revision: int) -> Job | None:
    done = connection.execute(
        update(calibrations)
        .where(calibrations.c.id == job.id, calibrations.c.revision == revision)
        .values(**_values(job, revision + 1))
    )
    return replace(job, revision=revision + 1) if done.rowcount == 1 else None


def _values(job: Job, revision: int) -> dict[str, Any]:
    return {
        "model": job.model,
        "state": job.state.value,
        "revision": revision,
        "owner": job.owner,
        "until": job.until,
        "document": _written(job),
        "created": job.created,
    }


def _first(connection: Connection, condition: Any) -> Job | None:
    row = connection.execute(select(calibrations).where(condition)).one_or_none()
    return None if row is None else _read(row)


def _written(job: Job) -> str:
    document = {key: value for key, value in to_document(job).items() if key not in _KEPT_APART}
    return json.dumps(_finite(document), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no numbers for thresholds that are infinite; a float reads their names again."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _read(row: Row[Any]) -> Job:
    apart = {name: getattr(row, name) for name in _KEPT_APART}
    return from_document(Job, {**json.loads(row.document), **apart})
