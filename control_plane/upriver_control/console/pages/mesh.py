"""Who is in the mesh, how everyone is, and who asks whom how much: live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from upriver.v1 import mesh_pb2 as pb
from upriver_control.console import words
from upriver_control.console.asking import Refused, or_refused
from upriver_control.console.drawing import mesh, mesh_words
from upriver_control.console.drawing.choosing import choose
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed
from upriver_control.console.site import Site

WIDE, NARROW = 1080, 340
PACES_S = ((200, 0.5), (1000, 2.0), (2**31, 5.0))
"""Up to so many agents, so often."""
_MANY = 100  # agents that are drawn on the event loop; more are drawn on a thread


@dataclass(frozen=True, slots=True)
class Drawn:
    """The page's three parts, drawn once for everybody who looks."""

    summary: Markup
    picture: Markup
    rows: Markup


def add(site: Site) -> None:
    """Registers `/mesh`."""

    @site.page("/mesh")
    async def page(selector: str = "") -> None:
        def make() -> Feed[Drawn]:
            return Feed(lambda: news(site, selector))

        feed = make() if selector else site.feed("mesh", make)
        with site.frame("Mesh", "/mesh") as frame:
            frame.part(choose("/mesh", selector))
            summary = frame.part(tag("p", {"class": "quiet"}, "No news of the mesh yet."))
            picture, rows = frame.part(), frame.part()

            def show(drawn: Drawn) -> None:
                summary.set(drawn.summary)
                picture.set(drawn.picture)
                rows.set(drawn.rows)

            await frame.live(feed, show)


async def news(site: Site, selector: str) -> AsyncIterator[Drawn]:
    """The page's content whenever the mesh has changed, as often as is right for so many agents."""
    interval_s = PACES_S[0][1]
    while True:
        request = pb.WatchMeshRequest(selector=selector)
        request.interval.FromTimedelta(timedelta(seconds=interval_s))
        async with aclosing(site.remote.mesh.WatchMesh(request)) as stream:
            async for told in or_refused(stream):
                if isinstance(told, Refused):
                    yield Drawn(words.problem(told.why), Markup(), Markup())
                    continue
                yield await _drawn(told, selector)
                if (better_s := pace_s(len(told.agents))) != interval_s:
                    interval_s = better_s
                    break
            else:
                return


def pace_s(agents: int) -> float:
    """How often so many agents are asked for: drawing five thousand takes a sixth of a second."""
    return next((seconds for most, seconds in PACES_S if agents <= most), PACES_S[-1][1])


async def _drawn(news: pb.WatchMeshResponse, selector: str) -> Drawn:
    if len(news.agents) > _MANY:
        return await asyncio.to_thread(draw, news, selector)
    return draw(news, selector)


def draw(news: pb.WatchMeshResponse, selector: str) -> Drawn:
    """Draws the whole page's content."""
    if not news.agents:
        return Drawn(mesh_words.empty(selector), Markup(), Markup())
    picture = tag(
        "div",
        {"class": "card"},
        tag("div", {"class": "wide"}, mesh.draw(news, WIDE)),
        tag("div", {"class": "narrow"}, mesh.draw(news, NARROW)),
        mesh_words.legend(news),
    )
    return Drawn(mesh_words.summary(news), picture, tag("div", {"class": "card"}, join(mesh_words.rows(news))))
