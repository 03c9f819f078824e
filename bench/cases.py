"""The cases: which servers are started for each, and one round of measuring it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from bench.load import FRAME_BYTES, METHOD, STREAM_METHOD, Load, LoadFailed, framed, load
from bench.servers import Server, ServerFailed
from bench.untraced_agent import UNTRACED_MODEL
from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as pb

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
MODEL = HERE / "models" / "s"
PEERS = HERE / "peers"
IN_FLIGHT = 16
BATCH = 32
STREAM = 64
_MIN_CALLS = 100
"""Fewer would show the connection's start more than the server."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    rounds: int
    loaded: int
    alone: int


@dataclass(frozen=True)
class Case:
    """One server under one kind of load; a call holds `requests` requests."""

    name: str
    servers: tuple[Server, ...]
    address: str
    body: bytes
    answer_bytes: int
    method: str = METHOD
    requests: int = 1

    def measure(self, sizes: Sizes) -> Figures:
        """One round: latency alone, then throughput and CPU with requests in flight."""
        calls = max(_MIN_CALLS, sizes.loaded // self.requests)
        alone = self._load(max(_MIN_CALLS, sizes.alone // self.requests), 1)
        spent, loaded = self.loaded(calls)
        return {
            "cpu_us": spent / (calls * self.requests) * 1e6,
            "p50_us": alone.p50_us / self.requests,
            "p99_us": alone.p99_us / self.requests,
            "rps": loaded.per_second * self.requests,
            "rss_mb": sum(server.rss_mb() for server in self.servers),
            "cold_s": self.servers[0].cold_s,
        }

    def loaded(self, calls: int) -> tuple[float, Load]:
        """Seconds of processor time that so many calls took, with requests in flight, and how they went."""
        before = sum(server.cpu_s() for server in self.servers)
        went = self._load(calls, IN_FLIGHT)
        return sum(server.cpu_s() for server in self.servers) - before, went

    @property
    def first_cold_s(self) -> float:
        """Start to first answer of the very first start, when it differs from later ones; else 0."""
        return self.servers[0].first_cold_s

    def _load(self, calls: int, in_flight: int) -> Load:
        return load(self.address, self.body, calls, in_flight, self.answer_bytes, self.method)


class Raw:
    """The model alone, in a process of its own."""

    name = "raw"

    def __init__(self) -> None:
        started = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, str(HERE / "raw.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()
        self._cold_s = time.perf_counter() - started

    def measure(self, sizes: Sizes) -> Figures:
        """One round."""
        assert self._process.stdin is not None  # noqa: S101 - opened with a pipe above
        self._process.stdin.write(f"{sizes.loaded}\n")
        self._process.stdin.flush()
        return {**self._read(), "cold_s": self._cold_s}

    def stop(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait(10)

    def _read(self) -> Figures:
        assert self._process.stdout is not None  # noqa: S101 - opened with a pipe above
        figures: Figures = json.loads(self._process.stdout.readline())
        return figures


def request(rows: int = 1, model: str = "s") -> pb.ModelInferRequest:
    """A request to model S, or to another with its inputs, with fixed rows."""
    array = np.random.default_rng(2).random((rows, 784), dtype=np.float32)
    message = pb.ModelInferRequest(model_name=model, raw_input_contents=[array.tobytes()])
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 784])
    return message


def answer(address: str, message: pb.ModelInferRequest) -> bytes | None:
    """The raw answer, None while the server is not there."""
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        call = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, None)
        try:
            raw: bytes = call(message, timeout=5)
        except grpc.RpcError:
            return None
    return raw


def check(raw: bytes | None, rows: int = 1) -> bytes:
    """Raises LoadFailed unless the answer holds probabilities for every row."""
    message = pb.ModelInferResponse.FromString(raw or b"")
    if message.raw_output_contents:
        found = np.frombuffer(message.raw_output_contents[0], np.float32)
    else:
        found = np.array(message.outputs[0].contents.fp32_contents if message.outputs else [], np.float32)
    if found.size != rows * 10 or not np.allclose(found.reshape(rows, 10).sum(axis=1), 1, atol=1e-4):
        raise LoadFailed(f"not {rows} rows of probabilities: {found[:10]}")
    return raw or b""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


class Bench:
    """Starts the servers and makes the cases."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    def cases(self) -> Iterator[Case | Raw]:
        """Our own cases."""
        raw = Raw()
        self._stack.callback(raw.stop)
        yield raw
        agent, address = self._agent("agent", "device", ["device"], "")
        one = check(answer(address, request()))
        answer_file = self._folder / "answer"
        answer_file.write_bytes(one)
        echo_port = free_port()
        command = [sys.executable, "-m", "bench.echo_server", str(echo_port), str(answer_file)]
        echo = self._server("echo", command, f"127.0.0.1:{echo_port}")
        yield self._unary("echo", (echo,), f"127.0.0.1:{echo_port}")
        yield self._unary("agent", (agent,), address)
        # Servers of their own, since memory that a batch took stays with the process.
        batching, address = self._agent("batching", "device", ["device"], "")
        batch = check(answer(address, request(BATCH)), BATCH)
        body = framed(request(BATCH).SerializeToString())
        yield Case("agent_batch32", (batching,), address, body, len(batch) + FRAME_BYTES, requests=BATCH)
        streaming, address = self._agent("streaming", "device", ["device"], "")
        one = check(answer(address, request()))
        told = pb.ModelStreamInferResponse(infer_response=pb.ModelInferResponse.FromString(one))
        bodies = framed(request().SerializeToString()) * STREAM
        sizes = (told.ByteSize() + FRAME_BYTES) * STREAM
        yield Case("agent_stream", (streaming,), address, bodies, sizes, STREAM_METHOD, STREAM)
        top, top_address = self._agent("top", "cloud", ["device", "cloud"], "")
        above = f'[[discovery.static]]\nid = "top"\naddress = "{top_address}"\ntier = "cloud"\n'
        low, low_address = self._agent("low", "device", ["device", "cloud"], above, threshold=2.0)
        yield self._unary("hop", (low, top), low_address)

    def traced(self, name: str, collector: str | None) -> Case:
        """An agent that answers locally and sends every question's spans to the collector (None: no spans)."""
        telemetry = f'otlp_endpoint = "http://{collector}"\nsample_rate = 1.0' if collector else "sample_rate = 0.0"
        agent, address = self._agent(name, "device", ["device"], "", telemetry=telemetry)
        if collector:  # the exporter comes a moment after the first answer
            agent.wait(lambda: names.TRACE_ID.encode() in (answer(address, request()) or b""))
        return self._unary(name, (agent,), address)

    def untraced_and_not(self, name: str, collector: str) -> tuple[Case, Case]:
        """An agent with all of telemetry on, which answers locally and keeps nearly none of the questions' spans.

        Its questions go to a core that has no telemetry in the first case, and to the usual one in the second.
        """
        telemetry = f'otlp_endpoint = "http://{collector}"\nsample_rate = 1e-9\n[metrics]\nlisten = "127.0.0.1:0"'
        agent, address = self._agent(
            name, "device", ["device"], "", telemetry=telemetry, module="bench.untraced_agent", also=UNTRACED_MODEL
        )
        agent.wait(lambda: "spans go to" in agent.log.read_text())
        without = self._unary(f"{name}_untraced", (agent,), address, request(model=UNTRACED_MODEL))
        return without, self._unary(name, (agent,), address)

    def collector(self) -> str:
        """Starts a collector that forgets every span; gives its address."""
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "bench.collector", address]
        server = Server("collector", command, self._folder / "collector.log")
        self._stack.callback(server.stop)
        server.wait(lambda: _listens(address))
        return address

    def peers(self) -> Mapping[str, Callable[[], Case]]:
        """Other servers with the same model; what makes the case raises ServerFailed or LoadFailed."""
        return {"mlserver": self._mlserver, "kserve": self._kserve}

    def _mlserver(self) -> Case:
        venv = _peer_venv("mlserver", ["mlserver==1.7.1", "ai-edge-litert==2.3.0"])
        port = free_port()
        settings: dict[str, object] = {"grpc_port": port, "http_port": free_port(), "metrics_port": free_port()}
        settings |= {"host": "127.0.0.1", "debug": False, "parallel_workers": 0}
        home = self._folder / "mlserver"
        home.mkdir()
        (home / "settings.json").write_text(json.dumps(settings))
        (home / "model-settings.json").write_text(
            json.dumps({"name": "s", "implementation": "mlserver_model.LiteRtModel", "parameters": {"version": "1"}})
        )
        (home / "mlserver_model.py").symlink_to(PEERS / "mlserver_model.py")
        server = self._server("mlserver", [str(venv / "bin" / "mlserver"), "start", str(home)], f"127.0.0.1:{port}")
        return self._unary("mlserver", (server,), f"127.0.0.1:{port}")

    def _kserve(self) -> Case:
        python = _peer_venv("kserve", ["kserve==0.21.0", "ai-edge-litert==2.3.0"]) / "bin" / "python"
        port = free_port()
        ports = [f"--grpc_port={port}", f"--http_port={free_port()}", "--workers=1"]
        server = self._server("kserve", [str(python), str(PEERS / "kserve_model.py"), *ports], f"127.0.0.1:{port}")
        return self._unary("kserve", (server,), f"127.0.0.1:{port}")

    def _unary(
        self, name: str, servers: tuple[Server, ...], address: str, asked: pb.ModelInferRequest | None = None
    ) -> Case:
        asked = asked or request()
        raw = check(answer(address, asked))
        return Case(name, servers, address, framed(asked.SerializeToString()), len(raw) + FRAME_BYTES)

    def _server(self, name: str, command: Sequence[str], address: str) -> Server:
        server = Server(name, command, self._folder / f"{name}.log")
        self._stack.callback(server.stop)
        server.wait(lambda: answer(address, request()) is not None)
        return server

    def _agent(
        self,
        name: str,
        tier: str,
        tiers: Sequence[str],
        discovery: str,
        threshold: float = 0.0,
        telemetry: str = "sample_rate = 0.0",
        module: str = "upriver_agent",
        also: str = "",
    ) -> tuple[Server, str]:
        served = [self._version(name, "s", threshold)]
        served += [self._version(name, also, threshold)] if also else []
        models = "".join(f'[[models]]\npath = "{version}"\n' for version in served)
        address = f"127.0.0.1:{free_port()}"
        config = self._folder / f"{name}.toml"
        config.write_text(
            f'[agent]\nid = "{name}"\ntier = "{tier}"\ntiers = {json.dumps(list(tiers))}\nlisten = "{address}"\n'
            f'state_dir = "{self._folder / name}"\n[cascade]\ntrust = "network"\n[discovery]\nkind = "static"\n'
            f"{discovery}[telemetry]\n{telemetry}\n{models}"
        )
        command = [sys.executable, "-m", module, "--config", str(config)]
        # Verified once, as a device's second start finds it; the start that counts is the one after.
        first = Server(f"{name}-first", command, self._folder / f"{name}.log")
        try:
            first.wait(lambda: answer(address, request()) is not None)
        finally:
            first.stop()
        server = self._server(name, command, address)
        server.first_cold_s = first.cold_s
        return server, address

    def _version(self, agent: str, model: str, threshold: float) -> Path:
        version = self._folder / f"version-{agent}-{model}"
        version.mkdir()
        (version / "model.tflite").symlink_to(MODEL / "model.tflite")
        manifest = (MODEL / "manifest.toml").read_text().replace('model = "s"', f'model = "{model}"')
        (version / "manifest.toml").write_text(manifest.replace("threshold = 0.0", f"threshold = {threshold}"))
        return version


def _peer_venv(name: str, packages: Sequence[str]) -> Path:
    """A venv of the peer's own, since what peers pin does not fit beside ours; made once."""
    venv = REPOSITORY / f".venv-{name}"
    stamp = venv / "installed"
    wanted = " ".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return venv
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    for command in ([sys.executable, "-m", "venv", str(venv)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            raise ServerFailed(f"{name} could not be installed: {done.stderr.strip()[-500:]}")
    stamp.write_text(wanted)
    return venv
