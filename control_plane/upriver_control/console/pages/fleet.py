"""Every agent: what it should run, what it runs, why they differ and since when. Live."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from upriver.v1 import fleet_pb2 as pb
from upriver_control.console import words
from upriver_control.console.asking import Refused, or_refused
from upriver_control.console.drawing import fleet as drawing
from upriver_control.console.drawing import mesh_words
from upriver_control.console.drawing.choosing import choose
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site

PAGE: Final = 100
_EVERY_S: Final = 0.5
_MANY: Final = 500
_MANY_S: Final = 3.0
"""How often more than so many agents are asked for: all are looked at, to find those that are not as desired."""
Listed = tuple[pb.ListAgentsResponse, pb.ListAgentsResponse]


def add(site: Site) -> None:
    """Registers `/fleet` and `/fleet/{agent}`."""

    @site.page("/fleet")
    async def fleet(selector: str = "", after: str = "") -> None:
        def make() -> Feed[tuple[Markup, Markup]]:
            return Feed(lambda: _listed(site, selector, after))

        feed = make() if selector or after else site.feed("fleet", make)
        with site.frame("Fleet", "/fleet") as frame:
            frame.part(choose("/fleet", selector))
            differing = frame.part(tag("p", {"class": "quiet"}, "No news of the fleet yet."))
            everyone = frame.part()

            def show(drawn: tuple[Markup, Markup]) -> None:
                differing.set(drawn[0])
                everyone.set(drawn[1])

            await frame.live(feed, show)

    @site.page("/fleet/{agent:path}")
    async def one(agent: str) -> None:
        feed = Feed(lambda: _one(site, agent))
        with site.frame(agent, "/fleet") as frame:
            frame.part(drawing.ways(agent))
            parts = [frame.part() for _ in range(3)]

            def show(drawn: tuple[Markup, ...]) -> None:
                for part, content in zip(parts, drawn, strict=True):
                    part.set(content)

            await frame.live(feed, show)


async def _listed(site: Site, selector: str, after: str) -> AsyncIterator[tuple[Markup, Markup]]:
    async def fetch() -> Listed:
        differing = pb.ListAgentsRequest(selector=selector, out_of_sync=True, page_size=PAGE)
        everyone = pb.ListAgentsRequest(selector=selector, page_size=PAGE, page_token=after)
        told = await asyncio.gather(site.remote.fleet.ListAgents(differing), site.remote.fleet.ListAgents(everyone))
        return told[0], told[1]

    async def told() -> AsyncIterator[Listed]:
        while True:
            listed = await fetch()
            yield listed
            await asyncio.sleep(_EVERY_S if listed[1].total_size <= _MANY else _MANY_S)

    async for news in or_refused(told()):
        yield (words.problem(news.why), Markup()) if isinstance(news, Refused) else draw(news, selector, after)


def draw(listed: Listed, selector: str, after: str = "") -> tuple[Markup, Markup]:
    """Those that are not as desired, and all from `after` on."""
    differing, everyone = listed
    if not everyone.total_size:
        return mesh_words.empty(selector), Markup()
    following = _address(selector, everyone.next_page_token) if everyone.next_page_token else ""
    first = _address(selector, "") if after else ""
    return (
        _card(drawing.differing(differing.agents, differing.total_size)),
        _card(drawing.listing(everyone.agents, everyone.total_size, following, first)),
    )


def _address(selector: str, after: str) -> str:
    query = urlencode({key: value for key, value in (("selector", selector), ("after", after)) if value})
    return f"/fleet?{query}" if query else "/fleet"


async def _one(site: Site, agent: str) -> AsyncIterator[tuple[Markup, ...]]:
    async def fetch() -> pb.Agent:
        answer = await site.remote.fleet.GetAgent(pb.GetAgentRequest(name=f"agents/{agent}"))
        found: pb.Agent = answer.agent
        return found

    async for news in or_refused(polled(fetch, _EVERY_S)):
        if isinstance(news, Refused):
            yield words.nothing(news.why, "upriver fleet list", "This lists all that are known."), *(Markup(),) * 2
        else:
            yield draw_one(news, datetime.now(UTC))


def draw_one(agent: pb.Agent, now: datetime) -> tuple[Markup, ...]:
    """One agent in three parts: how it is, its slots, and what it is."""
    return join(drawing.state(agent), drawing.remarks(agent)), drawing.slots(agent), _card(drawing.about(agent, now))


def _card(content: Markup) -> Markup:
    return tag("div", {"class": "card whole-names"}, content)
