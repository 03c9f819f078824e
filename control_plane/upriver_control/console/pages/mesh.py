"""Who is in the mesh, how everyone is, and who asks whom how much: live."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from nicegui import ui

from upriver.v1 import mesh_pb2 as pb
from upriver_control.console import words
from upriver_control.console.asking import Refused, or_refused
from upriver_control.console.drawing import mesh, mesh_words
from upriver_control.console.drawing.choosing import choose
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed
from upriver_control.console.site import Site

WIDE, NARROW = 1080, 340
_OFTEN_NS = 500_000_000
_MANY = 100  # agents that are drawn on the event loop; more are drawn on a thread


@dataclass(frozen=True, slots=True)
class Drawn:
    """The page's three parts, drawn once for everybody who looks."""

    summary: Markup
    picture: Markup
    rows: Markup


def add(site: Site) -> None:
    """Registers `/mesh`."""

    @ui.page("/mesh")
    async def page(selector: str = "") -> None:
        def make() -> Feed[Drawn]:
            return Feed(lambda: _news(site, selector))

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


async def _news(site: Site, selector: str) -> AsyncIterator[Drawn]:
    request = pb.WatchMeshRequest(selector=selector, interval=Duration(nanos=_OFTEN_NS))
    async for news in or_refused(site.remote.mesh.WatchMesh(request)):
        if isinstance(news, Refused):
            yield Drawn(words.problem(news.why), Markup(), Markup())
        elif len(news.agents) > _MANY:
            yield await asyncio.to_thread(draw, news, selector)
        else:
            yield draw(news, selector)


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
