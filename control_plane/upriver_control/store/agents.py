"""Agents in the database: written in batches by the process that they are connected to, read by all others.

`updated` is the time of a batch, and rises with every batch under a lock that lasts until it is committed: what a
process reads after the last time that it knows is all that it has missed.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, Update, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.documents import from_document, to_document
from upriver_control.observed import AgentFacts
from upriver_control.store.database import Database
from upriver_control.store.schema import agents, processes

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
    """The tables `agents` and `processes`. Its methods block; raise Unreachable and DiskTrouble as Database does."""

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
        """Notes that a process has ended, and that no agent is connected to it. Gives how many were.

        With `others` it is all but this process that have ended.
        """

        def run(connection: Connection) -> int:
            ended = processes.c.id != process if others else processes.c.id == process
            connection.execute(delete(processes).where(ended))
            whose = agents.c.process != process if others else agents.c.process == process
            return self._gone(connection, whose)

        return self._database.write(run)

    def disconnect_silent(self, silent_s: float) -> int:
        """Notes that agents of which nothing was written for so long are not connected; gives how many."""
        before = self._clock() - silent_s
        return self._database.write(lambda connection: self._gone(connection, agents.c.updated < before))

    def beat(self, process: str) -> bool:
        """Says that a process runs; False when the others did not know, because it is new or was taken for dead."""

        def run(connection: Connection) -> bool:
            known = update(processes).where(processes.c.id == process).values(beat=processes.c.beat + 1)
            if connection.execute(known).rowcount == 1:
                return True
            connection.execute(insert(processes).values(id=process, beat=0))
            return False

        return self._database.write(run)

    def beats(self) -> Mapping[str, int]:
        """How often each process has said that it runs."""
        rows = self._database.read(lambda connection: connection.execute(select(processes)).all())
        return {row.id: row.beat for row in rows}

    def bury(self, process: str, beat: int) -> int | None:
        """Notes that no agent is connected to a process that has died since its beat `beat`, and forgets the process.

        Gives how many agents were; None when it has said since then that it runs, or somebody has buried it already.
        """

        def run(connection: Connection) -> int | None:
            dead = delete(processes).where(processes.c.id == process, processes.c.beat == beat)
            if connection.execute(dead).rowcount != 1:
                return None
            return self._gone(connection, agents.c.process == process)

        return self._database.write(run)

    def _gone(self, connection: Connection, whose: Any) -> int:
        updated = self._next(connection)
        rows = connection.execute(select(agents).where(whose, agents.c.connected.is_(True))).all()
        gone = [{"agent": row.id, "document": _written(replace(_read(row).facts, connected=False))} for row in rows]
        if gone:
            connection.execute(_left(updated), gone)
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
        # Both have the clause, each in a class of its own. One statement for many rows is compiled anew for each number
        # of them, and with an agent's heartbeat in each that took most of this process's time: many are executed.
        kind: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        wanted = kind.insert(agents)
        new = wanted.excluded
        connection.execute(
            wanted.on_conflict_do_update(
                index_elements=[agents.c.id],
                set_={name: getattr(new, name) for name in ("document", "updated", "process", "connected")},
                where=new.connected.is_(True) | (agents.c.process == process),
            ),
            values,
        )

    def _next(self, connection: Connection) -> float:
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(text("LOCK TABLE agents IN SHARE ROW EXCLUSIVE MODE"))
        newest = connection.execute(select(func.max(agents.c.updated))).scalar()
        return max(self._clock(), (newest or 0.0) + _LEAST_S)


def _rows(wanted: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(wanted).all()


def _left(updated: float) -> Update:
    """For many agents at once: the parameters are `agent` and `document`."""
    return (
        update(agents)
        .where(agents.c.id == bindparam("agent"))
        .values(document=bindparam("document"), connected=False, updated=updated)
    )


def _written(facts: AgentFacts) -> str:
    return json.dumps(to_document(facts), separators=(",", ":"))


def _read(row: Row[Any]) -> AgentRow:
    return AgentRow(from_document(AgentFacts, json.loads(row.document)), row.process, row.updated)
