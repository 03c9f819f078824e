"""The console as the control plane has it: bound early, loaded later, and left out where it is not installed.

This module does not load NiceGUI; `upriver_control.console.app` does, once the control plane serves.
"""

import asyncio
import importlib
import importlib.util
import logging
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

import grpc.aio

from upriver.errors import ConfigError, RuntimeMissing
from upriver_control.console.settings import Settings

_LOG = logging.getLogger(__name__)
_LIBRARY: Final = "nicegui"
_APP: Final = "upriver_control.console.app"
_BACKLOG: Final = 128
_PREFIX: Final = "upriver-console-"
_SOCKET: Final = "console.sock"
_OLD_S: Final = 60.0


class ConsoleService:
    """One console. Its services are called over a socket in a private folder, whatever the public port asks for."""

    def __init__(self, settings: Settings) -> None:
        """Raises RuntimeMissing without the extra."""
        if importlib.util.find_spec(_LIBRARY) is None:
            raise RuntimeMissing("the console needs NiceGUI: pip install 'upriver[console]'")
        self._settings = settings
        host = settings.listen.rpartition(":")[0]
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        _clean(Path(tempfile.gettempdir()), time.time())
        # Not in the state folder: control planes may share that, and a socket's path has 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # for this user only, as mkdtemp has it
        self._target = f"unix:{self._folder / _SOCKET}"

    @property
    def url(self) -> str:
        """Where browsers find it, `http://host:port`."""
        return f"http://{self._settings.listen}"

    def bind(self, server: grpc.aio.Server) -> None:
        """Has the server listen for the console too, and binds where browsers call; raises ConfigError."""
        mask = os.umask(0o177)
        try:
            server.add_insecure_port(self._target)
        except RuntimeError as error:
            raise ConfigError("can't serve", [f"console: {error}; expected a folder for temporary files"]) from error
        finally:
            os.umask(mask)
        _bind(self._listener, self._settings)
        port = self._listener.getsockname()[1]
        listen = f"{self._settings.listen.rpartition(':')[0]}:{port}"
        self._settings = Settings(listen, self._settings.token, self._settings.version)

    async def run(self) -> None:
        """Serves browsers until it is cancelled; before that, loads what it takes on a thread of its own.

        Where that fails, browsers are refused, the log tells why, and the control plane goes on without.
        """
        try:
            app = await asyncio.to_thread(importlib.import_module, _APP)
            await app.serve(self._listener, self._target, self._settings)
            _LOG.error("the console has ended by itself; the control plane goes on without")
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and agents do not need it
            _LOG.exception("the console has failed; the control plane goes on without")
        self._listener.close()
        await asyncio.Event().wait()  # a job that comes back would end the control plane

    def close(self) -> None:
        """Gives the port and the private folder back."""
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _clean(there: Path, now: float) -> None:
    """Takes away what control planes left that were killed: folders of this user whose socket nobody listens on."""
    for folder in there.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid != os.getuid() or now - folder.stat().st_mtime < _OLD_S:
                continue
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.settimeout(1.0)
                caller.connect(str(folder / _SOCKET))
        except ConnectionRefusedError:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another cleans here too, or there is no socket in it yet
            continue


def _bind(listener: socket.socket, settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(_BACKLOG)  # who calls before the pages are loaded waits
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "can't serve",
            [
                f"console.listen = {settings.listen!r}: {error}; expected a free port on an address of this host, or "
                "console.enabled = false"
            ],
        ) from error
