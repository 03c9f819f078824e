"""Which questions somebody wants to see: a filter, the conditions that it means, and the conditions as SQL. Pure.

One meaning in three forms, so that a list read from the database and one that grows as spans come can't differ:
`conditions` says what a row must have, `matches` looks whether it has, `sql` says it to a database.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from upriver.errors import InvalidInput
from upriver_control.spans.flags import Flag
from upriver_control.spans.rows import HopRow, Kind

MAX_TEXT: Final = 200
"""Characters of anything that is looked for."""
_LATEST_NS: Final = 2**63 - 1
_TRACE = re.compile(r"[0-9a-fA-F]{32}")
_QUESTION = re.compile(r"(q-[0-9a-f]{16}-[0-9a-f]{16})(\.[0-9]+)?")
"""A question's id, or that of a lesson or ticket of one of its rows."""
_ALL_FLAGS: Final = sum(Flag)


@dataclass(frozen=True, slots=True)
class Filter:
    """Questions that fit everything that is given; what is empty or 0 does not count.

    `search` is a trace's id, a question's (`q-…`, with or without a row), or the beginning of an agent's. `agent`,
    `tier`, `region` and `version` are those of any hop, all four of the same one. `flags` must all be there. Times are
    nanoseconds since the epoch, `until_ns` not included. `every_hop`: rows of all agents, not those of touch points
    alone; then what is asked is asked of each row itself. Raises InvalidInput.
    """

    search: str = ""
    model: str = ""
    version: str = ""
    agent: str = ""
    tier: str = ""
    region: str = ""
    reason: str = ""
    answered_tier: str = ""
    flags: int = 0
    from_ns: int = 0
    until_ns: int = 0
    min_latency_ns: int = 0
    every_hop: bool = False

    def __post_init__(self) -> None:
        for name in ("search", "model", "version", "agent", "tier", "region", "reason", "answered_tier"):
            value = getattr(self, name)
            if len(value) > MAX_TEXT or "\0" in value:
                raise InvalidInput(
                    f"{name}: {value[:40]!r}…; expected at most {MAX_TEXT} characters that can be printed"
                )
        for name in ("from_ns", "until_ns", "min_latency_ns"):
            if not 0 <= getattr(self, name) <= _LATEST_NS:
                raise InvalidInput(f"{name}: {getattr(self, name)}; expected 0 to {_LATEST_NS}")
        if self.flags & ~_ALL_FLAGS:
            raise InvalidInput(f"flags: {self.flags}; expected bits of {_ALL_FLAGS}")
        if self.until_ns and self.until_ns <= self.from_ns:
            raise InvalidInput(f"until {self.until_ns}: expected a time after {self.from_ns}, from which it is asked")


class Op(StrEnum):
    """How a column is held against a value."""

    IS = "="
    FROM = ">="
    BELOW = "<"
    HAS_ALL = "has all bits of"
    BEGINS = "begins with"


Operand: TypeAlias = str | int | bytes


@dataclass(frozen=True, slots=True)
class Condition:
    """One column of a hop held against one value. `any_hop`: of some hop of the trace, the same one for all such."""

    column: str
    op: Op
    value: Operand
    any_hop: bool = False


def conditions(wanted: Filter) -> tuple[Condition, ...]:
    """What a row of a hop must have to be shown, all of it."""
    anywhere = not wanted.every_hop
    found = [] if wanted.every_hop else [Condition("hop", Op.IS, 0)]
    found += _searched(wanted.search, anywhere)
    for column in ("model", "reason", "answered_tier"):
        if value := getattr(wanted, column):
            found.append(Condition(column, Op.IS, value))
    for column in ("agent", "tier", "region", "version"):
        if value := getattr(wanted, column):
            found.append(Condition(column, Op.IS, value, anywhere))
    if wanted.flags:
        found.append(Condition("flags", Op.HAS_ALL, wanted.flags))
    if wanted.from_ns:
        found.append(Condition("at_ns", Op.FROM, wanted.from_ns))
    if wanted.until_ns:
        found.append(Condition("at_ns", Op.BELOW, wanted.until_ns))
    if wanted.min_latency_ns:
        found.append(Condition("duration_ns", Op.FROM, wanted.min_latency_ns))
    return tuple(found)


def matches(wanted: Sequence[Condition], row: HopRow, trace: Iterable[HopRow] = ()) -> bool:
    """Whether a row has what is wanted, `trace` being the trace's other rows as far as they are known."""
    if not all(_holds(condition, row) for condition in wanted if not condition.any_hop):
        return False
    anywhere = [condition for condition in wanted if condition.any_hop]
    return not anywhere or any(all(_holds(condition, hop) for condition in anywhere) for hop in (row, *trace))


def sql(
    wanted: Sequence[Condition], table: str = "hops", gathered: bool = False, by_kind: bool = True
) -> tuple[str, Mapping[str, Operand]]:
    """The conditions as what stands behind WHERE, and its parameters, which are named `:p0` and on.

    SQLite and PostgreSQL read it. `table` is how the rows of `hops` are called; without conditions it is true of all.
    Where any hop will do, the traces that have such a hop are looked for row by row, which suits who wants the newest
    few, or `gathered` first, which suits who counts them all. `by_kind` has rows looked for by their kind, which is
    quick for all that there are; without, another order is kept to, or another index is used.
    """
    values: dict[str, Operand] = {}
    told = _of_row([condition for condition in wanted if not condition.any_hop], table, values)
    if anywhere := [condition for condition in wanted if condition.any_hop]:
        mine, *_ = _of_row(anywhere, table, values)
        other = mine.replace(f"{table}.kind", "other.kind", 1)
        # Made of names and numbers of this file alone.
        if gathered:
            told.append(f"{table}.trace IN (SELECT other.trace FROM hops AS other WHERE {other})")  # noqa: S608 - see above
        else:
            found = f"SELECT 1 FROM hops AS other WHERE other.trace = {table}.trace AND +{other}"  # noqa: S608 - see above
            told.append(f"({mine} OR EXISTS ({found}))")
    if not by_kind and told and told[0].startswith(f"{table}.kind IN "):
        told[0] = f"+{told[0]}"  # a number as before, and no column that has an index
    return " AND ".join(told) or "1 = 1", values


def _of_row(wanted: Sequence[Condition], table: str, values: dict[str, Operand]) -> list[str]:
    """What a row itself must have: first that its kind is one of those that have what is wanted of a kind."""
    common = [_told(condition, "kinds", values) for condition in wanted if condition.column in Kind._fields]
    own = [_told(condition, table, values) for condition in wanted if condition.column not in Kind._fields]
    if common:
        own.insert(0, f"{table}.kind IN (SELECT kinds.id FROM kinds WHERE {' AND '.join(common)})")  # noqa: S608 - as in `sql`
    return own


def _searched(search: str, anywhere: bool) -> list[Condition]:
    if not search:
        return []
    if _TRACE.fullmatch(search):
        return [Condition("trace", Op.IS, bytes.fromhex(search))]
    if found := _QUESTION.fullmatch(search):
        return [Condition("question", Op.IS, found[1])]
    return [Condition("agent", Op.BEGINS, search, anywhere)]


def _holds(condition: Condition, row: HopRow) -> bool:
    found: Operand = getattr(row, condition.column)
    value = condition.value
    match condition.op:
        case Op.IS:
            return found == value
        case Op.BEGINS:
            return isinstance(found, str) and isinstance(value, str) and found.startswith(value)
        case Op.FROM:
            return isinstance(found, int) and isinstance(value, int) and found >= value
        case Op.BELOW:
            return isinstance(found, int) and isinstance(value, int) and found < value
        case Op.HAS_ALL:
            return isinstance(found, int) and isinstance(value, int) and found & value == value
        case _:
            assert_never(condition.op)


def _told(condition: Condition, table: str, values: dict[str, Operand]) -> str:
    column, value, name = f"{table}.{condition.column}", condition.value, f"p{len(values)}"
    values[name] = value
    match condition.op:
        case Op.IS if condition.column == "question":
            return f"{column} = :{name} AND {column} <> ''"  # as its index has it
        case Op.IS | Op.FROM | Op.BELOW:
            return f"{column} {condition.op} :{name}"
        case Op.HAS_ALL:
            return f"({column} & :{name}) = :{name}"
        case Op.BEGINS:
            # LIKE looks at case in one database and not in the other.
            return f"substr({column}, 1, {len(value) if isinstance(value, str) else 0}) = :{name}"
        case _:
            assert_never(condition.op)
