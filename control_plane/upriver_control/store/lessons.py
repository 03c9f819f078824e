"""Which lessons are kept, and in which files. Methods block, and raise Unreachable and DiskTrouble as Database does.

A lesson is here when its row is, whatever files hold. The row comes with its file's row in one transaction, and only
after the file is whole; so nothing that is interrupted leaves a lesson twice, or one without its file.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, not_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.store.database import Database
from upriver_control.store.schema import forgotten_lessons, lesson_parts, lessons

T = TypeVar("T")
_LOCK: Final = 0x7570726C  # an advisory lock of our own: "uprl"
_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Part:
    """A file of lessons of one model and region that came on one date, `YYYY-MM-DD`. `name` is a part of its path."""

    name: str
    model: str
    region: str
    date: str
    rows: int
    size_bytes: int
    labels: Mapping[str, int]
    staged: bool = True
    dirty: bool = False
    number: int = 0


class LessonTable:
    """The tables `lessons`, `lesson_parts` and `forgotten_lessons`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, ids: Collection[str]) -> set[str]:
        """Those that are here, or were forgotten."""
        return self._database.read(lambda connection: _known(connection, ids))

    def holder(self, id_: str) -> Part | None:
        """The file that a lesson is in; None when it is not here."""
        wanted = select(lesson_parts).join(lessons, lessons.c.part == lesson_parts.c.number).where(lessons.c.id == id_)
        row = self._database.read(lambda connection: connection.execute(wanted).one_or_none())
        return None if row is None else _read(row)

    def add(self, part: Part, ids: Sequence[str]) -> Part | None:
        """Keeps a file with its lessons; None, and nothing is kept, when one of them is known by now."""

        def change(connection: Connection) -> Part | None:
            made = _made_before(connection, part)
            if made is not None or _known(connection, ids):
                return made
            return _insert(connection, part, ids)

        return self._change(change)

    def forget(self, ids: Collection[str], now: float) -> int:
        """Forgets lessons, those too that have not come yet; gives how many of them were here."""

        def change(connection: Connection) -> int:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            rows = [{"id": one, "forgotten": now} for one in sorted(ids)]
            connection.execute(dialect.insert(forgotten_lessons).on_conflict_do_nothing(index_elements=["id"]), rows)
            here = lessons.c.id.in_(ids)
            touched = set(connection.scalars(select(lessons.c.part).where(here)))
            gone = connection.execute(delete(lessons).where(here)).rowcount
            connection.execute(update(lesson_parts).where(lesson_parts.c.number.in_(touched)).values(dirty=True))
            return gone

        return self._change(change) if ids else 0

    def swap(self, old: Sequence[Part], new: Part | None, ids: Sequence[str]) -> Part | None:
        """Puts a file in the place of others, whose lessons it has; None for one that would be empty.

        Nothing is changed, and None given, when the others or their lessons are not what they were.
        """

        def change(connection: Connection) -> Part | None:
            made = None if new is None else _made_before(connection, new)
            if made is not None:
                return made
            numbers = [part.number for part in old]
            live = connection.scalars(_live(numbers)).all()
            if len(live) != len(old) or set(_ids_of(connection, numbers)) != set(ids):
                return None
            connection.execute(delete(lessons).where(lessons.c.part.in_(numbers)))
            connection.execute(update(lesson_parts).where(lesson_parts.c.number.in_(numbers)).values(gone=True))
            return None if new is None else _insert(connection, new, ids)

        return self._change(change)

    def placed(self, part: Part) -> None:
        """A file is in its place."""
        here = lesson_parts.c.number == part.number
        self._change(lambda connection: connection.execute(update(lesson_parts).where(here).values(staged=False)))

    def deleted(self, part: Part) -> None:
        """A file that has gone is deleted."""
        here = and_(lesson_parts.c.number == part.number, lesson_parts.c.gone)
        self._change(lambda connection: connection.execute(delete(lesson_parts).where(here)))

    def parts(self, model: str = "", region: str = "", since: str = "") -> list[Part]:
        """Files by model, region and date, each empty for all; those of `since`, a date, and later."""
        wanted = select(lesson_parts).where(not_(lesson_parts.c.gone)).order_by(lesson_parts.c.number)
        if model:
            wanted = wanted.where(lesson_parts.c.model == model)
        if region:
            wanted = wanted.where(lesson_parts.c.region == region)
        if since:
            wanted = wanted.where(lesson_parts.c.date >= since)
        return [_read(row) for row in self._database.read(lambda connection: connection.execute(wanted).all())]

    def gone(self) -> list[Part]:
        """Files that are to be deleted."""
        wanted = select(lesson_parts).where(lesson_parts.c.gone)
        return [_read(row) for row in self._database.read(lambda connection: connection.execute(wanted).all())]

    def has(self, name: str) -> bool:
        """Whether a file of this name is known."""
        wanted = select(lesson_parts.c.number).where(lesson_parts.c.name == name)
        return self._database.read(lambda connection: connection.scalar(wanted)) is not None

    def ids(self, parts: Sequence[Part]) -> dict[int, set[str]]:
        """The lessons that are in each of some files, by the file's number; files that have gone are left out."""
        numbers = [part.number for part in parts]
        wanted = select(lessons.c.part, lessons.c.id).where(lessons.c.part.in_(numbers))

        def look(connection: Connection) -> dict[int, set[str]]:
            rows = connection.execute(wanted).all()
            # Behind the lessons: what is there now was there then.
            found: dict[int, set[str]] = {number: set() for number in connection.scalars(_live(numbers))}
            for number, one in rows:
                if number in found:
                    found[number].add(one)
            return found

        return self._database.read(look)

    def counted(self, model: str) -> list[tuple[Part, int]]:
        """A model's files, each with how many lessons are in it."""
        counts = select(lessons.c.part, func.count().label("many")).group_by(lessons.c.part).subquery()
        wanted = (
            select(lesson_parts, func.coalesce(counts.c.many, 0).label("many"))
            .outerjoin(counts, counts.c.part == lesson_parts.c.number)
            .where(lesson_parts.c.model == model, not_(lesson_parts.c.gone))
            .order_by(lesson_parts.c.number)
        )
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return [(_read(row), row.many) for row in rows]

    def count(self, model: str, since: str = "") -> int:
        """How many lessons of a model are here, of a date and later."""
        here = and_(lesson_parts.c.model == model, lesson_parts.c.date >= since)
        wanted = select(func.count()).select_from(lessons.join(lesson_parts)).where(here)
        return self._database.read(lambda connection: int(connection.scalar(wanted) or 0))

    def models(self) -> list[str]:
        """The models that there are lessons of."""
        wanted = select(lesson_parts.c.model).where(not_(lesson_parts.c.gone)).distinct().order_by(lesson_parts.c.model)
        return self._database.read(lambda connection: list(connection.scalars(wanted)))

    def size_bytes(self) -> int:
        """What all files take."""
        wanted = select(func.coalesce(func.sum(lesson_parts.c.size_bytes), 0))
        return self._database.read(lambda connection: int(connection.scalar(wanted) or 0))

    def expire(self, before: str, forgotten_before: float) -> int:
        """Lets go of files of earlier dates with their lessons, and of what was forgotten long ago; gives the files."""

        def change(connection: Connection) -> int:
            connection.execute(delete(forgotten_lessons).where(forgotten_lessons.c.forgotten < forgotten_before))
            old = and_(lesson_parts.c.date < before, not_(lesson_parts.c.gone))
            numbers = list(connection.scalars(select(lesson_parts.c.number).where(old)))
            connection.execute(delete(lessons).where(lessons.c.part.in_(numbers)))
            connection.execute(update(lesson_parts).where(lesson_parts.c.number.in_(numbers)).values(gone=True))
            return len(numbers)

        return self._change(change)

    def _change(self, change: Callable[[Connection], T]) -> T:
        """Runs a change with no other change of lessons beside it."""

        def alone(connection: Connection) -> T:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            return change(connection)

        return self._database.write(alone)


def labels_of(labels: Iterable[str]) -> dict[str, int]:
    """How often each label is there."""
    return dict(sorted(Counter(labels).items()))


def _known(connection: Connection, ids: Collection[str]) -> set[str]:
    columns = (lessons.c.id, forgotten_lessons.c.id)
    return {one for column in columns for one in connection.scalars(select(column).where(column.in_(ids)))}


def _made_before(connection: Connection, part: Part) -> Part | None:
    """The row of a file when this very call was committed before it was run again; names are each made for one call."""
    row = connection.execute(select(lesson_parts).where(lesson_parts.c.name == part.name)).one_or_none()
    return None if row is None else _read(row)


def _live(numbers: Sequence[int]) -> Select[Any]:
    """Those of some files that are still there."""
    return select(lesson_parts.c.number).where(lesson_parts.c.number.in_(numbers), not_(lesson_parts.c.gone))


def _ids_of(connection: Connection, numbers: Sequence[int]) -> list[str]:
    return list(connection.scalars(select(lessons.c.id).where(lessons.c.part.in_(numbers))))


def _insert(connection: Connection, part: Part, ids: Sequence[str]) -> Part:
    made = connection.execute(
        insert(lesson_parts).values(
            name=part.name,
            model=part.model,
            region=part.region,
            date=part.date,
            rows=part.rows,
            size_bytes=part.size_bytes,
            labels=json.dumps(dict(part.labels)),
            staged=True,
            dirty=False,
            gone=False,
        )
    )
    number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
    for at in range(0, len(ids), _AT_ONCE):
        connection.execute(insert(lessons), [{"id": one, "part": number} for one in ids[at : at + _AT_ONCE]])
    return replace(part, number=number)


def _read(row: Row[Any]) -> Part:
    return Part(
        name=row.name,
        model=row.model,
        region=row.region,
        date=row.date,
        rows=row.rows,
        size_bytes=row.size_bytes,
        labels=json.loads(row.labels),
        staged=row.staged,
        dirty=row.dirty,
        number=row.number,
    )
