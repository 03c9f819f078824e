"""What an open page does when its browser has gone."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nicegui import Client, core

from upriver_control.console import site


class Gone(nullcontext[None]):
    """What NiceGUI does with a client's handlers when the client goes."""

    def __init__(self) -> None:
        super().__init__()
        self.delete_handlers: list[Callable[..., Any]] = []

    def on_delete(self, handler: Callable[..., Any]) -> None:
        Client.on_delete(cast("Client", self), handler)

    def on_exception(self, handler: Callable[..., Any]) -> None:
        """Nothing fails here."""

    def delete(self) -> None:
        for handler in self.delete_handlers:
            Client.safe_invoke(cast("Client", self), handler)


def test_what_fills_a_page_ends_with_its_browser_and_keeps_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client, told = Gone(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            told.append(cancelled.args)
            raise

    async def go() -> None:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        monkeypatch.setattr(site.ui, "context", SimpleNamespace(client=client))
        site.Frame(cast("site.Part", None)).later(work())
        await asyncio.sleep(0)
        client.delete()
        await asyncio.sleep(0)

    asyncio.run(go())
    assert told == [()]
