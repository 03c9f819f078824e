"""Keeps lessons: each once, whatever is sent again or killed in between; and looks after the files.

A file is written aside first, then one transaction says that its lessons are there, then it is moved to its place.
Killed before the transaction, the file is nobody's and is deleted later; killed after it, the move is made up for. So
an engine that reads the folder sees each lesson, and none that was not taken; for the moment between a file and those
that were put together in it, twice. What is read by rows (`each`) has each once at any time.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from upriver.errors import DiskTrouble, InvalidInput, NotFound, QueueFull
from upriver.v1 import train_pb2 as pb
from upriver_control.lessons import rows
from upriver_control.lessons.files import LessonFiles
from upriver_control.store.lessons import LessonTable, Part, labels_of

if TYPE_CHECKING:
    import pyarrow as pa

_LOG: Final = logging.getLogger(__name__)
ORPHANED_S: Final = 3600.0
SMALL_BYTES: Final = 16 << 20
MERGED_BYTES: Final = 4 * SMALL_BYTES
MOST_SMALL: Final = 8
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """All files together take at most `max_bytes`, and are kept for `keep_days` after their lessons came."""

    max_bytes: int = 100 << 30
    keep_days: float = 365.0


@dataclass(slots=True)
class Submission:
    """What became of one: ids that are safe here, and those that will never be taken with the reason."""

    kept: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Keeper:
    """The lessons of one control plane. Methods block."""

    def __init__(self, table: LessonTable, files: LessonFiles, bounds: Bounds, clock: Callable[[], float]) -> None:
        """`clock` gives Unix times."""
        self.table = table
        self.files = files
        self._bounds = bounds
        self._clock = clock

    def submit(self, lessons: Iterable[pb.HandedLesson], forgotten: Iterable[str]) -> Submission:
        """Keeps lessons and forgets others; what is told as kept is on the disk.

        Raises QueueFull when there is no room, DiskTrouble and Unreachable; then some may have been kept.
        """
        done = Submission()
        told = set(forgotten)
        gone = set(filter(rows.is_id, told))
        done.refused |= {one[: rows.MAX_ID]: f"expected 1 to {rows.MAX_ID} printable characters" for one in told - gone}
        self.table.forget(gone, self._clock())
        done.kept += sorted(gone)
        groups: dict[tuple[str, str], dict[str, pb.HandedLesson]] = defaultdict(dict)
        for lesson in lessons:
            try:
                rows.check(lesson)
            except InvalidInput as error:
                done.refused[lesson.id[: rows.MAX_ID]] = str(error)
            else:
                groups[lesson.model, lesson.region].setdefault(lesson.id, lesson)
        for (model, region), group in groups.items():
            self._keep(model, region, group)
            done.kept += group
        return done

    def _keep(self, model: str, region: str, group: dict[str, pb.HandedLesson]) -> None:
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        for _ in range(_TRIES):
            known = self.table.known(group)
            new = [lesson for id_, lesson in group.items() if id_ not in known]
            if not new:
                return
            if self.table.size_bytes() >= self._bounds.max_bytes:
                raise QueueFull(f"lessons take {self._bounds.max_bytes} bytes (training.max_gib); no more are taken")
            made = tables.table_of(new, self._clock())
            if self._add(model, region, _date(self._clock()), made) is not None:
                return
        raise QueueFull("others hand up the same lessons at this moment; try again")

    def _add(self, model: str, region: str, date: str, made: "pa.Table") -> Part | None:
        part = self._staged(model, region, date, made)
        added = self.table.add(part, made["id"].to_pylist())
        if added is None:
            self.files.drop(part.name)
        else:
            self._place(added)
        return added

    def _staged(self, model: str, region: str, date: str, made: "pa.Table") -> Part:
        name = uuid.uuid4().hex
        size = self.files.stage(name, made)
        return Part(name, model, region, date, made.num_rows, size, labels_of(made["label"].to_pylist()))

    def _place(self, part: Part) -> None:
        self.files.place(part)
        self.table.placed(part)

    def read(self, parts: Sequence[Part], columns: Sequence[str] | None = None) -> "list[tuple[Part, pa.Table]]":
        """The lessons of some files that are there now, with some columns (`id` among them) or all; raises NotFound
        when one of them has gone."""
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        ids = self.table.ids(parts)
        if len(ids) < len(parts):
            raise NotFound("files of lessons were put together with others, or are too old by now")
        return [
            (part, tables.only(tables.whole(self.files.read(part, columns)), ids[part.number]))
            for part in parts
            if ids[part.number]
        ]

    def each(self, model: str, region: str, since: str) -> "Iterator[tuple[Part, pa.Table]]":
        """All lessons of a model, of one region or all, that came on a date or later, a file at a time.

        Raises NotFound when a file was put together with others meanwhile: begin anew then.
        """
        for part in self.table.parts(model, region, since):
            yield from self.read([part])

    def lesson(self, id_: str) -> pb.HandedLesson | None:
        """One lesson's inputs, its label and who gave that; None when it is not here."""
        part = self.table.holder(id_)
        if part is None:
            return None
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        return tables.lesson_of(self.files.read(part), id_)

    def tidy(self) -> None:
        """Makes up for what was interrupted, deletes what is too old, and puts small files together."""
        now = self._clock()
        keep_s = 86_400.0 * self._bounds.keep_days
        self.table.expire(_date(now - keep_s), now - 2 * keep_s)
        for part in self.table.parts():
            if part.staged:
                self._made_up(part)
        for parts in _to_merge(self.table.parts()):
            try:
                self._merge(parts)
            except DiskTrouble as error:  # one file must not keep the others from being looked after
                _LOG.error("%s", error)
        for part in self.table.gone():
            self.files.delete(part)
            self.table.deleted(part)
        for name in list(self.files.staged(ORPHANED_S)):
            if not self.table.has(name):
                self.files.drop(name)

    def _made_up(self, part: Part) -> None:
        try:
            self._place(part)
        except NotFound:  # another process was faster, or somebody deleted it
            _LOG.warning("the file of lessons %s is not where it was written", part.name)
        except DiskTrouble as error:  # one file must not keep the others from being looked after
            _LOG.error("%s", error)

    def _merge(self, parts: Sequence[Part]) -> None:
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        try:
            found = [table for _, table in self.read(parts)]
        except NotFound:  # another process was faster
            return
        first = parts[0]
        new = self._staged(first.model, first.region, first.date, tables.together(found)) if found else None
        ids = [one for table in found for one in table["id"].to_pylist()]
        swapped = self.table.swap(parts, new, ids)
        if swapped is not None:
            self._place(swapped)
        elif new is not None:
            self.files.drop(new.name)


def _to_merge(parts: Sequence[Part]) -> list[list[Part]]:
    """Files to be put together, by model, region and date; one that has forgotten lessons may be alone."""
    places: dict[tuple[str, str, str], list[Part]] = defaultdict(list)
    for part in parts:
        places[part.model, part.region, part.date].append(part)
    found = []
    for there in places.values():
        small = [part for part in there if part.size_bytes < SMALL_BYTES]
        groups = [[part] for part in there]
        if len(small) >= MOST_SMALL:
            groups = [*_grouped(small), *([part] for part in there if part.size_bytes >= SMALL_BYTES)]
        found += [group for group in groups if len(group) > 1 or group[0].dirty]
    return found


def _grouped(parts: Sequence[Part]) -> list[list[Part]]:
    """Files in groups that may be in memory at once."""
    groups: list[list[Part]] = [[]]
    for part in parts:
        if sum(one.size_bytes for one in groups[-1]) + part.size_bytes > MERGED_BYTES:
            groups.append([])
        groups[-1].append(part)
    return groups


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
