"""What this control plane is, and how the store of spans is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from upriver.v1 import fleet_pb2
from upriver_control.console import span_store
from upriver_control.console.drawing import about as drawing
from upriver_control.console.drawing.svg import tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site

_FLEET_S: Final = 10.0
_AGENTS: Final = 1000


def add(site: Site) -> None:
    """Registers `/about`."""

    @site.page("/about")
    async def about() -> None:
        agents = site.feed("programs", lambda: Feed(lambda: _agents(site)))
        with site.frame("About", "/about") as frame:
            programs = frame.part(drawing.programs(site.settings.version, (), 0))
            store = frame.part(tag("p", {"class": "quiet"}, "No figures of the store of spans yet."))
            await frame.live(
                agents, lambda told: programs.set(drawing.programs(site.settings.version, told.agents, told.total_size))
            )
            await frame.live(span_store.feed(site), lambda told: store.set(drawing.store(told, datetime.now(UTC))))


def _agents(site: Site) -> AsyncIterator[fleet_pb2.ListAgentsResponse]:
    return polled(lambda: site.remote.fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=_AGENTS)), _FLEET_S)
