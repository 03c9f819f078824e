"""What was asked: the input as a picture where it is one, else its numbers; or why it can't be shown."""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from upriver.v1 import question_pb2 as pb
from upriver.v1 import train_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import table

SHOWN: Final = 12
"""Values of an input that are shown."""
_FORMATS: Final[Mapping[str, str]] = {
    "FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "BOOL": "?", "FP16": "e",
}  # fmt: skip
_SOURCES: Final[Mapping[str, str]] = {
    "ticket": "kept by the agent, under its ticket",
    "lesson": "kept by the agent, as a lesson",
    "lessons": "handed up to the control plane, as a lesson",
}


def draw(told: pb.GetQuestionInputResponse, row: int, rows: int, address: str) -> Markup:
    """The input of one row, and links to the other rows' at `address`."""
    if told.unavailable:
        return join(
            tag("p", None, "The input can't be shown."),
            tag("p", {"class": "quiet"}, words.sentence(told.unavailable)),
            _others(row, rows, address),
        )
    return join(
        picture(told.png, f"The input of row {row}") if told.png else None,
        table(
            "The model's inputs",
            ("Name", "Type", "Shape", "Values"),
            [[one.name, one.datatype, shape(one), values(one)] for one in told.inputs],
            hidden_caption=True,
        )
        if told.inputs
        else None,
        tag("p", {"class": "quiet"}, _SOURCES.get(told.source, told.source)),
        _others(row, rows, address),
    )


def picture(png: bytes, called: str) -> Markup:
    """A PNG, drawn large with its pixels sharp."""
    data = base64.b64encode(png).decode()
    return tag("img", {"src": f"data:image/png;base64,{data}", "alt": called, "class": "input-picture"})


def shape(one: train_pb2.HandedInput) -> str:
    """A row's shape: `28, 28, 1`, or `one value`."""
    return ", ".join(str(length) for length in one.shape) or "one value"


def values(one: train_pb2.HandedInput) -> str:
    """The first values, or the text; of what is neither, the size."""
    if one.datatype == "BYTES":
        text = one.data[:200].decode("utf-8", "replace")
        return text if text.isprintable() else units.size(len(one.data))
    code = _FORMATS.get(one.datatype)
    if code is None:
        return units.size(len(one.data))
    width = struct.calcsize(f"<{code}")
    count = len(one.data) // width
    read: Sequence[float] = struct.unpack_from(f"<{min(count, SHOWN)}{code}", one.data)
    told = ", ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in read)
    return f"{told}, … ({units.count(count)})" if count > SHOWN else told


def _others(row: int, rows: int, address: str) -> Markup | None:
    if rows < 2:
        return None
    links = [
        tag("a", {"href": f"{address}?row={other}"}, word)
        for other, word in ((row - 1, "Row before"), (row + 1, "Next row"))
        if 0 <= other < rows
    ]
    return tag("nav", {"class": "pager", "aria-label": "Rows"}, f"Row {row}, of {rows} ", *links)
