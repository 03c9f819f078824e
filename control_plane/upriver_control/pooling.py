"""The part of a control plane that pools what agents have learnt, composed: who counts, the heads, their services."""

import time
from collections.abc import Callable

from upriver_control.kept import Kept
from upriver_control.policy_publishing import PolicyPublisher
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import FleetView
from upriver_control.regional.planning import Pace
from upriver_control.regions.choosing import HeadChooser
from upriver_control.regions.judging import HeadJudge
from upriver_control.regions.library import Library
from upriver_control.regions.making import HeadMaker, Terms
from upriver_control.regions.record import RegionRecord
from upriver_control.services.automatic import Start
from upriver_control.services.pool import PoolServicer
from upriver_control.services.region_heads import Heads, RegionHeads
from upriver_control.services.regions import RegionServicer
from upriver_control.store.heads import HeadTable
from upriver_control.store.pools import PoolTable
from upriver_control.store.registry import RegistryStore
from upriver_control.store.trials import TrialTable


class Pooling:
    """Pooling of one control-plane process. Made and used on a running event loop."""

    def __init__(
        self,
        kept: Kept,
        registry: RegistryStore,
        publisher: PolicyPublisher,
        fleet: FleetView,
        mirror: RolloutMirror,
        leads: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        """`leads` says whether this process makes heads, `changed` is called when others are to be tried."""
        section = kept.config.regions
        self._section = section
        self._pools, trials = PoolTable(kept.database, time.time()), TrialTable(kept.database)
        library = Library(registry, kept.artifacts, HeadTable(registry), publisher)
        pace = Pace(section.least_lessons, section.wait_s, 3600.0 * section.give_up_h, 3600.0 * section.again_h)
        terms = Terms(section.max_loss, section.confidence, section.change_bytes, pace)
        record = RegionRecord(self._pools, trials)
        chooser = HeadChooser(record, library, pace.wait_s)
        heads = Heads(HeadJudge(record, library, pace), HeadMaker(record, library, terms), chooser)
        self.heads = RegionHeads(heads, trials, library, fleet.agents, mirror, leads, changed, time.time)
        self.servicer = PoolServicer(self._pools)
        self.views = RegionServicer(self._pools, trials, fleet.agents)

    async def run(self, start: Start) -> None:
        """Makes heads, as far as that is allowed; `start` starts rollouts."""
        await self.heads.run(self._section.heads, self._section.look_s, self._section.soak_s, start)

    def sweep(self) -> None:
        """Lets go of what is too old; to be called now and then, on a thread."""
        self._pools.expire(time.time())
