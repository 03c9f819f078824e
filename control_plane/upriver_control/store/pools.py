"""Sums that agents pool, in the database: of each child the submission that counts and one that waits.

Who counts is decided by `upriver.pool`, of which every process keeps a copy as of some revision. A change is one
transaction, so that a process that is killed in it has changed nothing. Methods block; they raise Unreachable and
DiskTrouble as Database does.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from upriver.head_statistics import HeadStatistics
from upriver.pool import Answer, Child, Pool, PoolLimits, Submission
from upriver.pool_sums import PoolKey, PoolLine, PoolPart, summed
from upriver.pool_wire import Parts, read_part, write_part
from upriver.v1 import pool_pb2
from upriver_control.store.database import Database
from upriver_control.store.schema import pool_children, pool_epochs, pool_parts, pool_state

T = TypeVar("T")
LIMITS: Final = PoolLimits(max_children=100_000, max_agents=1_000_000, expiry_s=30 * 86_400.0, patience_s=600.0)
"""What an agent has learnt counts for a month after it was last heard of."""
_AT_ONCE: Final = 64
_EMPTY: Final = ""


class PoolTable:
    """The pool of the control plane. Safe to share between threads; several processes may work on one database."""

    def __init__(self, database: Database, began: float, limits: PoolLimits = LIMITS) -> None:
        """`began` is the Unix time from which on children could be heard here."""
        self._database = database
        self._began = began
        self._limits = limits
        self._lock = threading.Lock()
        self._pool: Pool[None] | None = None
        self._revision = -1
        self._heard: dict[str, float] = {}

    def submit(self, submission: Submission[Parts], now: float) -> Answer:
        """Takes in a submission; `now` is a Unix time. Raises QueueFull and InvalidInput besides."""
        bare = Submission(submission.child, submission.roster, None, submission.mark)
        return self._change(lambda pool: pool.offer(bare, now), now, submission)

    def unchanged(self, child: str, epoch: int, now: float) -> Answer:
        """A child says that its submission still stands."""
        return self._change(lambda pool: pool.unchanged(child, epoch, now), now)

    def expire(self, now: float) -> None:
        """Lets go of children that were not heard of for long; to be called now and then."""

        def forget(connection: Connection) -> None:
            old = now - 2 * self._limits.expiry_s
            connection.execute(delete(pool_epochs).where(pool_epochs.c.told < old))

        self._change(lambda pool: pool.expire(now), now)
        self._database.write(forget)

    def revision(self) -> int:
        """Rises with every change of what is kept."""
        return self._database.read(lambda connection: _revision(connection) or 0)

    def lines(self) -> Sequence[PoolLine]:
        """What counts, by key."""
        keys = (
            pool_parts.c.model,
            pool_parts.c.version_digest,
            pool_parts.c.region,
            pool_parts.c.trial,
            pool_parts.c.width,
        )
        counted = (pool_parts.c.agents, pool_parts.c.amount, pool_parts.c.forgotten)
        wanted = (
            select(*keys, *(func.sum(one).label(one.name) for one in counted))
            .join(pool_children, _counts())
            .group_by(*keys)
            .order_by(*keys)
        )
        found = self._database.read(lambda connection: connection.execute(wanted).all())
        return [PoolLine(PoolKey(*row[:5]), int(row.agents), float(row.amount), int(row.forgotten)) for row in found]

    def sums(self, model: str, version_digest: str, trial: str = "") -> Sequence[PoolPart]:
        """The sums of a version by region and width: statistics, or the counts of a trial."""
        wanted = (
            select(pool_parts.c.body)
            .join(pool_children, _counts())
            .where(
                pool_parts.c.model == model,
                pool_parts.c.version_digest == version_digest,
                pool_parts.c.trial == trial,
            )
            .order_by(pool_parts.c.child, pool_parts.c.number)
        )

        def run(connection: Connection) -> Sequence[PoolPart]:
            total: Sequence[PoolPart] = ()
            for rows in connection.execute(wanted).partitions(_AT_ONCE):
                total = summed([*total, *(read_part(pool_pb2.PoolPart.FromString(row.body)) for row in rows)])
            return total

        return self._database.read(run)

    def roster(self) -> Mapping[str, int]:
        """Every agent that counts, and its epoch."""
        with self._lock:
            return self._database.read(self._current).roster()

    def _change(self, action: Callable[[Pool[None]], T], now: float, submission: Submission[Parts] | None = None) -> T:
        def run(connection: Connection) -> tuple[Pool[None], int, T]:
            pool = self._current(connection, lock=True)
            self._pool = None  # until this is committed, what is kept in memory is not to be believed
            before = pool.revision
            answer = action(pool)
            # An `unchanged` may settle what waited: then others have changed than the one that is heard.
            changed = submission is not None or pool.revision != before
            touched = {name for name in pool.touched() if changed or self._is_to_be_kept(pool, name)}
            revision = self._revision
            if touched or pool.revision != before:
                if submission is not None:
                    _keep_parts(connection, pool, submission)
                    _keep_epochs(connection, pool, submission.roster)
                _keep_children(connection, pool, touched)
                revision += 1
                connection.execute(update(pool_state).values(revision=revision))
                self._heard.update(dict.fromkeys(touched, now))
            return pool, revision, answer

        with self._lock:
            pool, revision, answer = self._database.write(run)
            self._pool, self._revision = pool, revision
        return answer

    def _is_to_be_kept(self, pool: Pool[None], name: str) -> bool:
        """Whether more has changed of a child than when it was heard of, or that a while ago."""
        child = pool.children.get(name)
        if child is None:
            return True
        kept = self._heard.get(name)
        return kept is None or child.heard - kept > self._limits.patience_s / 3 or child.newest is None

    def _current(self, connection: Connection, lock: bool = False) -> Pool[None]:
        """The pool as it is kept, read where another process has changed it."""
        revision = _revision(connection, lock)
        if revision is None:
            revision = 0
            if lock:
                connection.execute(_insert(connection, pool_state, [{"id": 1, "revision": 0}]).on_conflict_do_nothing())
                revision = _revision(connection, lock) or 0
        if self._pool is None or revision != self._revision:
            self._pool, self._revision = _load(connection, self._limits, self._began), revision
            self._heard = {}
        return self._pool


def _counts() -> Any:
    return (pool_parts.c.child == pool_children.c.child) & (pool_parts.c.epoch == pool_children.c.counted_epoch)


def _revision(connection: Connection, lock: bool = False) -> int | None:
    wanted = select(pool_state.c.revision)
    found: int | None = connection.execute(wanted.with_for_update() if lock else wanted).scalar_one_or_none()
    return found


def _load(connection: Connection, limits: PoolLimits, began: float) -> Pool[None]:
    children = {row.child: _child(row) for row in connection.execute(select(pool_children))}
    epochs = {row.agent: (row.epoch, row.told) for row in connection.execute(select(pool_epochs))}
    return Pool(limits, children, epochs, began)


def _child(row: Any) -> Child[None]:
    return Child(_read(row.child, row.counted), _read(row.child, row.staged), row.heard)


def _read(child: str, text: str) -> Submission[None] | None:
    if not text:
        return None
    fields = json.loads(text)
    return Submission(child, fields["roster"], None, fields["mark"])


def _written(submission: Submission[None] | None) -> str:
    if submission is None:
        return _EMPTY
    return json.dumps({"mark": submission.mark, "roster": dict(submission.roster)}, separators=(",", ":"))


def _keep_children(connection: Connection, pool: Pool[None], touched: Iterable[str]) -> None:
    for name in sorted(touched):
        child = pool.children.get(name)
        connection.execute(delete(pool_children).where(pool_children.c.child == name))
        kept = () if child is None else [one.epoch for one in (child.counted, child.staged) if one is not None]
        connection.execute(delete(pool_parts).where(pool_parts.c.child == name, pool_parts.c.epoch.not_in(kept)))
        if child is not None:
            fields = {
                "child": name,
                "heard": child.heard,
                "counted_epoch": child.counted.epoch if child.counted is not None else 0,
                "counted": _written(child.counted),
                "staged_epoch": child.staged.epoch if child.staged is not None else 0,
                "staged": _written(child.staged),
            }
            connection.execute(pool_children.insert().values(fields))


def _keep_parts(connection: Connection, pool: Pool[None], submission: Submission[Parts]) -> None:
    child = pool.children.get(submission.child)
    newest = child.newest if child is not None else None
    if newest is None or (newest.epoch, newest.mark) != (submission.epoch, submission.mark):
        return  # it was stale
    rows = [_part_row(submission, number, part) for number, part in enumerate(submission.content)]
    if rows:
        connection.execute(_insert(connection, pool_parts, rows).on_conflict_do_nothing())


def _part_row(submission: Submission[Parts], number: int, part: PoolPart) -> Mapping[str, Any]:
    key, sums = part.key, part.sums
    return {
        "child": submission.child,
        "epoch": submission.epoch,
        "number": number,
        "model": key.model,
        "version_digest": key.version_digest,
        "region": key.region,
        "trial": key.trial,
        "width": key.width,
        "agents": part.agents,
        "amount": sums.lessons if isinstance(sums, HeadStatistics) else float(sums[0]),
        "forgotten": part.forgotten,
        "body": write_part(part).SerializeToString(),
    }


def _keep_epochs(connection: Connection, pool: Pool[None], agents: Iterable[str]) -> None:
    rows = [{"agent": name, "epoch": pool.epoch_of(name), "told": pool.told_at(name)} for name in sorted(agents)]
    for start in range(0, len(rows), 500):
        made = _insert(connection, pool_epochs, rows[start : start + 500])
        changed = {"epoch": made.excluded.epoch, "told": made.excluded.told}
        connection.execute(made.on_conflict_do_update(index_elements=["agent"], set_=changed))


def _insert(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).values(rows)
