"""`scripts/bench spans`: how many spans a control plane takes on one core, and how quickly questions are found in them.

The control plane has the first processor to itself, this program, which makes and sends the spans, the others. Every
id that was sent is looked for afterwards.
"""

import argparse
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from rich.console import Console

from bench.fleet_control import ControlPlane
from bench.many_spans import MODELS, PER_QUESTION, REASONS, REGIONS, TIERS, VERSIONS, Mesh, requests, span_ids
from bench.servers import ServerFailed, bound
from bench.targets import tell
from upriver_control.spans.filters import Filter
from upriver_control.spans.flags import Flag
from upriver_control.spans.forwarding import METHOD
from upriver_control.spans.histogram import summarize
from upriver_control.spans.store import SpanStore, open_spans

IN_FLIGHT: Final = 8
"""Exports on the way at once; a mesh has far more senders that send less."""
AGAIN_S: Final = 0.05
TIMEOUT_S: Final = 60.0
ROUNDS: Final = 3


class SpansFailed(Exception):
    """The control plane did not take the spans."""


@dataclass(frozen=True, slots=True)
class Results:
    """What came of it; `cpu_us` is the control plane's processor time for a span, `query_ms` p95 by filter.

    `query_cpu_ms` is the same in processor time, which tells more where a machine has other things to do.
    """

    spans: int
    spans_s: float
    lost: int
    refused: int
    cpu_us: float
    rss_mb: float
    query_p95_ms: float
    db_bytes_per_span: float
    query_ms: dict[str, float]
    query_cpu_ms: dict[str, float]


def run(questions: int, folder: Path) -> Results:
    """Sends the spans of so many questions and asks for them; raises SpansFailed and ServerFailed."""
    mesh = Mesh(began_ns=time.time_ns() - questions * 1_000_000)
    plane = ControlPlane(folder)
    with bound(to_first=True):
        plane.start()
    with bound(to_first=False):
        try:
            before = plane.cpu_s()
            began = time.monotonic()
            sent, refused = _send(plane, mesh, questions)
            took_s = time.monotonic() - began
            cpu_s, rss_mb = plane.cpu_s() - before, plane.rss_kb() / 1e3
        finally:
            plane.stop()
    database = open_spans(f"sqlite:///{folder / 'state' / 'spans.sqlite'}")
    try:
        store = SpanStore(database)
        lost = _lost(store, mesh, questions)
        standing = store.standing()
        timed = {name: list(_timed(store, filters)) for name, filters in _filters(mesh, questions).items()}
    finally:
        database.close()
    query_ms = {name: _p95([wall for wall, _ in times]) for name, times in timed.items()}
    return Results(
        spans=sent,
        spans_s=sent / took_s,
        lost=lost,
        refused=refused,
        cpu_us=cpu_s / sent * 1e6,
        rss_mb=rss_mb,
        query_p95_ms=max(query_ms.values()),
        db_bytes_per_span=standing.bytes / max(1, standing.spans),
        query_ms=query_ms,
        query_cpu_ms={name: _p95([cpu for _, cpu in times]) for name, times in timed.items()},
    )


def _send(plane: ControlPlane, mesh: Mesh, questions: int) -> tuple[int, int]:
    """Sends everything, and what is refused again; gives how many spans and how many refusals that were."""
    sent = 0
    with grpc.insecure_channel(plane.address) as channel:
        sender = _Sender(channel, plane.join_token)
        for request, spans in requests(mesh, range(questions)):
            sender.send(request.SerializeToString())
            sent += spans
        sender.settle(0)
    return sent, sender.refused


class _Sender:
    """Sends requests, some at once, each until it is taken."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._export = channel.unary_unary(METHOD, None, None)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self.refused = 0

    def send(self, request: bytes) -> None:
        """Sends one, when there are not too many on the way."""
        self.settle(IN_FLIGHT - 1)
        self._waiting.append((request, self._begin(request)))

    def settle(self, most: int) -> None:
        """Waits until so many at most are on the way; raises SpansFailed."""
        while len(self._waiting) > most:
            request, answer = self._waiting.popleft()
            while not self._taken(answer):
                self.refused += 1
                time.sleep(AGAIN_S)
                answer = self._begin(request)

    def _begin(self, request: bytes) -> Any:
        return self._export.future(request, timeout=TIMEOUT_S, metadata=self._metadata)

    def _taken(self, answer: Any) -> bool:
        try:
            if answer.result():
                raise SpansFailed("some spans were rejected")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise SpansFailed(str(error)) from error
            return False
        return True


def _lost(store: SpanStore, mesh: Mesh, questions: int) -> int:
    """Spans that were taken and are not there."""
    expected = {(mesh.trace(index), own) for index in range(questions) for own in span_ids(mesh, index)}
    with store.database.engine.connect() as connection:
        for row in connection.exec_driver_sql("SELECT trace, span FROM spans"):
            expected.discard((row[0], row[1]))
    return len(expected)


def _filters(mesh: Mesh, questions: int) -> dict[str, list[Filter]]:
    some = [questions * place // 20 for place in range(20)]
    end_ns = mesh.began_ns + questions * mesh.every_ns
    quarter = max(1, questions // 4) * mesh.every_ns
    return {
        "nothing": [Filter()],
        "trace": [Filter(search=mesh.trace(index).hex()) for index in some],
        "question": [Filter(search=f"q-{mesh.seed:016x}-{index:016x}") for index in some],
        "agent begins": [Filter(search=name) for name in ("device-1", "cloud", "nobody")],
        "model": [Filter(model=name) for name in (*MODELS, "none")],
        "agent": [Filter(agent=name) for name in (mesh.device(3), mesh.device(30), mesh.cloud(2), "nobody")],
        "tier": [Filter(tier=name) for name in TIERS],
        "region": [Filter(region=name) for name in REGIONS],
        "version": [Filter(version=name) for name in VERSIONS],
        "reason": [Filter(reason=name) for name in REASONS],
        "answered tier": [Filter(answered_tier=name) for name in TIERS],
        "flags": [Filter(flags=int(flag)) for flag in Flag],
        "time": [Filter(from_ns=end_ns - quarter * place, until_ns=end_ns) for place in range(1, 5)],
        "latency": [Filter(min_latency_ns=ms * 1_000_000) for ms in (1, 30, 500)],
        "pairs": [
            Filter(model=MODELS[0], region=REGIONS[0]),
            Filter(agent=mesh.device(3), model=MODELS[1]),
            Filter(agent=mesh.cloud(2), reason=REASONS[0], flags=int(Flag.DEGRADED)),
            Filter(version=VERSIONS[0], tier=TIERS[1], min_latency_ns=30_000_000),
        ],
        "every hop": [Filter(every_hop=True), Filter(every_hop=True, tier=TIERS[1])],
    }


def _timed(store: SpanStore, filters: Sequence[Filter]) -> Iterator[tuple[float, float]]:
    """Milliseconds of each list and of each figures, in rounds: by the clock, and of the processor."""
    for _ in range(ROUNDS):
        for wanted in filters:
            yield _ms(lambda wanted=wanted: store.questions(wanted))  # type: ignore[misc]  # bound where it is made
            yield _ms(lambda wanted=wanted: summarize(store.summary(wanted).groups))  # type: ignore[misc]  # as above


def _ms(asked: Callable[[], object]) -> tuple[float, float]:
    began, used = time.monotonic(), time.thread_time()
    asked()
    return (time.monotonic() - began) * 1e3, (time.thread_time() - used) * 1e3


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench spans", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--spans", type=int, default=1_000_000, metavar="N", help="how many (default 1,000,000)")
    parser.add_argument("--quick", action="store_true", help="20,000 spans, to see that it runs")
    options = parser.parse_args(arguments)
    if options.spans < PER_QUESTION:
        parser.error(f"--spans {options.spans}: expected {PER_QUESTION} or more")
    console = Console()
    spans = 20_000 if options.quick else options.spans
    try:
        with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder:
            results = run(spans // PER_QUESTION, Path(folder))
    except (SpansFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    for name, took_ms in results.query_ms.items():
        used_ms = results.query_cpu_ms[name]
        console.print(f"  {name}: p95 {took_ms:.1f} ms, {used_ms:.1f} ms of processor time", highlight=False)
    console.print(
        f"{results.spans} spans, {results.cpu_us:.1f} us of processor time each, {results.refused} exports sent again,"
        f" {results.rss_mb:.0f} MB resident, {results.db_bytes_per_span:.0f} bytes a span",
        highlight=False,
    )
    tell(console, [("spans a second on one core", results.spans_s, 5000)], ".0f", at_least=True)
    tell(console, [("spans lost", results.lost, 0), ("slowest filter's p95, ms", results.query_p95_ms, 150)], ".1f")
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")
    return 0
