"""What every page stands in: header, navigation, footer, and the way news come into it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from nicegui import background_tasks, ui

from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed
from upriver_control.console.remote import Remote
from upriver_control.console.settings import Settings

T = TypeVar("T")
STATIC: Final = Path(__file__).parent / "static"
NAVIGATION: Final = (
    ("Questions", "/questions"),
    ("Mesh", "/mesh"),
    ("Fleet", "/fleet"),
    ("Models", "/models"),
    ("Policies", "/policies"),
    ("Learning", "/learning"),
)
MAX_FEEDS: Final = 64
"""So many feeds are kept; of more, those that nobody follows go."""
_FIRST_S: Final = 1.0
"""How long a page waits for its first news, so that it is drawn with them."""
_LOOK_S: Final = 1.0
_FAULT: Final = tag(
    "p",
    None,
    "A fault of the console, which the control plane's log tells. What is shown may be old: load the page anew.",
)
_PAGE_S: Final = 15.0
"""How long a page may take until it is drawn first: longer than any call that it waits for."""


class Part:
    """A piece of a page whose content is set again and again; what has not changed is not sent."""

    def __init__(self, element: ui.html) -> None:
        self.element = element

    def set(self, content: Markup) -> None:
        """Shows something else."""
        if self.element.content != content:
            self.element.set_content(content)


class Frame:
    """An open page: parts are added to it, and news shown in them."""

    def __init__(self, stale: Part) -> None:
        self._stale = stale
        self._client = ui.context.client
        self._feeds: list[Feed[Any]] = []
        self._broken = False
        self._client.on_exception(self._fault)

    def part(self, content: Markup | str = "", classes: str = "") -> Part:
        """Adds a piece of markup; a page has few of them, each drawn as a whole."""
        shown = content if isinstance(content, Markup) else join(content)
        return Part(ui.html(shown, sanitize=False).classes(classes))

    async def live(self, feed: Feed[T], show: Callable[[T], None], first: bool = True) -> None:
        """Shows a feed's news as they come, until the browser has gone.

        With `first` it waits for the first of them, a second at most, so that the page is drawn with them.
        """
        came = asyncio.Event()

        async def follow() -> None:
            async for news in feed.follow():
                show(news)
                came.set()

        self.later(follow())
        if not self._feeds:
            self.later(self._look())
        self._feeds.append(feed)
        if not first:
            return
        waiting = [asyncio.create_task(event.wait()) for event in (came, feed.failed)]
        await asyncio.wait(waiting, timeout=_FIRST_S, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if feed.trouble and not self._broken:
            self._stale.set(_stale([feed]))

    async def _look(self) -> None:
        while not self._broken:
            self._stale.set(_stale([feed for feed in self._feeds if feed.stale(time.time())]))
            await asyncio.sleep(_LOOK_S)

    def _fault(self) -> None:
        """Says that the page failed in a way that nobody foresaw, so that nobody takes what stands there for new."""
        self._broken = True
        self._stale.set(_FAULT)

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Does something while the page is there already; what it draws comes when it is done."""
        task = background_tasks.create(work, name="a page is filled", context=self._client)
        # Not `task.cancel` itself: the client would be given to it, as the message that each CancelledError then keeps.
        self._client.on_delete(lambda: task.cancel())


@dataclass(frozen=True, slots=True)
class Site:
    """What pages are made with."""

    remote: Remote
    settings: Settings
    _feeds: dict[str, Feed[object]] = field(default_factory=dict)

    def feed(self, name: str, make: Callable[[], Feed[T]]) -> Feed[T]:
        """The feed of this name, made when a page asks for it first: all pages share it."""
        if name not in self._feeds:
            if len(self._feeds) >= MAX_FEEDS:
                for other in [other for other, feed in self._feeds.items() if not feed.followed]:
                    del self._feeds[other]
            self._feeds[name] = make()  # type: ignore[assignment]  # the name says of which kind it is
        return self._feeds[name]  # type: ignore[return-value]  # as above

    def page(self, path: str) -> ui.page:
        """Registers a function as the page at an address; its parameters are those of the address."""
        return ui.page(path, response_timeout=_PAGE_S)

    @contextmanager
    def frame(self, title: str, path: str) -> Iterator[Frame]:
        """A page: `title` is its one heading and in the browser's title, `path` the entry of the navigation."""
        client = ui.context.client
        client.title = f"{title} · Upriver"
        with client.layout:
            ui.html(header(path), sanitize=False, tag="header").classes("top").move(target_index=0)
            ui.html(footer(self.settings), sanitize=False, tag="footer").classes("bottom")
        stale = Part(ui.html("", sanitize=False).props('role="status"').classes("stale"))
        ui.html(tag("h1", {"id": "content", "tabindex": -1}, title), sanitize=False)
        yield Frame(stale)


def when_changed(show: Callable[[T], None]) -> Callable[[T], None]:
    """The same, but nothing for news that say what was said before: drawing costs more than looking."""
    last: list[T] = []

    def shown(news: T) -> None:
        if last != [news]:
            last[:] = [news]
            show(news)

    return shown


def header(path: str) -> Markup:
    """The header: the way to the content, to the other pages, and the switch of light and dark."""
    entries = [
        tag("li", None, tag("a", {"href": to, "aria-current": "page" if to == path else None}, word))
        for word, to in NAVIGATION
    ]
    return join(
        tag("a", {"class": "skip", "href": "#content"}, "Skip to content"),
        tag("a", {"class": "brand", "href": "/"}, "Upriver"),
        tag("nav", {"aria-label": "Pages"}, tag("ul", None, *entries)),
        tag("button", {"type": "button", "class": "theme", "data-theme-switch": True}, "Light or dark"),
    )


def footer(settings: Settings) -> Markup:
    """The footer."""
    leave = tag("form", {"method": "post", "action": "/logout"}, tag("button", {"type": "submit"}, "Log out"))
    return join(
        tag("a", {"href": "/about"}, "About"),
        tag("span", {"class": "quiet"}, f"Upriver {settings.version}"),
        tag("span", {"class": "quiet wide-only"}, "Keys: j k Enter to choose, / to search"),
        leave if settings.token else None,
    )


def head() -> Markup:
    """What every page has in its head: the stylesheet and the script, by their content."""
    return join(
        tag("link", {"rel": "stylesheet", "href": static("console.css")}),
        tag("script", {"src": static("console.js")}),
    )


@cache
def static(name: str) -> str:
    """The address of a file of the console's own, which changes with its content."""
    return f"/static/{name}?{sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def _stale(feeds: Sequence[Feed[Any]]) -> Markup:
    """What is not new any more, each trouble once, with the oldest time since."""
    if not feeds:
        return Markup()
    since = units.clock(datetime.fromtimestamp(min(feed.at for feed in feeds), UTC))
    troubles = dict.fromkeys(words.sentence(feed.trouble) for feed in feeds)
    return tag("p", None, f"No news since {since} UTC. {' '.join(troubles)}")
