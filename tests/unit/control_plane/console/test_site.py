"""A page that the console itself fails on says so, and goes on saying it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import SimpleNamespace

import pytest

from upriver_control.console import site
from upriver_control.console.feeds import Feed


class Element:
    """What holds markup."""

    content = ""

    def set_content(self, content: str) -> None:
        self.content = content


class Client:
    """A browser's page: what it does when it goes, and on faults of tasks and handlers that belong to it."""

    def __init__(self) -> None:
        self.faults: list[Callable[[], None]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def on_exception(self, handler: Callable[[], None]) -> None:
        self.faults.append(handler)

    def on_delete(self, handler: Callable[[], object]) -> None: ...

    def create(self, work, name: str, context: object = None) -> asyncio.Task[None]:
        """Does what NiceGUI does: faults of tasks that have a page as their context are told to it."""

        async def told() -> None:
            try:
                await work
            except Exception:
                for handler in self.faults if context is self else ():
                    handler()
                raise

        self.tasks.append(asyncio.create_task(told(), name=name))
        return self.tasks[-1]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(site, "ui", SimpleNamespace(context=SimpleNamespace(client=client)))
    monkeypatch.setattr(site, "background_tasks", client)
    monkeypatch.setattr(site, "_LOOK_S", 0.001)
    return client


async def numbers() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(30)


async def fault() -> AsyncIterator[int]:
    await asyncio.sleep(0)
    raise KeyError("a bug")
    yield 0


def badly(_: int) -> None:
    raise OverflowError("a bug")


@pytest.mark.parametrize(("source", "show"), [(fault, list), (numbers, badly)], ids=["source", "drawing"])
def test_a_page_that_can_not_go_on_says_so_and_goes_on_saying_it(client: Client, source, show) -> None:
    element = Element()

    async def look() -> None:
        frame = site.Frame(site.Part(element))
        await frame.live(Feed(source, pace_s=0), show, first=False)
        with suppress(KeyError, OverflowError):
            await client.tasks[0]
        await asyncio.sleep(0.02)  # so that it has looked whether there are news again
        for task in client.tasks:
            task.cancel()

    asyncio.run(look())
    assert "A fault of the console" in element.content


def test_a_button_that_does_nothing_but_fail_is_told_too(client: Client) -> None:
    element = Element()
    site.Frame(site.Part(element))
    assert not element.content
    for handler in client.faults:
        handler()
    assert "A fault of the console" in element.content
