"""Load from outside: h2load (Debian's nghttp2-client) with a pre-framed gRPC body, every answer's size checked."""

import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

METHOD = "/inference.GRPCInferenceService/ModelInfer"
STREAM_METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")
_TIMEOUT_S = 300


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


def h2load(address: str, body: bytes, calls: int, in_flight: int, answer_bytes: int, method: str = METHOD) -> Load:
    """Sends `body` `calls` times over one connection, `in_flight` at once.

    `answer_bytes` is the size of each answer's frames; raises LoadFailed when a call fails or the sizes do not add up.
    """
    tool = shutil.which("h2load")
    if tool is None:
        raise LoadFailed("h2load is not installed: apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "body"), Path(folder, "log")
        data.write_bytes(body)
        sizes = ("-n", str(calls), "-c", "1", "-m", str(in_flight), f"--log-file={log}")
        done = subprocess.run(  # noqa: S603 - h2load with our own arguments
            [tool, *sizes, "-d", str(data), *_HEADERS, f"http://{address}{method}"],
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
    if failed or int(received[1]) != calls * answer_bytes:
        raise LoadFailed(
            f"{failed} of {calls} calls failed; {received[1]} bytes of answers, expected {calls * answer_bytes}"
        )
    took = np.array([float(micros) for _, _, micros in rows])
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[seconds[2]]
    return Load(calls, float(seconds[1]) * unit, float(np.percentile(took, 50)), float(np.percentile(took, 99)))
