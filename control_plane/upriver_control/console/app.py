"""The console's web application: NiceGUI's pages behind the login, on the event loop of the control plane."""

import asyncio
import logging
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import app, ui
from starlette.staticfiles import StaticFiles

from upriver_control.console.access import Access
from upriver_control.console.pages import (
    about,
    fleet,
    inspector,
    learning,
    login,
    mesh,
    missing,
    model,
    models,
    policies,
    policy,
    questions,
)
from upriver_control.console.remote import Remote
from upriver_control.console.settings import Settings
from upriver_control.console.site import STATIC, Site, head

_LOG = logging.getLogger(__name__)
PAGES: Final = (
    questions,
    inspector,
    mesh,
    fleet,
    models,
    model,
    policies,
    policy,
    learning,
    about,
    missing,
)
_HISTORY: Final = 100
_GONE_S: Final = 10.0
"""A browser that was away for so long has gone; one that comes back before goes on where it was and loads nothing anew.
It is held to be away 0.4 times that after it should have answered: with NiceGUI's own 3 s, busy machines lost pages."""
_END_S: Final = 2


class _Server(uvicorn.Server):
    """Leaves signals to the control plane."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Captures none."""
        yield


async def serve(listener: socket.socket, target: str, settings: Settings) -> None:
    """Serves the pages on a bound socket until it is cancelled; `target` is where the services are."""
    remote = Remote(target, settings.token)
    server = _Server(_configured(Site(remote, settings)))
    serving = asyncio.create_task(server.serve([listener]), name="browsers are served")
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await asyncio.wait([serving])
        await remote.close()


def _configured(site: Site) -> uvicorn.Config:
    web = FastAPI(openapi_url=None)
    web.mount("/static", StaticFiles(directory=STATIC))
    for page in PAGES:
        page.add(site)
    ui.add_head_html(head(), shared=True)
    app.config.quasar_config["loadingBar"]["skipHijack"] = True  # a bar for each request, which has no name
    ui.run_with(
        web,
        title="Upriver",
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        message_history_length=_HISTORY,
        reconnect_timeout=_GONE_S,
        show_welcome_message=False,
    )
    return uvicorn.Config(
        Access(web, site.settings, login.draw, time.time),
        loop="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_END_S,
    )
