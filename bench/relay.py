"""TCP relays that can be told to be slow, cut or flapping: `python -m bench.relay '<JSON of relays>'`.

A process of its own. It reads orders from standard input, one a line of JSON, and answers each with a line once it
holds. So what is between two agents can break without either of them knowing of it.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

_CHUNK = 1 << 16
_QUEUED = 64
"""Chunks that may be on their way in one direction of one connection."""

Way = Literal["open", "cut", "reset"]


@dataclass(frozen=True)
class Route:
    """Where a relay listens and leads, host:port both."""

    listen: str
    to: str


@dataclass(frozen=True)
class Order:
    """How a relay is to behave: `cut` passes nothing on, `reset` ends connections, `delay_s` is added one way."""

    listen: str
    way: Way = "open"
    delay_s: float = 0.0


class Relays:
    """The process, from outside. A context manager."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "bench.relay", json.dumps([asdict(route) for route in routes])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        self._confirmed()

    def __enter__(self) -> "Relays":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened with a pipe above
        self._process.stdin.close()
        self._process.wait(60)

    def tell(self, order: Order) -> None:
        """Has a relay behave so from now on."""
        with self._lock:
            assert self._process.stdin is not None  # noqa: S101 - opened with a pipe above
            self._process.stdin.write(json.dumps(asdict(order)) + "\n")
            self._process.stdin.flush()
            self._confirmed()

    def _confirmed(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - opened with a pipe above
        if not self._process.stdout.readline():
            raise OSError("the relays have ended")


class _Relay:
    def __init__(self, route: Route) -> None:
        self._to = route.to
        self._order = Order(route.listen)
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        await asyncio.start_server(self._accepted, host, int(port))

    def obey(self, order: Order) -> None:
        self._order = order
        if order.way == "cut":
            self._open.clear()
        else:
            self._open.set()
        if order.way == "reset":
            for writer in self._writers:
                _reset(writer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        if self._order.way == "reset":
            _reset(writer)
            return
        host, _, port = self._to.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        there = asyncio.create_task(self._pass_on(reader, far_writer, there=True))
        back = asyncio.create_task(self._pass_on(far_reader, writer, there=False))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: bool) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED)
        writing = asyncio.create_task(self._write(chunks, writer))
        clock = asyncio.get_running_loop().time
        try:
            while not writing.done() and (chunk := await reader.read(_CHUNK)):
                await chunks.put((clock() + (self._order.delay_s if there else 0.0), chunk))
        except OSError:
            return
        finally:
            writing.cancel()

    async def _write(self, chunks: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                due, chunk = await chunks.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a machine does that knows nothing of it: by RST, whatever is still on its way."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(routes: Sequence[Route]) -> None:
    relays = {route.listen: _Relay(route) for route in routes}
    for listen, relay in relays.items():
        await relay.serve(listen)
    print(flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = Order(**json.loads(line))
        relays[order.listen].obey(order)
        print(flush=True)


if __name__ == "__main__":
    asyncio.run(_run([Route(**route) for route in json.loads(sys.argv[1])]))
