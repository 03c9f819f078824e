"""All rollouts in this process, kept up to date from the database, and the intent that they are together.

Lives on one event loop. A rollout takes some 3 KB here, and is kept as long as the database keeps it.
"""

import asyncio
import logging
from collections.abc import Mapping

from upriver.errors import DiskTrouble, Unreachable
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts, Desired
from upriver_control.reconcile.ports import RolloutStore
from upriver_control.rollout import Rollout, RolloutState
from upriver_control.selector import parse

_LOG = logging.getLogger(__name__)
POLL_S = 0.5


class RolloutMirror:
    """What the database says of rollouts, at most POLL_S old while it can be reached."""

    def __init__(self, store: RolloutStore) -> None:
        self._store = store
        self._rollouts: dict[str, Rollout] = {}
        self._intent = Intent(())
        self._seen = 0
        self._listeners: set[asyncio.Event] = set()
        self._refreshing = asyncio.Lock()

    @property
    def rollouts(self) -> Mapping[str, Rollout]:
        """Every rollout, by id."""
        return self._rollouts

    @property
    def intent(self) -> Intent:
        """What agents should run."""
        return self._intent

    def desired(self, agent: AgentFacts) -> Mapping[str, Desired]:
        """What an agent's slots should run, by model."""
        return self._intent.desired(agent)

    def decided(self) -> frozenset[tuple[str, RolloutState, float]]:
        """All of the rollouts that tells agents what to do: while it is the same, so is what each should run."""
        return frozenset((one.id, one.state, one.released) for one in self._rollouts.values())

    def watches(self, agent: AgentFacts) -> bool:
        """Whether some rollout under way waits for what this agent reports."""
        return any(one.matches(agent.labels) for one in self._rollouts.values() if not one.has_ended)

    def under_way(self, model: str, selector: str) -> list[Rollout]:
        """The rollouts of a model that have not ended and may share an agent with what a selector means."""
        wanted = parse(selector)
        found = (one for one in self._rollouts.values() if one.model == model and not one.has_ended)
        return [one for one in found if wanted.may_overlap(parse(one.selector))]

    def listen(self) -> asyncio.Event:
        """An event that is set whenever a rollout has changed; whoever waits clears it. End with `unlisten`."""
        event = asyncio.Event()
        self._listeners.add(event)
        return event

    def unlisten(self, event: asyncio.Event) -> None:
        """Ends listening."""
        self._listeners.discard(event)

    async def refresh(self) -> bool:
        """Reads what has changed; gives whether anything had. Raises Unreachable and DiskTrouble."""
        async with self._refreshing:
            any_changed = False
            while changed := await self._store.changed_since(self._seen):
                self._seen = changed[-1].revision
                any_changed |= self._take([*changed])
            return any_changed

    def take(self, rollout: Rollout) -> None:
        """Takes in a rollout that this process has just kept, without waiting for the next poll."""
        self._take([rollout])

    async def run(self, poll_s: float = POLL_S) -> None:
        """Keeps it up to date until it is cancelled; while the database can't be reached, what is known counts on."""
        reachable = True
        while True:
            try:
                await self.refresh()
                if not reachable:
                    _LOG.info("rollouts are read again")
                reachable = True
            except (Unreachable, DiskTrouble) as error:
                if reachable:
                    _LOG.warning("rollouts can't be read; those known count on: %s", error)
                reachable = False
            await asyncio.sleep(poll_s)

    def _take(self, changed: list[Rollout]) -> bool:
        newer = [one for one in changed if one.revision > self._known(one.id)]
        if not newer:
            return False
        self._rollouts |= {one.id: one for one in newer}
        self._intent = Intent(self._rollouts.values())
        for event in self._listeners:
            event.set()
        return True

    def _known(self, rollout: str) -> int:
        known = self._rollouts.get(rollout)
        return -1 if known is None else known.revision
