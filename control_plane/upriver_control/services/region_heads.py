"""Makes heads of regions by itself, and rolls them out, where that is allowed; has agents told what to try.

Every process tells its agents; the one that leads makes.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from upriver.errors import UpriverError
from upriver.trials import Trial
from upriver_control.observed import AgentFacts, Desired
from upriver_control.regional.model import RegionTrial
from upriver_control.regional.standing import Standing, kept_back, standing, tops
from upriver_control.regions.apart import apart
from upriver_control.regions.choosing import HeadChooser
from upriver_control.regions.judging import HeadJudge
from upriver_control.regions.making import HeadMaker
from upriver_control.rollout import Rollout
from upriver_control.services.automatic import Start
from upriver_control.services.region_rollouts import bring, is_own, selector_of, take_back
from upriver_control.store.trials import TrialTable

_LOG: Final = logging.getLogger(__name__)
MAX_TRIALS: Final = 32
"""So many are tried at once in a region; further ones wait."""
TELL_S: Final = 2.0


class Intents(Protocol):
    """What agents are to run, and what is on its way; see `RolloutMirror`."""

    def desired(self, agent: AgentFacts) -> Mapping[str, Desired]:
        """What one should run, by model."""
        ...

    def under_way(self, model: str, selector: str) -> list[Rollout]:
        """The rollouts of a model that have not ended and may share an agent with a selector."""
        ...


class Manifests(Protocol):
    """Where versions' own policies are."""

    def policy(self, version_digest: str) -> str:
        """The policy in a version's manifest, as a document; empty without one."""
        ...


@dataclass(frozen=True, slots=True)
class Heads:
    """What is done with heads; all of it blocks."""

    judge: HeadJudge
    maker: HeadMaker
    chooser: HeadChooser


class RegionHeads:
    """The loop. Made and used on a running event loop."""

    def __init__(
        self,
        heads: Heads,
        trials: TrialTable,
        manifests: Manifests,
        agents: Callable[[], Mapping[str, AgentFacts]],
        intents: Intents,
        leads: Callable[[], bool],
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`agents` gives all agents; `changed` is called when other heads are to be tried, `clock` gives Unix times."""
        self._heads = heads
        self._trials = trials
        self._manifests = manifests
        self._agents = agents
        self._intents = intents
        self._leads = leads
        self._changed = changed
        self._clock = clock
        self._told: tuple[int, int] = (-1, -1)
        self._open: Mapping[str, Sequence[Trial]] = {}
        self._known: dict[str, str] = {}
        self._waits: set[str] = set()
        self._waited: set[str] = set()

    def announced(self, region: str) -> Sequence[Trial]:
        """The heads that agents of a region are to try."""
        return self._open.get(region, ())

    async def run(
        self, heads: Literal["off", "certify", "roll-out"], every_s: float, soak_s: float, start: Start
    ) -> None:
        """Looks every now and then until it is cancelled. `start` starts rollouts, where heads are rolled out."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            try:
                await self.tell()
                if heads != "off" and self._leads() and loop.time() >= due:
                    due = loop.time() + every_s
                    await self.look(start if heads == "roll-out" else None, soak_s)
            except UpriverError as error:
                _LOG.warning("heads of regions wait: %s", error)
            await asyncio.sleep(min(TELL_S, every_s))

    async def tell(self) -> None:
        """Has agents told where what is to be tried has changed."""
        revision = await asyncio.to_thread(self._trials.revision)
        if revision == self._told:
            return
        found: dict[str, list[Trial]] = {}
        for one in await asyncio.to_thread(self._trials.open):
            found.setdefault(one.region, []).append(one.trial)
        self._told = revision
        opened = {region: tuple(trials[:MAX_TRIALS]) for region, trials in found.items()}
        if opened != self._open:
            self._open = opened
            self._changed()

    async def look(self, start: Start | None, soak_s: float) -> None:
        """Looks once: fits what is due, judges what was counted, and rolls out what passed if `start` is given."""
        agents = list(self._agents().values())
        standings, picked, gone = await asyncio.to_thread(self._work, agents, self._clock(), start is not None)
        if standings:
            await self.tell()
        if start is None:
            return
        self._waited, self._waits = self._waits, set()
        for one, trial in picked:
            with apart(f"{trial.made} for {trial.region}"):
                if not await self._must_wait(one, trial, trial.made):
                    await asyncio.to_thread(self._heads.chooser.rolled_out, trial, await bring(trial, start, soak_s))
        for one, trial in gone:
            with apart(f"the way back from {trial.made} in {trial.region}"):
                base = await asyncio.to_thread(self._heads.chooser.base_of, trial)
                if not await self._must_wait(one, trial, base):
                    made = await take_back(trial, one.tiers, base, start, soak_s)
                    await asyncio.to_thread(self._heads.chooser.taken_back, trial, made, self._clock())

    async def _must_wait(self, one: Standing, trial: RegionTrial, policy: str) -> bool:
        """Whether a rollout would take agents from another version, or end another rollout that is under way, in its
        region or anywhere as that has begun. Why is told when it has changed."""
        why = await asyncio.to_thread(kept_back, one, list(self._agents().values()), self._intents.desired)
        for tier in one.tiers:
            for other in self._intents.under_way(one.model, selector_of(trial, tier)):
                if not is_own(other, trial, tier, policy):
                    why = why or f"rollouts/{other.id} is under way"
        if why:
            told = f"{policy or 'no head'} for {one.model} in {one.region} waits: {why}"
            self._waits.add(told)
            if told not in self._waited:
                _LOG.warning("%s", told)
        return bool(why)

    def _work(
        self, agents: Sequence[AgentFacts], now: float, rolls_out: bool
    ) -> tuple[list[Standing], list[tuple[Standing, RegionTrial]], list[tuple[Standing, RegionTrial]]]:
        versions = {s.active.version_digest for agent in agents for s in agent.slots.values() if s.active is not None}
        self._known = {one: self._known.get(one) or self._manifests.policy(one) for one in sorted(versions)}
        standings = standing(agents, self._known)
        self._heads.judge.look(standings, now)
        self._heads.maker.fit(standings, tops(agents), now)
        self._heads.chooser.settle(standings, now)
        if not rolls_out:
            return standings, [], []
        return standings, self._heads.chooser.pick(standings, now), self._heads.chooser.to_go(standings)
