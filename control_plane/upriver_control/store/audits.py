"""Audits in the database: kept once each, bounded by number and age, read by operators and by calibrations.

Methods block; they raise Unreachable and DiskTrouble as Database does.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Integer, Row, Select, and_, case, cast, delete, func, not_, select
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.documents import from_document, to_document
from upriver_control.store.database import Database
from upriver_control.store.schema import audits

MAX_BATCH: Final = 500
MAX_PAGE: Final = 1000
MAX_OF_A_MODEL: Final = 500_000
MAX_AGE_S: Final = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Audit:
    """One row of a question that the coin fell for, on one agent; `asked` is that agent's Unix time.

    `confidence` None is "never confident". `passes` says that it reached the policy's own threshold, which is what a
    certificate speaks of. `answer` and `top_answer` are a classifier's labels, or digests. The coin gave `draw`, below
    the `rate` of that time: audits whose draw is below some rate are an even sample of all questions.
    """

    agent: str
    question: str
    row: int
    model: str
    tier: str
    region: str
    version_digest: str
    policy_digest: str
    rules_digest: str
    asked: float
    confidence: float | None
    passes: bool
    answered_here: bool
    brought: bool
    agrees: bool
    answer: str = ""
    top_answer: str = ""
    top_agent: str = ""
    top_policy_digest: str = ""
    top_version_digest: str = ""
    draw: float = 0.0
    rate: float = 1.0
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Some audits, newest first; `before` is the number that the next page starts below, 0 on the last."""

    audits: tuple[Audit, ...]
    before: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The audits of one pair on one agent; `disagreements` are of those that passed. `last` is a Unix time."""

    agent: str
    tier: str
    version_digest: str
    policy_digest: str
    audits: int
    passed: int
    disagreements: int
    last: float


class AuditTable:
    """The table `audits`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, batch: Sequence[Audit], now: float) -> int:
        """Keeps audits, of which those that are there already stay as they are; gives how many were new."""
        if not batch:
            return 0
        rows = [_written(audit, now) for audit in batch]

        def run(connection: Connection) -> int:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            made = dialect.insert(audits).values(rows)
            once = made.on_conflict_do_nothing(index_elements=["agent", "question", "row"])
            return len(connection.execute(once.returning(audits.c.number)).all())

        return self._database.write(run)

    def page(
        self,
        model: str,
        before: int = 0,
        size: int = 100,
        agent: str = "",
        policy_digest: str = "",
        disagreements: bool = False,
    ) -> Page:
        """A model's audits, newest first, below a number (0: from the newest); empty filters let all through."""
        size = max(1, min(size, MAX_PAGE))
        wanted = select(audits).where(audits.c.model == model).order_by(audits.c.number.desc()).limit(size + 1)
        if before:
            wanted = wanted.where(audits.c.number < before)
        if agent:
            wanted = wanted.where(audits.c.agent == agent)
        if policy_digest:
            wanted = wanted.where(audits.c.policy_digest == policy_digest)
        if disagreements:
            wanted = wanted.where(audits.c.passes.is_(True), audits.c.agrees.is_(False))
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return Page(tuple(_read(row) for row in found[:size]), found[size - 1].number if len(found) > size else 0)

    def of_question(self, question: str, agents: Sequence[str], limit: int = 100) -> Sequence[Audit]:
        """The audits that these agents made of a question, by agent and row."""
        wanted = (
            select(audits)
            .where(audits.c.agent.in_(agents), audits.c.question == question)
            .order_by(audits.c.agent, audits.c.row)
            .limit(limit)
        )
        return [_read(row) for row in self._database.read(partial(_rows, wanted))]

    def of_version(
        self, model: str, version_digest: str, tier: str = "", since: float = 0.0, limit: int = MAX_OF_A_MODEL
    ) -> Iterator[Audit]:
        """The newest `limit` audits of a version, newest first, received at Unix time `since` or later.

        Of whichever policies it had: `passes` is of the policy of that time, `confidence` and `features` are not.
        """
        before = 0
        while limit > 0:
            wanted = (
                select(audits)
                .where(audits.c.model == model, audits.c.version_digest == version_digest, audits.c.received >= since)
                .order_by(audits.c.number.desc())
                .limit(min(limit, MAX_PAGE))
            )
            if tier:
                wanted = wanted.where(audits.c.tier == tier)
            if before:
                wanted = wanted.where(audits.c.number < before)
            found = self._database.read(partial(_rows, wanted))
            yield from (_read(row) for row in found)
            if len(found) < min(limit, MAX_PAGE):
                return
            limit -= len(found)
            before = found[-1].number

    def summarize(self, model: str) -> Sequence[Summary]:
        """A model's audits counted by tier, agent and pair."""
        keys = (audits.c.tier, audits.c.agent, audits.c.version_digest, audits.c.policy_digest)
        wrong = and_(audits.c.passes, not_(audits.c.agrees))
        wanted = (
            select(
                *keys,
                func.count().label("audits"),
                func.sum(cast(audits.c.passes, Integer)).label("passed"),
                func.sum(case((wrong, 1), else_=0)).label("disagreements"),
                func.max(audits.c.received).label("last"),
            )
            .where(audits.c.model == model)
            .group_by(*keys)
            .order_by(*keys)
        )
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return [
            Summary(
                agent=row.agent,
                tier=row.tier,
                version_digest=row.version_digest,
                policy_digest=row.policy_digest,
                audits=row.audits,
                passed=row.passed,
                disagreements=row.disagreements,
                last=row.last,
            )
            for row in found
        ]

    def sweep(self, now: float, most: int = MAX_OF_A_MODEL, age_s: float = MAX_AGE_S) -> int:
        """Drops what is older than `age_s`, and the oldest of each model above `most`; gives how many went."""

        def run(connection: Connection) -> int:
            gone = connection.execute(delete(audits).where(audits.c.received < now - age_s)).rowcount
            counted = select(audits.c.model).group_by(audits.c.model).having(func.count() > most)
            for (model,) in connection.execute(counted).all():
                numbers = select(audits.c.number).where(audits.c.model == model).order_by(audits.c.number.desc())
                last = connection.execute(numbers.offset(most).limit(1)).scalar_one()
                gone += connection.execute(
                    delete(audits).where(audits.c.model == model, audits.c.number <= last)
                ).rowcount
            return gone

        return self._database.write(run)


def _rows(wanted: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(wanted).all()


_COLUMNS: Final = (
    "agent",
    "question",
    "row",
    "model",
    "tier",
    "version_digest",
    "policy_digest",
    "passes",
    "agrees",
)


def _written(audit: Audit, now: float) -> dict[str, Any]:
    document = {name: value for name, value in to_document(audit).items() if name not in _COLUMNS}
    columns = {name: getattr(audit, name) for name in _COLUMNS}
    return {
        **columns,
        "received": now,
        "document": json.dumps(document, separators=(",", ":"), allow_nan=False),
    }


def _read(row: Row[Any]) -> Audit:
    columns = {name: getattr(row, name) for name in _COLUMNS}
    return from_document(Audit, {**json.loads(row.document), **columns})
