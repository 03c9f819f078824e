"""What an agent knows of its upstreams: discovery's last snapshot, the links, and the order to ask in."""

import random
from collections.abc import Callable, Iterator

from upriver.discovery.port import AgentRecord, Discovery
from upriver_agent.balance import candidates
from upriver_agent.cascade import Upward
from upriver_agent.envelope import CallerOptions, Envelope
from upriver_agent.place import Place
from upriver_agent.reserve import MIN_S
from upriver_agent.upstream.links import Links


class Upstreams:
    """The agents above this one. `pick(n)` is chance, an index below n."""

    def __init__(
        self, place: Place, discovery: Discovery, links: Links, pick: Callable[[int], int] = random.randrange
    ) -> None:
        self.links = links
        self._place = place
        self._discovery = discovery
        self._pick = pick

    def look(self, time_left_s: float | None, row_bytes: int) -> Upward:
        """What a decision needs to know now."""
        return Upward(
            agents=self._discovery.agents(), broken=(), time_left_s=time_left_s, reserve_s=MIN_S, row_bytes=row_bytes
        )

    def candidates(self, model: str, options: CallerOptions, envelope: Envelope) -> Iterator[AgentRecord]:
        """The upstreams to ask, in order, each when the one before has failed."""
        return candidates(
            self._discovery.agents(),
            self._place,
            model,
            options,
            envelope.visited,
            (),
            self.links.outstanding,
            self._pick,
        )
