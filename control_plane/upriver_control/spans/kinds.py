"""What questions have in common is kept once: kinds get numbers, and questions are written with theirs.

Not for two threads at once, as what is written comes from one.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection

from upriver_control.spans.rows import HopRow, Kind, kind_of

_NOTED_NS: Final = 10 * 10**9
"""How old the note may be that spans of a kind still come; what goes is older than that by far."""
_MOST: Final = 20_000
"""Kinds that are remembered."""


class KeptHop(NamedTuple):
    """A question as it is written: `rows.HopRow` with the number of its kind."""

    trace: bytes
    span: bytes
    at_ns: int
    duration_ns: int
    bucket: int
    kind: int
    score: float | None
    threshold: float | None
    rows: int
    weight: float
    question: str


class Kinds:
    """The numbers of kinds, as far as they are remembered."""

    def __init__(self, is_sqlite: bool) -> None:
        self._numbers: dict[Kind, tuple[int, int]] = {}
        fields = ("digest", *Kind._fields, "seen_ns")
        marks = ", ".join(["?" if is_sqlite else "%s"] * len(fields))
        self._insert = (
            f"INSERT INTO kinds ({', '.join(fields)}) VALUES ({marks})"  # noqa: S608 - our own names
            " ON CONFLICT (digest) DO UPDATE SET seen_ns = excluded.seen_ns RETURNING id"
        )

    def note(
        self, connection: Connection, rows: Iterable[HopRow], now_ns: int
    ) -> tuple[list[KeptHop], dict[Kind, int]]:
        """Rows with their kinds' numbers, and the numbers of those that are new or noted anew, which become known by
        `learn` once this transaction is committed."""
        noted: dict[Kind, int] = {}
        kept = []
        told = [(kind_of(row), row) for row in rows]
        stale_ns = now_ns - _NOTED_NS
        due = {kind for kind, _ in told if kind not in self._numbers or self._numbers[kind][1] < stale_ns}
        # In one order for all, so that none wait for each other.
        for digest, kind in sorted((digest_of(kind), kind) for kind in due):
            values = (digest, *kind, now_ns)
            noted[kind] = int(connection.exec_driver_sql(self._insert, values).scalar_one())
        for kind, row in told:
            number = noted[kind] if kind in noted else self._numbers[kind][0]
            kept.append(_kept(row, number))
        return kept, noted

    def learn(self, noted: dict[Kind, int], now_ns: int) -> None:
        """What was noted is committed."""
        if len(self._numbers) + len(noted) > _MOST:
            self._numbers.clear()
        self._numbers.update({kind: (number, now_ns) for kind, number in noted.items()})


def digest_of(kind: Kind) -> bytes:
    """Names a kind: 16 bytes of BLAKE2b over its parts, each with its length before it."""
    parts = [str(part).encode() for part in kind]
    told = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return hashlib.blake2b(told, digest_size=16).digest()


def _kept(row: HopRow, kind: int) -> KeptHop:
    return KeptHop(
        row.trace,
        row.span,
        row.at_ns,
        row.duration_ns,
        row.bucket,
        kind,
        row.score,
        row.threshold,
        row.rows,
        row.weight,
        row.question,
    )


def columns() -> tuple[str, ...]:
    """Where in the database each field of `rows.HopRow` is."""
    return tuple(f"{'hops' if name in KeptHop._fields else 'kinds'}.{name}" for name in HopRow._fields)
