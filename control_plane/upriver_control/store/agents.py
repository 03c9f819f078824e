"""Agents in the database: written in batches by the process that they are connected to, read by all others.

`updated` is the time of a batch, and rises with every batch under a lock that lasts until it is committed: what a
process reads after the last time that it knows is all that it has missed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, Update, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.documents import from_document, to_document
from upriver_control.observed import AgentFacts
from upriver_control.store.database import Database
from upriver_control.store.schema import agents

BATCH = 500
MAX_READ = 20_000
_LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What a process wrote of an agent, and when."""

    facts: AgentFacts
    process: str
    updated: float


class AgentTable:
    """The table `agents`. Its methods block; raise Unreachable and DiskTrouble as Database does."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """`clock` gives Unix times."""
        self._database = database
        self._clock = clock

    def write(self, process: str, facts: Iterable[AgentFacts]) -> None:
        """Keeps what `process` knows of agents.

        That an agent has gone is kept only where this process was the last that it was connected to: the agent may be
        connected to another one by now.
        """
        waiting = iter(facts)
        while batch := list(islice(waiting, BATCH)):
            self._database.write(partial(self._upsert, process, batch))

    def all(self) -> Sequence[AgentRow]:
        """Every agent, by id."""
        found: list[AgentRow] = []
        while True:
            last = found[-1].facts.agent if found else ""
            wanted = select(agents).where(agents.c.id > last).order_by(agents.c.id).limit(MAX_READ)
            rows = [_read(row) for row in self._database.read(partial(_rows, wanted))]
            found += rows
            if len(rows) < MAX_READ:
                return found

    def changed_since(self, updated: float, not_by: str = "") -> Sequence[AgentRow]:
        """Agents that another process than `not_by` has written after a time, in the order of their batches.

        All agents of a batch come together, however many: the last one's `updated` is where to go on.
        """
        wanted = select(agents).where(agents.c.updated > updated, agents.c.process != not_by).order_by(agents.c.updated)
        return [_read(row) for row in self._database.read(partial(_rows, wanted))]

    def ids(self) -> frozenset[str]:
        """The ids of all agents: who is missing was deleted."""
        return frozenset(self._database.read(lambda connection: connection.scalars(select(agents.c.id)).all()))

    def delete(self, agent: str) -> bool:
        """Forgets an agent that is not connected; False when there is none such."""
        gone = delete(agents).where(agents.c.id == agent, agents.c.connected.is_(False))
        return self._database.write(lambda connection: connection.execute(gone).rowcount) == 1

    def disconnect(self, process: str, others: bool = False) -> int:
        """Notes that no agent is connected to a process any more (with `others`: to any but it). Gives how many."""

        def run(connection: Connection) -> int:
            whose = agents.c.process != process if others else agents.c.process == process
            return self._gone(connection, whose)

        return self._database.write(run)

    def disconnect_silent(self, silent_s: float) -> int:
        """Notes that agents of which nothing was written for so long are not connected; gives how many."""
        before = self._clock() - silent_s
        return self._database.write(lambda connection: self._gone(connection, agents.c.updated < before))

    def _gone(self, connection: Connection, whose: Any) -> int:
        updated = self._next(connection)
        rows = connection.execute(select(agents).where(whose, agents.c.connected.is_(True))).all()
        for row in rows:
            facts = replace(_read(row).facts, connected=False)
            connection.execute(_change(row.id, facts, updated))
        return len(rows)

    def _upsert(self, process: str, batch: Sequence[AgentFacts], connection: Connection) -> None:
        updated = self._next(connection)
        values = [
            {
                "id": facts.agent,
                "document": _written(facts),
                "updated": updated,
                "process": process,
                "connected": facts.connected,
            }
            for facts in {facts.agent: facts for facts in batch}.values()
        ]
        # Both have the clause, each in a class of its own.
        kind: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        wanted = kind.insert(agents).values(values)
        new = wanted.excluded
        connection.execute(
            wanted.on_conflict_do_update(
                index_elements=[agents.c.id],
                set_={name: getattr(new, name) for name in ("document", "updated", "process", "connected")},
                where=new.connected.is_(True) | (agents.c.process == process),
            )
        )

    def _next(self, connection: Connection) -> float:
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(text("LOCK TABLE agents IN SHARE ROW EXCLUSIVE MODE"))
        newest = connection.execute(select(func.max(agents.c.updated))).scalar()
        return max(self._clock(), (newest or 0.0) + _LEAST_S)


def _rows(wanted: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(wanted).all()


def _change(agent: str, facts: AgentFacts, updated: float) -> Update:
    return update(agents).where(agents.c.id == agent).values(document=_written(facts), connected=False, updated=updated)


def _written(facts: AgentFacts) -> str:
    return json.dumps(to_document(facts), separators=(",", ":"))


def _read(row: Row[Any]) -> AgentRow:
    return AgentRow(from_document(AgentFacts, json.loads(row.document)), row.process, row.updated)
