"""A client that asks at a steady rate until its standard input ends: `python -m bench.steady '<JSON of an Order>'`.

Every answer is noted with when it was due (CLOCK_MONOTONIC, the same for all processes), how long it took from then,
and which version gave it. So a server that stands still for a while costs every request that was due meanwhile.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np

from bench.cases import request
from bench.load import METHOD
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Array

_CALL_S = 30.0
FAILED = "failed"


@dataclass(frozen=True)
class Order:
    """Whom to ask, how often in all, on how many connections, and where to write what was seen."""

    address: str
    per_second: float
    connections: int
    file: str


@dataclass(frozen=True)
class Seen:
    """Requests in the order that they were due: seconds, seconds, and version or `FAILED`."""

    due: Array
    took: Array
    version: Array

    @property
    def failed(self) -> int:
        """How many got no answer."""
        return int((self.version == FAILED).sum())


class Steady:
    """The client as a process. A context manager; `seen` after its end."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "bench.steady", json.dumps(asdict(order))], stdin=subprocess.PIPE
        )

    def __enter__(self) -> "Steady":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it; no effect the second time."""
        assert self._process.stdin is not None  # noqa: S101 - opened with a pipe above
        self._process.stdin.close()
        self._process.wait(2 * _CALL_S)

    def seen(self) -> Seen:
        """What it noted."""
        self.stop()
        with np.load(Path(self._order.file)) as found:
            return Seen(found["due"], found["took"], found["version"])


def main(arguments: Sequence[str]) -> int:
    """Asks until standard input ends."""
    order = Order(**json.loads(arguments[0]))
    ended = threading.Event()
    rows: list[list[tuple[float, float, str]]] = [[] for _ in range(order.connections)]
    first = time.monotonic()
    threads = [
        threading.Thread(target=_ask, args=(order, first, number, ended, rows[number]))
        for number in range(order.connections)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    found = sorted(row for some in rows for row in some)
    due, took, version = zip(*found, strict=True)
    np.savez(order.file, due=np.array(due), took=np.array(took), version=np.array(version))
    return 0


def _ask(order: Order, first: float, number: int, ended: threading.Event, rows: list[tuple[float, float, str]]) -> None:
    message = request()
    every_s = order.connections / order.per_second
    due = first + number / order.per_second
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(order.address, options) as channel:
        call = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
        while not ended.wait(max(0.0, due - time.monotonic())):
            try:
                version = call(message, timeout=_CALL_S).model_version
            except grpc.RpcError:
                version = FAILED
            rows.append((due, time.monotonic() - due, version))
            due += every_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
