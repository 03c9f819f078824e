"""The console as the control plane has it."""

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import grpc.aio
import pytest

from upriver.errors import ConfigError, RuntimeMissing
from upriver_control.console.service import ConsoleService
from upriver_control.console.settings import Settings


def test_without_its_extra_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(RuntimeMissing, match=r"pip install 'upriver\[console\]'"):
        ConsoleService(Settings("127.0.0.1:0", "", "1"))


def looked_at(there: Path) -> None:
    (folder,) = there.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "console.sock").stat().st_mode) == 0o600


def test_services_are_there_for_this_user_alone_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def bind() -> None:
        service, server = ConsoleService(Settings("127.0.0.1:0", "", "1")), grpc.aio.server()
        service.bind(server)
        looked_at(tmp_path)
        assert service.url.startswith("http://127.0.0.1:")
        assert not service.url.endswith(":0")
        await server.start()
        await server.stop(None)
        service.close()

    asyncio.run(bind())
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named() -> None:
    async def bind(listen: str) -> None:
        service = ConsoleService(Settings(listen, "", "1"))
        try:
            service.bind(grpc.aio.server())
        finally:
            service.close()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"console\.listen = '{listen}': .*console\.enabled = false"):
            asyncio.run(bind(listen))


async def fails(*_: object) -> None:
    raise RuntimeError("pages can't be made")


async def ends(*_: object) -> None:
    """As a server does whose application does not start."""


async def is_refused(url: str, running: asyncio.Task[None]) -> bool:
    """Whether browsers are refused while it still runs, sooner or later."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    for _ in range(1000):
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            break
        writer.close()
        await asyncio.wait([running], timeout=0.01)
        if running.done():
            break
    return not running.done()


@pytest.mark.parametrize(
    ("application", "told"),
    [
        (None, "No module named"),
        (SimpleNamespace(serve=fails), "RuntimeError: pages can't be made"),
        (SimpleNamespace(serve=ends), "the console has ended by itself"),
    ],
)
def test_a_console_that_fails_is_told_in_the_log_and_does_not_end_the_control_plane(
    application: object, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("upriver_control.console.service._APP", "upriver_control.console.no_such_module")
    if application is not None:
        monkeypatch.setitem(sys.modules, "upriver_control.console.no_such_module", application)

    async def run() -> None:
        console = ConsoleService(Settings("127.0.0.1:0", "", "1"))
        console.bind(grpc.aio.server())
        running = asyncio.create_task(console.run())
        assert await is_refused(console.url, running)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        console.close()

    asyncio.run(run())
    assert told in caplog.text


def test_what_a_killed_one_left_is_taken_away_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sockets = []
    for name in ("dead", "alive", "young"):
        folder = tmp_path / f"upriver-console-{name}"
        folder.mkdir()
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[-1].bind(str(folder / "console.sock"))
        if name == "alive":
            sockets[-1].listen()
        if name != "young":
            os.utime(folder, (1, 1))
    ConsoleService(Settings("127.0.0.1:0", "", "1")).close()
    for one in sockets:
        one.close()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["upriver-console-alive", "upriver-console-young"]
