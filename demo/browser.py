"""A real Chromium without a window, that notes whatever a page does wrong and never leaves this machine.

Playwright drives the Chromium that the system has (Debian's package `chromium`); it brings none of its own.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, ViewportSize, sync_playwright

from demo.processes import DemoFailed

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_HERE: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_FLAGS: Final = (
    "--no-sandbox",  # it runs as root in containers
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
WIDE: Final = ViewportSize(width=1280, height=800)
PHONE: Final = ViewportSize(width=375, height=740)
Scheme = Literal["dark", "light"]


def find_chromium() -> Path | None:
    """The system's Chromium; None where there is none on PATH."""
    found = (shutil.which(name) for name in _NAMES)
    return next((Path(path) for path in found if path), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; raises DemoFailed where there is none on PATH."""
    chromium = find_chromium()
    if chromium is None:
        raise DemoFailed("there is no Chromium on PATH: install Debian's package chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def is_here(url: str) -> bool:
    """Whether a URL is of this machine, or of no machine at all (`data:`, `blob:` and `about:`)."""
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or (parts.hostname or "") in _HERE


@dataclass
class Faults:
    """What pages did wrong: errors in their console, exceptions, requests that would have left this machine.

    `excused` are patterns of what is to be expected: a page whose server was ended may say so.
    """

    seen: list[str] = field(default_factory=list)
    excused: list[re.Pattern[str]] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Notes a fault that is not excused now."""
        if not any(pattern.search(what) for pattern in self.excused):
            self.seen.append(what)

    @contextmanager
    def excuse(self, *patterns: str) -> Iterator[None]:
        """Excuses faults that match one of the patterns while it lasts."""
        added = [re.compile(pattern) for pattern in patterns]
        self.excused += added
        try:
            yield
        finally:
            for pattern in added:
                self.excused.remove(pattern)


@contextmanager
def open_page(
    browser: Browser, faults: Faults, scheme: Scheme = "light", viewport: ViewportSize = WIDE, guarded: bool = True
) -> Iterator[Page]:
    """A page of a context of its own, with no cookies; what goes wrong in it is noted in `faults`.

    `guarded` refuses requests that would leave this machine one by one, which takes the browser its cache; without it
    they come to nothing all the same, as no other name is resolved.
    """
    context = browser.new_context(color_scheme=scheme, viewport=viewport, reduced_motion="reduce", locale="en-US")
    if guarded:
        context.route(lambda url: not is_here(url), lambda route: _refuse(route, faults))
    try:
        page = context.new_page()
        _watch(page, faults)
        yield page
    finally:
        context.close()


def _refuse(route: Route, faults: Faults) -> None:
    faults.note(f"a request that leaves this machine: {route.request.url}")
    route.abort()


def _watch(page: Page, faults: Faults) -> None:
    def in_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.note(f"in the console of {page.url}: {message.text} ({message.location.get('url', '')})")

    page.on("console", in_console)
    page.on("pageerror", lambda error: faults.note(f"an exception on {page.url}: {error}"))
    page.on(
        "websocket",
        lambda socket: None if is_here(socket.url) else faults.note(f"a socket that leaves this machine: {socket.url}"),
    )
