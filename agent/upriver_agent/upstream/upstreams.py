"""What an agent knows of its upstreams: discovery's last snapshot, the links, how they are, and the order to ask in."""

import random
from collections.abc import Callable, Iterator, Sequence

from upriver.discovery.port import AgentRecord, Discovery
from upriver_agent.balance import candidates, peers
from upriver_agent.cascade import Upward
from upriver_agent.envelope import CallerOptions, Envelope
from upriver_agent.place import Place
from upriver_agent.reserve import MIN_S
from upriver_agent.resilience.settings import ResilienceSection
from upriver_agent.upstream.guard import Guard
from upriver_agent.upstream.links import Links
from upriver_agent.upstream.timer import Timer


class Upstreams:
    """The agents above this one. `pick(n)` is chance, an index below n."""

    def __init__(
        self,
        place: Place,
        discovery: Discovery,
        links: Links,
        guard: Guard | None = None,
        timer: Timer | None = None,
        pick: Callable[[int], int] = random.randrange,
    ) -> None:
        """No `guard` is one with the settings that are the default, no `timer` one of its own."""
        self.links = links
        self.guard = guard or Guard(ResilienceSection())
        self.timer = timer or Timer()
        self._place = place
        self._discovery = discovery
        self._pick = pick

    def look(self, time_left_s: float | None, row_bytes: int) -> Upward:
        """What a decision needs to know now."""
        agents = self._discovery.agents()
        return Upward(
            agents=agents,
            avoid=self.guard.avoid(agents),
            time_left_s=time_left_s,
            reserve_s=MIN_S,
            row_bytes=row_bytes,
        )

    def candidates(
        self, model: str, options: CallerOptions, envelope: Envelope, escalate_to: str = ""
    ) -> Iterator[AgentRecord]:
        """The upstreams to ask, in order, each when the one before has failed; `escalate_to` as `candidates` has it."""
        agents = self._discovery.agents()
        return candidates(
            agents,
            self._place,
            model,
            options,
            envelope.visited,
            self.guard.avoid(agents),
            self.links.outstanding,
            self._pick,
            escalate_to,
        )

    def peers(self, record: AgentRecord) -> Sequence[AgentRecord]:
        """The agents of an upstream's tier, itself among them."""
        return peers(self._discovery.agents(), record)

    def close(self) -> None:
        """Ends the timer, and closes all channels; calls in flight end as cancelled."""
        self.timer.close()
        self.links.close()
