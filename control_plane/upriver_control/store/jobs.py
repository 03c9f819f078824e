"""Jobs of one kind in the database: made once for a request, worked on by one process at a time. Methods block.

A process holds a job by a lease that it prolongs; where that has run out, because the process ended, another one begins
the job anew.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Row, Table, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver.errors import NotFound
from upriver_control.documents import from_document, to_document
from upriver_control.jobs import ENDED, JobState, Work
from upriver_control.store.database import Database

MAX_PAGE = 1000
_KEPT_APART = {"id", "model", "state", "revision", "owner", "until", "created"}
W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Page(Generic[W]):
    """Some jobs, newest first; `before` is the number that the next page starts below, 0 on the last."""

    jobs: tuple[W, ...]
    before: int


class WorkTable(Generic[W]):
    """A table of jobs of one kind; raises Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database, table: Table, kind: type[W], called: str) -> None:
        """`table` has the columns of `calibrations`; `called` is what one of them is called."""
        self._database = database
        self._table = table
        self._kind = kind
        self._called = called

    def create(self, job: W, request_id: str) -> tuple[W, bool]:
        """Keeps a new job, or gives the one that this request has made before; says whether it is new."""

        def run(connection: Connection) -> tuple[W, bool]:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            new = dialect.insert(self._table).values(**_values(job, 1), id=job.id, request_id=request_id)
            new = new.on_conflict_do_nothing(index_elements=["request_id"]).returning(self._table.c.id)
            if connection.execute(new).one_or_none() is not None:
                return replace(job, revision=1), True
            known = select(self._table).where(self._table.c.request_id == request_id)
            return self._read(connection.execute(known).one()), False

        return self._database.write(run)

    def get(self, model: str, job: str) -> W:
        """A job by its id; raises NotFound."""
        here = (self._table.c.id == job) & (self._table.c.model == model)
        found = self._database.read(lambda connection: self._first(connection, here))
        if found is None:
            raise NotFound(f"there is no {self._called} models/{model}/{self._table.name}/{job}")
        return found

    def of_request(self, request_id: str) -> W | None:
        """The job that a request has made."""
        return self._database.read(lambda connection: self._first(connection, self._table.c.request_id == request_id))

    def page(self, model: str = "", before: int = 0, size: int = 100) -> Page[W]:
        """Jobs of a model (empty: all), newest first, below a number (0: from the newest)."""
        size = max(1, min(size, MAX_PAGE))
        wanted = select(self._table).order_by(self._table.c.number.desc()).limit(size + 1)
        if model:
            wanted = wanted.where(self._table.c.model == model)
        if before:
            wanted = wanted.where(self._table.c.number < before)
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return Page(tuple(map(self._read, found[:size])), found[size - 1].number if len(found) > size else 0)

    def open_jobs(self) -> Sequence[W]:
        """All that have not ended, oldest first."""
        wanted = select(self._table).where(self._open()).order_by(self._table.c.number)
        return [self._read(row) for row in self._database.read(lambda connection: connection.execute(wanted).all())]

    def newest_of(self, model: str, wanted: Callable[[W], bool]) -> W | None:
        """The newest job of a model, of the last thousand, that is as wanted."""
        rows = select(self._table).where(self._table.c.model == model).order_by(self._table.c.number.desc())
        found = self._database.read(lambda connection: connection.execute(rows.limit(MAX_PAGE)).all())
        return next(filter(wanted, map(self._read, found)), None)

    def claim(self, owner: str, now: float, until: float) -> W | None:
        """Takes the oldest job that nobody works on, until a time; None when there is none."""
        tried: list[W] = []  # what an earlier run has taken, if it was committed

        def run(connection: Connection) -> W | None:
            if tried and (mine := self._write(connection, tried.pop())) is not None:
                return mine
            free = or_(self._table.c.state == JobState.PENDING.value, self._table.c.until <= now)
            wanted = select(self._table).where(self._open() & free).order_by(self._table.c.number).limit(1)
            row = connection.execute(wanted.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            job = self._read(row)
            taken = replace(
                job, state=JobState.RUNNING, owner=owner, until=until, attempt=job.attempt + 1, updated=now,
                doing="beginning", progress=0.0,
            )  # fmt: skip
            tried.append(taken)
            return self._write(connection, taken)

        return self._database.write(run)

    def save_with(self, job: W, besides: Callable[[Connection], None] | None = None) -> W | None:
        """Keeps a changed job, with what else belongs to the change, and gives it with its new revision.

        None, and nothing is kept, when it has changed since it was read.
        """

        def run(connection: Connection) -> W | None:
            kept = self._write(connection, job)
            if kept is not None and besides is not None:
                besides(connection)
            return kept

        return self._database.write(run)

    def count_open(self, model: str) -> int:
        """How many of a model have not ended."""
        wanted = select(func.count()).where(self._open() & (self._table.c.model == model))
        return self._database.read(lambda connection: int(connection.scalar(wanted) or 0))

    def _open(self) -> Any:
        return self._table.c.state.not_in([state.value for state in ENDED])

    def _write(self, connection: Connection, job: W) -> W | None:
        """Writes a job over the revision that it was read at; None when that is not there any more.

        A row that is this very change was committed by an earlier run of it.
        """
        here, values = self._table.c.id == job.id, _values(job, job.revision + 1)
        done = connection.execute(
            update(self._table).where(here, self._table.c.revision == job.revision).values(**values)
        )
        if done.rowcount != 1:
            there = connection.execute(select(self._table).where(here)).mappings().one_or_none()
            if there is None or any(there[name] != value for name, value in values.items()):
                return None
        return replace(job, revision=job.revision + 1)

    def _first(self, connection: Connection, condition: Any) -> W | None:
        row = connection.execute(select(self._table).where(condition)).one_or_none()
        return None if row is None else self._read(row)

    def _read(self, row: Row[Any]) -> W:
        apart = {name: getattr(row, name) for name in _KEPT_APART}
        return from_document(self._kind, {**json.loads(row.document), **apart})


def _values(job: Work, revision: int) -> dict[str, Any]:
    return {
        "model": job.model,
        "state": job.state.value,
        "revision": revision,
        "owner": job.owner,
        "until": job.until,
        "document": _written(job),
        "created": job.created,
    }


def _written(job: Work) -> str:
    document = {key: value for key, value in to_document(job).items() if key not in _KEPT_APART}
    return json.dumps(_finite(document), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no numbers for thresholds that are infinite; a float reads their names again."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
