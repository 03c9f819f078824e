"""The leader's loop: steps every rollout that has not ended, and keeps what has changed.

Every save names the revision that it is based on, so that a leader that lost its lock without noticing, or a person who
pauses a rollout meanwhile, can't be overwritten: the save fails, and the next round starts from what is there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from upriver.errors import DiskTrouble, NotAllowed, Unreachable
from upriver_control.intent import superseded_by
from upriver_control.observed import AgentFacts
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import FleetView, LeaderLock, RolloutStore
from upriver_control.rollout import Command, Finish, Release, RevisionConflict, Rollout, Withdraw, step, supersede

_LOG = logging.getLogger(__name__)
INTERVAL_S = 0.5
LEAST_S = 0.05
"""Between two rounds, however much changes."""
STATUS_S = 1.0
"""Counts of a rollout that does nothing else are kept that often."""
LONGEST_S = 5.0
"""The same, however long a round took: most of a long one was spent waiting for the database."""
_SHARE = 0.25  # of the time that rounds may take
_INLINE = 1000  # agents that are counted on the event loop; more are counted on a thread
_CHECK_S = 1.0


class Reconciler:
    """Moves rollouts on while it holds the lock."""

    def __init__(
        self,
        mirror: RolloutMirror,
        store: RolloutStore,
        lock: LeaderLock,
        fleet: FleetView,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`mirror` is kept up to date by its own `run`. `clock` gives the Unix times that rollouts remember."""
        self._mirror = mirror
        self._store = store
        self._lock = lock
        self._fleet = fleet
        self._clock = clock
        self._steady = steady
        self._leads = False
        self._checked = float("-inf")
        self._kept: dict[str, float] = {}
        self._trouble = ""

    @property
    def leads(self) -> bool:
        """Whether this process moves rollouts on."""
        return self._leads

    async def run(self) -> None:
        """Works until it is cancelled, and gives the lock back then."""
        agents_changed, rollouts_changed = self._fleet.listen(), self._mirror.listen()
        try:
            while True:
                begun = self._steady()
                self._fleet.changes(agents_changed)
                rollouts_changed.clear()
                await self._once()
                took_s = self._steady() - begun
                await asyncio.sleep(max(LEAST_S, min(LONGEST_S, took_s / _SHARE - took_s)))
                # With nothing under way agents' reports, of which there are many, need wake nobody here.
                await _either((agents_changed, rollouts_changed) if self._has_work() else (rollouts_changed,))
        finally:
            self._fleet.unlisten(agents_changed)
            self._mirror.unlisten(rollouts_changed)
            self._leads = False
            await self._lock.release()

    def _has_work(self) -> bool:
        return any(not one.has_ended for one in self._mirror.rollouts.values())

    async def _once(self) -> None:
        try:
            if await self._is_leader():
                await self.round()
            self._told("")
        except (Unreachable, NotAllowed, DiskTrouble) as error:
            self._told(str(error))

    async def round(self) -> None:
        """Looks once at every rollout that the mirror knows; raises Unreachable and DiskTrouble."""
        if not self._has_work():
            return
        await self._supersede()
        under_way = [one for one in self._mirror.rollouts.values() if not one.has_ended]
        agents = self._fleet.agents()
        for rollout in under_way:
            stepped, commands = await self._step(rollout, agents)
            if self._is_worth_keeping(rollout, stepped) and await self._keep(stepped):
                _log(stepped, commands)

    async def _supersede(self) -> None:
        rollouts = list(self._mirror.rollouts.values())
        for newer in sorted(rollouts, key=lambda one: -one.generation):
            if newer.is_withdrawn:
                continue
            for older in superseded_by(newer, self._mirror.rollouts.values()):
                if await self._keep(supersede(older, newer, self._clock())):
                    _LOG.info("rollouts/%s is superseded by rollouts/%s", older.id, newer.id)

    async def _step(self, rollout: Rollout, agents: Mapping[str, AgentFacts]) -> tuple[Rollout, tuple[Command, ...]]:
        if len(agents) <= _INLINE:
            return step(rollout, agents, self._clock())
        return await asyncio.to_thread(step, rollout, agents, self._clock())

    def _is_worth_keeping(self, before: Rollout, after: Rollout) -> bool:
        if _decided(before) != _decided(after):
            return True
        return before != after and self._steady() - self._kept.get(after.id, float("-inf")) >= STATUS_S

    async def _keep(self, rollout: Rollout) -> bool:
        try:
            kept = await self._store.save(replace(rollout, updated=self._clock()))
        except RevisionConflict:
            await self._mirror.refresh()
            return False
        self._mirror.take(kept)
        if kept.has_ended:
            self._kept.pop(kept.id, None)
        else:
            self._kept[kept.id] = self._steady()
        return True

    async def _is_leader(self) -> bool:
        now = self._steady()
        if self._leads and now - self._checked < _CHECK_S:
            return True
        if not self._leads and now - self._checked < _CHECK_S:
            return False
        self._checked = now
        was, self._leads = self._leads, False
        self._leads = await (self._lock.held() if was else self._lock.acquire())
        if was != self._leads:
            _LOG.info("this process %s", "leads" if self._leads else "has lost the leader lock")
        return self._leads

    def _told(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _LOG.warning("rollouts do not move on: %s", trouble)
        elif self._trouble and not trouble:
            _LOG.info("rollouts move on again")
        self._trouble = trouble


def _decided(rollout: Rollout) -> Rollout:
    """The rollout without what is only told: two that differ in this differ in what agents are to do."""
    return replace(rollout, rings=(), baseline=None, updated=0.0)


def _log(rollout: Rollout, commands: tuple[Command, ...]) -> None:
    for command in commands:
        match command:
            case Release():
                _LOG.info("rollouts/%s ring %d: %d more agents are told", rollout.id, rollout.ring + 1, command.agents)
            case Withdraw():
                _LOG.warning("rollouts/%s goes back: %s", rollout.id, command.reason)
            case Finish():
                _LOG.info("rollouts/%s has ended as %s: %s", rollout.id, command.state, command.reason)


async def _either(events: Iterable[asyncio.Event]) -> None:
    """Waits until one of them is set, and at most INTERVAL_S."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
