"""Tables as plain HTML: screen readers, search in the page and copying work as everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from upriver_control.console.drawing.svg import Child, Markup, Value, tag


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, whether it holds numbers (they stand right), and the width of page that it needs.

    `narrow=False` columns are left out on a phone.
    """

    heading: str
    numbers: bool = False
    narrow: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its cells, in the columns' order; its first cell is what it is called.

    `key` is what it is recognized by when the table is drawn anew: the focus stays with it. `href` is where Enter on it
    leads. `tone` is `good`, `warn`, `bad` or nothing.
    """

    cells: Sequence[Child]
    key: str = ""
    href: str = ""
    tone: str = ""


def table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Sequence[Row | Sequence[Child]],
    *,
    hidden_caption: bool = False,
) -> Markup:
    """A table with its caption; rows may be plain sequences of cells, columns plain headings."""
    known = [column if isinstance(column, Column) else Column(column) for column in columns]
    head = tag("thead", None, tag("tr", None, *(_heading(column) for column in known)))
    body = tag("tbody", None, *(_row(row if isinstance(row, Row) else Row(row), known) for row in rows))
    captioned = tag("caption", {"class": "unseen" if hidden_caption else None}, caption)
    linked = any(isinstance(row, Row) and row.href for row in rows)
    # Where nothing in it takes the focus, it does itself: else nobody could scroll it by keyboard.
    scroll: dict[str, Value] = {} if linked else {"tabindex": 0, "role": "group", "aria-label": caption}
    return tag("div", {"class": "scroll", **scroll}, tag("table", None, captioned, head, body))


def _heading(column: Column) -> Markup:
    return tag("th", {"scope": "col", "class": _class(column)}, column.heading)


def _row(row: Row, columns: Sequence[Column]) -> Markup:
    attributes: dict[str, Value] = {"class": row.tone or None}
    if row.key:
        attributes |= {"data-key": row.key}
    cells = []
    for index, (cell, column) in enumerate(zip(row.cells, columns, strict=True)):
        if index == 0:
            shown = tag("a", {"href": row.href, "data-item": True}, cell) if row.href else cell
            cells.append(tag("th", {"scope": "row", "class": _class(column)}, shown))
        else:
            cells.append(tag("td", {"class": _class(column)}, cell))
    return tag("tr", attributes, *cells)


def _class(column: Column) -> str | None:
    names = [name for name, there in (("number", column.numbers), ("wide-only", not column.narrow)) if there]
    return " ".join(names) or None
