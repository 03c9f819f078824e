"""Lessons as tables of Arrow and files of Parquet: the columns, and what is done with rows.

The only module of the serving process that imports pyarrow. It takes 44 MB, so it is imported when there are lessons.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upriver.v1 import train_pb2 as pb

_TIME: Final = pa.timestamp("us", tz="UTC")
_INPUT: Final = pa.struct(
    [("name", pa.string()), ("datatype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", pa.binary())]
)
SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("agent", pa.string()),
        ("tier", pa.string()),
        ("version_digest", pa.string()),
        ("learnt", _TIME),
        ("received", _TIME),
        ("inputs", pa.list_(_INPUT)),
        ("label", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("confidence", pa.float64()),
        ("own_label", pa.string()),
        ("own_confidence", pa.float64()),
        ("teacher_agent", pa.string()),
        ("teacher_tier", pa.string()),
        ("teacher_version_digest", pa.string()),
        ("trace", pa.string()),
        ("span", pa.string()),
    ]
)
"""A file's columns. Model, region and date are in its path, as `name=value`."""
DAMAGED: Final = (pa.ArrowException, OSError)
"""What `decoded` raises for bytes that are no file of Parquet's."""
_ROW_GROUP: Final = 1024


def table_of(lessons: Sequence[pb.HandedLesson], received: float) -> pa.Table:
    """The rows of lessons that were checked; `received` is a Unix time."""
    came = datetime.fromtimestamp(received, UTC)
    return pa.Table.from_pylist([_row(lesson, came) for lesson in lessons], schema=SCHEMA)


def _row(lesson: pb.HandedLesson, received: datetime) -> Mapping[str, Any]:
    plain = {name: getattr(lesson, name) for name in SCHEMA.names if name not in ("learnt", "received", "inputs")}
    inputs = [
        {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": one.data}
        for one in lesson.inputs
    ]
    learnt = min(max(lesson.learnt_time.seconds + lesson.learnt_time.nanos / 1e9, 0.0), received.timestamp() + 86_400)
    return {
        **plain,
        "labels": list(lesson.labels),
        "scores": list(lesson.scores),
        "learnt": datetime.fromtimestamp(learnt, UTC),
        "received": received,
        "inputs": inputs,
    }


def encoded(table: pa.Table) -> bytes:
    """A table as a file of Parquet's."""
    made = io.BytesIO()
    pq.write_table(table, made, compression="zstd", row_group_size=_ROW_GROUP)
    return made.getvalue()


def decoded(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a file, or some columns of it, as far as it has them; raises one of `DAMAGED`."""
    if columns is not None:
        found = set(pq.read_schema(io.BytesIO(data)).names)
        columns = [name for name in columns if name in found]
    return pq.read_table(io.BytesIO(data), columns=columns)


def whole(table: pa.Table) -> pa.Table:
    """A file's rows with all columns: `span` is empty in files of before it was kept."""
    if "span" not in table.column_names:
        table = table.append_column(SCHEMA.field("span"), pa.array([""] * table.num_rows, pa.string()))
    return table


def only(table: pa.Table, ids: Iterable[str]) -> pa.Table:
    """The rows of these lessons."""
    return table.filter(pc.is_in(table["id"], value_set=pa.array(sorted(ids), pa.string())))


def lesson_of(table: pa.Table, id_: str) -> pb.HandedLesson | None:
    """One lesson's inputs, its label and who gave that; None when the table does not have it."""
    found = only(table.select(["id", "inputs", "label", "teacher_agent"]), [id_]).to_pylist()
    if not found:
        return None
    inputs = [pb.HandedInput(**one) for one in found[0].pop("inputs")]
    return pb.HandedLesson(inputs=inputs, **found[0])


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all."""
    return pa.concat_tables(tables)


def of_region(table: pa.Table, region: str) -> pa.Table:
    """The table with a column that has the region in each row."""
    return table.append_column("region", pa.array([region] * table.num_rows, pa.string()))


def write(table: pa.Table, path: Path) -> None:
    """Writes a file that is read soon and then gone."""
    pq.write_table(table, path)
