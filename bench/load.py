"""Load from outside: h2load (Debian's nghttp2-client) with a pre-framed gRPC body, every answer's size checked.

Where h2load is missing, grpcio's own client sends the same. It is slower and shares the machine with the server, so its
latencies and rates are not to be held against h2load's; the server's CPU per request is.
"""

import re
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

METHOD = "/inference.GRPCInferenceService/ModelInfer"
STREAM_METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
FRAME_BYTES = 5
_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")
_TIMEOUT_S = 300
_CALL_TIMEOUT_S = 30


class LoadFailed(Exception):
    """The load could not be made, or the server did not answer as it must."""


@dataclass(frozen=True)
class Load:
    """What one run of the load saw; microseconds."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def framed(message: bytes) -> bytes:
    """A gRPC message with its five-byte prefix."""
    return b"\0" + struct.pack(">I", len(message)) + message


def unframed(body: bytes) -> list[bytes]:
    """The gRPC messages of a body."""
    messages = []
    while body:
        (size,) = struct.unpack(">I", body[1:FRAME_BYTES])
        messages.append(body[FRAME_BYTES : FRAME_BYTES + size])
        body = body[FRAME_BYTES + size :]
    return messages


def client() -> str:
    """Which client makes the load here."""
    return "h2load" if shutil.which("h2load") else "grpcio"


def load(address: str, body: bytes, calls: int, in_flight: int, answer_bytes: int, method: str = METHOD) -> Load:
    """Sends `body` `calls` times over one connection, `in_flight` at once.

    `answer_bytes` is the size of each answer's frames; raises LoadFailed when a call fails or the sizes do not add up.
    """
    send = _h2load if client() == "h2load" else _grpcio
    return send(address, body, calls, in_flight, answer_bytes, method)


def _h2load(address: str, body: bytes, calls: int, in_flight: int, answer_bytes: int, method: str) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "body"), Path(folder, "log")
        data.write_bytes(body)
        sizes = ("-n", str(calls), "-c", "1", "-m", str(in_flight), f"--log-file={log}")
        done = subprocess.run(  # noqa: S603 - h2load with our own arguments
            ["h2load", *sizes, "-d", str(data), *_HEADERS, f"http://{address}{method}"],  # noqa: S607 - from PATH
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        rows = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    seconds = re.search(r"finished in ([0-9.]+)(us|ms|s)", done.stdout)
    received = re.search(r"\((\d+)\) data", done.stdout)
    if done.returncode or seconds is None or received is None or len(rows) != calls:
        raise LoadFailed(f"h2load: {done.stdout[-500:]}{done.stderr[-300:]}")
    failed = sum(status != "200" for _, status, _ in rows)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[seconds[2]]
    took = [float(micros) for _, _, micros in rows]
    return _summed_up(took, float(seconds[1]) * unit, failed, int(received[1]), answer_bytes)


def _grpcio(address: str, body: bytes, calls: int, in_flight: int, answer_bytes: int, method: str) -> Load:
    messages = unframed(body)
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(in_flight) as pool:
        ask = _asking(channel, method, messages)

        def one(_: int) -> tuple[float, int]:
            began = time.perf_counter()
            received = ask()
            return (time.perf_counter() - began) * 1e6, received

        began = time.perf_counter()
        try:
            rows = list(pool.map(one, range(calls)))
        except grpc.RpcError as error:
            raise LoadFailed(f"a call to {address} failed: {error}") from error
        seconds = time.perf_counter() - began
    took, sizes = zip(*rows, strict=True)
    return _summed_up(list(took), seconds, 0, sum(sizes), answer_bytes)


def _asking(channel: grpc.Channel, method: str, messages: list[bytes]) -> Callable[[], int]:
    """A call that sends the messages and gives the size of the answers' frames."""
    if method == STREAM_METHOD:
        stream = channel.stream_stream(method, None, None)
        return lambda: sum(len(answer) + FRAME_BYTES for answer in stream(iter(messages), timeout=_CALL_TIMEOUT_S))
    unary = channel.unary_unary(method, None, None)
    return lambda: len(unary(messages[0], timeout=_CALL_TIMEOUT_S)) + FRAME_BYTES


def _summed_up(took_us: list[float], seconds: float, failed: int, received: int, answer_bytes: int) -> Load:
    calls = len(took_us)
    if failed or received != calls * answer_bytes:
        raise LoadFailed(
            f"{failed} of {calls} calls failed; {received} bytes of answers, expected {calls * answer_bytes}"
        )
    return Load(calls, seconds, float(np.percentile(took_us, 50)), float(np.percentile(took_us, 99)))
