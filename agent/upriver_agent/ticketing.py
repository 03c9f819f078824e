"""An agent's tickets, composed: the desk that keeps them, what asks them again, and the service that tells of them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from typing import Any, Final

from upriver.discovery.port import Discovery
from upriver.errors import DiskTrouble
from upriver.services import handlers
from upriver_agent.place import Place
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.core import ServingCore
from upriver_agent.serving.slots import Slots
from upriver_agent.tickets.asking import Asker, Mesh
from upriver_agent.tickets.desk import DeskOptions, TicketDesk
from upriver_agent.tickets.reasking import Reasker, Sights
from upriver_agent.transport.tickets import SERVICE, TicketServicer
from upriver_agent.upstream.upstreams import Upstreams

_BUSY_SHARE: Final = 0.25
"""Of the requests that an agent takes at once: with more inside no ticket is asked again."""


class Ticketing:
    """The tickets of one agent; without `tickets.enabled` there are none, and the service says so."""

    def __init__(self, config: AgentConfig, upstreams: Upstreams) -> None:
        section = config.tickets
        self._config = config
        self._upstreams = upstreams
        options = DeskOptions(
            agent=config.agent.id,
            folder=config.agent.state_dir,
            max_bytes=section.max_mib << 20,
            max_age_s=section.max_age_h * 3600,
            max_input_bytes=section.max_input_kib << 10,
        )
        self.desk = TicketDesk(options, upstreams.timer) if section.enabled else None
        self._reasker: Reasker | None = None
        self._counted: dict[str, int] = {}
        self._started = self._closed = False

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """TicketService's handler; `blocking` marks a serving thread as waiting."""
        return handlers(SERVICE, TicketServicer(self.desk, self._config.tickets.access, blocking))

    def start(self, core: ServingCore, place: Place, slots: Slots, discovery: Discovery, admission: Admission) -> None:
        """Opens the journal and begins to ask again, in the background; call it once models are loaded."""
        if self.desk is None:
            return

        def own() -> Mapping[str, str]:
            return {slot.model: slot.active.policy.digest for slot in slots.all() if slot.active is not None}

        def busy() -> bool:
            return admission.draining or admission.inflight > _BUSY_SHARE * admission.limit

        mesh = Mesh(place, core.again, lambda: self._upstreams.look(None, 0))
        asker = Asker(self.desk, mesh, self._config.cascade.default_timeout_s)
        sights = Sights(place, own, discovery.agents, busy)
        self._reasker = Reasker(self.desk, asker, sights, self._config.tickets.reask_per_s)
        self.desk.start()
        self._reasker.start()
        self._started = True

    def drain(self) -> None:
        """Asks nothing again any more, and lets those go who wait; tickets are still given."""
        if self._reasker is not None:
            self._reasker.close()
        if self.desk is not None:
            self.desk.waiters.close()

    def counters(self) -> Mapping[str, int]:
        """What has become of the tickets, by name; as last known when the journal can't be read."""
        if self.desk is not None and self._started and not self._closed:
            with suppress(DiskTrouble):
                self._counted = {f"tickets_{name}": count for name, count in asdict(self.desk.counters()).items()}
        return self._counted

    def close(self) -> None:
        """Ends; whatever is open is asked again after the next start."""
        self.counters()
        self._closed = True
        if self.desk is not None:
            self.desk.close()
