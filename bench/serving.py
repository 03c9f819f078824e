"""`scripts/bench serving`: what an answer costs, against the raw model, a bare echo, and peers with the same model.

All cases run in one go in interleaved rounds; medians are told, with the lowest and highest of the rounds beside them.
CPU per request is user and system time of all the server's processes divided by the requests.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.load import METHOD, STREAM_METHOD, Load, LoadFailed, framed, h2load
from bench.servers import Server, ServerFailed
from upriver.oip.v2 import inference_pb2 as pb

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
MODEL = HERE / "models" / "s"
PEERS = HERE / "peers"
FIGURES = ("cpu_us", "p50_us", "p99_us", "rps", "rss_mb", "cold_s")
IN_FLIGHT = 16
BATCH = 32
STREAM = 64
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
        calls = max(20, sizes.loaded // self.requests)
        alone = self._load(max(20, sizes.alone // self.requests), 1)
        before = sum(server.cpu_s() for server in self.servers)
        loaded = self._load(calls, IN_FLIGHT)
        spent = sum(server.cpu_s() for server in self.servers) - before
        return {
            "cpu_us": spent / (calls * self.requests) * 1e6,
            "p50_us": alone.p50_us / self.requests,
            "p99_us": alone.p99_us / self.requests,
            "rps": loaded.per_second * self.requests,
            "rss_mb": sum(server.rss_mb() for server in self.servers),
            "cold_s": self.servers[0].cold_s,
        }

    def _load(self, calls: int, in_flight: int) -> Load:
        return h2load(self.address, self.body, calls, in_flight, self.answer_bytes, self.method)


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


def request(rows: int = 1) -> pb.ModelInferRequest:
    """A request to model S with fixed rows."""
    array = np.random.default_rng(2).random((rows, 784), dtype=np.float32)
    message = pb.ModelInferRequest(model_name="s", raw_input_contents=[array.tobytes()])
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 784])
    return message


def answer(address: str, message: pb.ModelInferRequest) -> bytes | None:
    """The raw answer, None while the server is not there."""
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        call = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString)
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
        batch = check(answer(address, request(BATCH)), BATCH)
        body = framed(request(BATCH).SerializeToString())
        yield Case("agent_batch32", (agent,), address, body, len(batch) + 5, requests=BATCH)
        told = pb.ModelStreamInferResponse(infer_response=pb.ModelInferResponse.FromString(one))
        bodies = framed(request().SerializeToString()) * STREAM
        sizes = (told.ByteSize() + 5) * STREAM
        yield Case("agent_stream", (agent,), address, bodies, sizes, STREAM_METHOD, STREAM)
        top, top_address = self._agent("top", "cloud", ["device", "cloud"], "")
        above = f'[[discovery.static]]\nid = "top"\naddress = "{top_address}"\ntier = "cloud"\n'
        low, low_address = self._agent("low", "device", ["device", "cloud"], above, threshold=2.0)
        yield self._unary("hop", (low, top), low_address)

    def peers(self) -> Iterator[Case]:
        """MLServer and KServe; raises ServerFailed or LoadFailed."""
        port = free_port()
        settings = {"grpc_port": port, "http_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0}
        home = self._folder / "mlserver"
        home.mkdir()
        settings |= {"host": "127.0.0.1", "debug": False}
        (home / "settings.json").write_text(json.dumps(settings))
        (home / "model-settings.json").write_text(
            json.dumps({"name": "s", "implementation": "mlserver_model.LiteRtModel", "parameters": {"version": "1"}})
        )
        (home / "mlserver_model.py").symlink_to(PEERS / "mlserver_model.py")
        command = [str(_peer_venv("mlserver", ["mlserver==1.7.1", "ai-edge-litert"]) / "bin" / "mlserver"), "start"]
        server = self._server("mlserver", [*command, str(home)], f"127.0.0.1:{port}")
        yield self._unary("mlserver", (server,), f"127.0.0.1:{port}")
        port = free_port()
        python = _peer_venv("kserve", ["kserve", "ai-edge-litert"]) / "bin" / "python"
        ports = [f"--grpc_port={port}", f"--http_port={free_port()}", "--workers=1"]
        server = self._server("kserve", [str(python), str(PEERS / "kserve_model.py"), *ports], f"127.0.0.1:{port}")
        yield self._unary("kserve", (server,), f"127.0.0.1:{port}")

    def _unary(self, name: str, servers: tuple[Server, ...], address: str) -> Case:
        raw = check(answer(address, request()))
        return Case(name, servers, address, framed(request().SerializeToString()), len(raw) + 5)

    def _server(self, name: str, command: Sequence[str], address: str) -> Server:
        server = Server(name, command, self._folder / f"{name}.log")
        self._stack.callback(server.stop)
        server.wait(lambda: answer(address, request()) is not None)
        return server

    def _agent(
        self, name: str, tier: str, tiers: Sequence[str], discovery: str, threshold: float = 0.0
    ) -> tuple[Server, str]:
        version = self._folder / f"version-{name}"
        version.mkdir()
        (version / "model.tflite").symlink_to(MODEL / "model.tflite")
        manifest = (MODEL / "manifest.toml").read_text()
        (version / "manifest.toml").write_text(manifest.replace("threshold = 0.0", f"threshold = {threshold}"))
        address = f"127.0.0.1:{free_port()}"
        config = self._folder / f"{name}.toml"
        config.write_text(
            f'[agent]\nid = "{name}"\ntier = "{tier}"\ntiers = {json.dumps(list(tiers))}\nlisten = "{address}"\n'
            f'state_dir = "{self._folder / name}"\n[cascade]\ntrust = "network"\n[discovery]\nkind = "static"\n'
            f'{discovery}[telemetry]\nsample_rate = 0.0\n[[models]]\npath = "{version}"\n'
        )
        command = [sys.executable, "-m", "upriver_agent", "--config", str(config)]
        # Verified once, as a device's second start finds it; the start that counts is the one after.
        first = Server(f"{name}-first", command, self._folder / f"{name}.log")
        first.wait(lambda: answer(address, request()) is not None)
        first.stop()
        return self._server(name, command, address), address


def _peer_venv(name: str, packages: Sequence[str]) -> Path:
    venv = REPOSITORY / f".venv-{name}"
    if not (venv / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)  # noqa: S603 - our own arguments
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    if done.returncode:
        raise ServerFailed(f"{name} could not be installed: {done.stderr.strip()[-500:]}")
    return venv


def summed_up(rounds: Sequence[Figures]) -> dict[str, float | list[float]]:
    """Medians over the rounds; beside each figure `<figure>_spread`, its lowest and highest."""
    told: dict[str, float | list[float]] = {}
    for figure in FIGURES:
        values = [one[figure] for one in rounds]
        told[figure] = round(statistics.median(values), 3)
        told[f"{figure}_spread"] = [round(min(values), 3), round(max(values), 3)]
    return told


def stock_client_us(address: str, calls: int) -> tuple[float, float]:
    """p50 and p99 of tritonclient, one request at a time, microseconds."""
    import tritonclient.grpc as triton

    array = np.random.default_rng(2).random((1, 784), dtype=np.float32)
    took = np.empty(calls)
    with triton.InferenceServerClient(address) as client:
        for index in range(-20, calls):
            image = triton.InferInput("x", [1, 784], "FP32")
            image.set_data_from_numpy(array)
            began = time.perf_counter()
            client.infer("s", [image])
            if index >= 0:
                took[index] = time.perf_counter() - began
    return float(np.percentile(took, 50)) * 1e6, float(np.percentile(took, 99)) * 1e6


def run(sizes: Sizes, peers: bool, console: Console) -> dict[str, dict[str, float | list[float]]]:
    """Measures every case in interleaved rounds."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        with console.status("starting the servers"):
            cases: list[Case | Raw] = list(bench.cases())
            if peers:
                cases += bench.peers()
        seen: dict[str, list[Figures]] = {case.name: [] for case in cases}
        with Progress(console=console) as progress:
            task = progress.add_task("measuring", total=sizes.rounds * len(cases))
            for _ in range(sizes.rounds):
                for case in cases:
                    progress.update(task, description=case.name)
                    seen[case.name].append(case.measure(sizes))
                    progress.advance(task)
        results = {name: summed_up(rounds) for name, rounds in seen.items()}
        for case in cases:
            if isinstance(case, Case) and case.name in ("echo", "agent", "hop"):
                p50, p99 = stock_client_us(case.address, sizes.alone)
                results[case.name] |= {"stock_client_p50_us": round(p50, 1), "stock_client_p99_us": round(p99, 1)}
    return results


def targets(results: dict[str, dict[str, float | list[float]]]) -> list[tuple[str, float, float]]:
    """Each target: what, measured, at most."""

    def value(case: str, figure: str) -> float:
        found = results[case][figure]
        assert isinstance(found, float | int)  # noqa: S101 - medians are numbers
        return float(found)

    told = [("CPU of agent / echo", value("agent", "cpu_us") / value("echo", "cpu_us"), 1.35)]
    for peer in ("mlserver", "kserve"):
        if peer in results:
            told.append((f"CPU of agent / {peer}", value("agent", "cpu_us") / value(peer, "cpu_us"), 0.6))
    told.append(("RSS of agent, MB", value("agent", "rss_mb"), 85.0))
    told.append(("cold start of agent, s", value("agent", "cold_s"), 1.0))
    return told


def show(results: dict[str, dict[str, float | list[float]]], console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    table = Table(title="medians of the rounds; a batch's and a stream's figures are per row and per request")
    table.add_column("case")
    for figure in FIGURES:
        table.add_column(figure, justify="right")
    for name, figures in results.items():
        table.add_row(
            name, *(f"{figures[figure]:,.1f}" if figure != "cold_s" else f"{figures[figure]:.2f}" for figure in FIGURES)
        )
    console.print(table)
    for what, measured, most in targets(results):
        verdict = "met" if measured <= most else f"MISSED by {(measured / most - 1):.0%}"
        console.print(f"{what}: {measured:.2f} (target at most {most:g}): {verdict}", highlight=False)


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench serving", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--peers", action="store_true", help="also MLServer and KServe, in venvs of their own")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    options = parser.parse_args(arguments)
    sizes = Sizes(1, 400, 100) if options.quick else Sizes(options.rounds, 6000, 1500)
    console = Console()
    try:
        results = run(sizes, options.peers, console)
    except (LoadFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    show(results, console)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0
