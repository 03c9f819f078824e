"""A process full of simulated agents: real Sync streams, each on a connection of its own, and no models.

`python -m bench.fleet_agents JSON` makes them and answers commands, one JSON object a line: `go` has all of them dial
at once, `state` tells how many are attached, `arrivals` when each was, `troubles` why streams ended, `received` when
each got a rollout's assignment. Times are seconds of CLOCK_MONOTONIC, which is the same for all processes of a machine.
It ends when its input does.

They keep to what `upriver_agent.sync.session` does, with its own bounds: full jitter, a busy control plane's
retry-after, a hello with what they have, acknowledgement by nonce, reports at the rhythm that they are told. What an
agent is assigned is active at once.
"""

import asyncio
import gc
import json
import os
import random
import resource
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from upriver.backoff import full_jitter_s
from upriver.channels import ChannelOptions, channel_arguments
from upriver.services import Stub
from upriver.v1 import sync_pb2 as pb
from upriver_agent.sync.session import (
    DEFAULT_REPORT_S,
    FIRST_BACKOFF_S,
    LONGEST_BACKOFF_S,
    REPORT_BOUNDS_S,
    RETRY_AFTER,
    SERVICE,
    SETTLED_S,
)

TIERS = ("device", "cloud")
CLOUD_EVERY = 50
"""One agent in so many is of the upper tier, so that there are upstreams to be told of."""
_REGIONS = 8
_HARDWARE = pb.Hardware(
    machine="aarch64",
    cores=4,
    memory_bytes=4 << 30,
    disk_budget_bytes=2 << 30,
    runtime="litert",
    runtime_version="2.3.0",
)
CONNECT_MS = 3_000
"""As agents are composed."""
MAX_ARRIVALS = 100_000
MAX_TROUBLES = 8
"""Different ones that are told."""
_KNOCK_S = 0.02
_ARGUMENTS = [
    *channel_arguments(ChannelOptions(connect_timeout_ms=CONNECT_MS)),
    ("grpc.use_local_subchannel_pool", 1),
]
Outbox = asyncio.Queue["pb.SyncRequest | None"]


class Door:
    """Whether anybody listens at the address.

    All agents that dial a port where nobody listens are refused at once, each at a cost that on real devices is the
    device's own; here it would be taken from the control plane that starts beside them. So only one of them knocks.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._where = (host, int(port))
        self._knocking: asyncio.Task[None] | None = None

    @property
    def is_shut(self) -> bool:
        """Whether nobody listened when somebody knocked last, which was just now."""
        return self._knocking is not None

    def refused(self) -> None:
        """An agent found nobody there: from now on somebody knocks until it is opened."""
        if self._knocking is None:
            self._knocking = asyncio.create_task(self._knock())

    async def _knock(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(*self._where)
            except OSError:
                await asyncio.sleep(_KNOCK_S)
                continue
            writer.close()
            self._knocking = None
            return


@dataclass
class Tally:
    """What this process's agents have seen; times are of CLOCK_MONOTONIC."""

    attached: int = 0
    attached_at: float = 0.0
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ARRIVALS))
    dials: int = 0
    turned_away: int = 0
    refused: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    received: dict[str, list[float]] = field(default_factory=dict)


class SimulatedAgent:
    """One agent: dials, follows, reports, and dials again when its stream ends."""

    __slots__ = (
        "_address",
        "_boot",
        "_door",
        "_has",
        "_longest_s",
        "_metadata",
        "_name",
        "_number",
        "_report_s",
        "_slots",
        "_tally",
    )

    def __init__(self, number: int, address: str, token: str, tally: Tally, door: Door, longest_s: float) -> None:
        self._number = number
        self._longest_s = longest_s
        self._door = door
        self._name = f"agent-{number:06d}"
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._tally = tally
        self._boot = f"{random.getrandbits(64):016x}"
        self._report_s = DEFAULT_REPORT_S
        self._has: dict[str, str] = {}
        self._slots: dict[str, pb.SlotReport] = {}

    async def keep(self) -> None:
        """Keeps a stream until it is cancelled."""
        failures = 0
        while True:
            started = time.monotonic()
            wait_s = await self._once()
            failures = 1 if time.monotonic() - started > SETTLED_S else failures + 1
            backoff_s = full_jitter_s(failures, FIRST_BACKOFF_S, self._longest_s, random.random)
            await asyncio.sleep(backoff_s if wait_s is None else wait_s)

    async def _once(self) -> float | None:
        """Runs one stream to its end; gives how long the control plane asks to stay away, if it does."""
        self._tally.dials += 1
        if self._door.is_shut:
            return None
        attached = False
        outbox: Outbox = asyncio.Queue()
        async with grpc.aio.insecure_channel(self._address, _ARGUMENTS) as channel:
            call = Stub(channel, SERVICE).Sync(metadata=self._metadata)
            sender = asyncio.create_task(self._send(call, outbox))
            try:
                while (message := await call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # not in its stubs
                    if not attached:
                        attached = True
                        self._tally.attached += 1
                        self._tally.attached_at = time.monotonic()
                        self._tally.arrivals.append(self._tally.attached_at)
                    self._take(message, outbox)
            except grpc.aio.AioRpcError as error:
                return self._failed(error)
            finally:
                self._tally.attached -= attached
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        return None

    def _failed(self, error: grpc.aio.AioRpcError) -> float | None:
        trailing: Any = error.trailing_metadata() or ()
        for key, value in trailing:
            if key == RETRY_AFTER and isinstance(value, str) and value.isdecimal():
                self._tally.turned_away += 1
                return min(LONGEST_BACKOFF_S, int(value) / 1000) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        if "Connection refused" in (error.details() or ""):
            self._door.refused()
            return None
        trouble = f"{error.code().name}: {(error.details() or '')[:120]}"
        if trouble in self._tally.troubles or len(self._tally.troubles) < MAX_TROUBLES:
            self._tally.troubles[trouble] = self._tally.troubles.get(trouble, 0) + 1
        return None

    async def _send(self, call: Any, outbox: Outbox) -> None:
        await call.write(pb.SyncRequest(hello=self._hello()))
        due = self._due()
        while True:
            try:
                message = await asyncio.wait_for(outbox.get(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                message = None
            if message is not None:
                await call.write(message)
                continue
            while not outbox.empty():  # several changes are one status
                queued = outbox.get_nowait()
                if queued is not None:
                    await call.write(queued)
            await call.write(pb.SyncRequest(status=self._status()))
            due = self._due()

    def _due(self) -> float:
        return time.monotonic() + self._report_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _take(self, message: pb.SyncResponse, outbox: Outbox) -> None:
        kind = message.WhichOneof("resource")
        refusal = ""
        if kind == "directions":
            wanted = message.directions.report_interval
            low, high = REPORT_BOUNDS_S
            self._report_s = min(high, max(low, wanted.seconds + wanted.nanos / 1e9))
            outbox.put_nowait(None)
            return
        if kind == "assignments":
            self._assign(message.assignments)
            self._has[kind] = message.resource_version
            outbox.put_nowait(None)
        elif kind == "upstreams":
            self._has[kind] = message.resource_version
        else:
            refusal = "an unknown kind of resource"
            self._tally.refused += 1
        acknowledgement = pb.Acknowledgement(nonce=message.nonce, refusal=refusal)
        outbox.put_nowait(pb.SyncRequest(acknowledgement=acknowledgement))

    def _assign(self, world: pb.Assignments) -> None:
        now = time.monotonic()
        for assignment in world.assignments:
            self._tally.received.setdefault(assignment.rollout, []).append(now)
            report = pb.SlotReport(
                model=assignment.model,
                state=pb.SLOT_STATE_ACTIVE,
                generation=assignment.generation,
                active=assignment.pair,
            )
            before = self._slots.get(assignment.model)
            if before is not None:
                report.previous.CopyFrom(before.active)
            self._slots[assignment.model] = report

    def _hello(self) -> pb.Hello:
        number = self._number
        return pb.Hello(
            agent=self._name,
            tier=TIERS[number % CLOUD_EVERY == 0],
            tiers=TIERS,
            region=f"region-{number % _REGIONS}",
            labels={"site": f"site-{number % 97}", "canary": str(number % 20 == 0).lower()},
            hardware=_HARDWARE,
            address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:8500",
            protocol=1,
            program_version="0.1.0",
            boot=self._boot,
            resource_versions=self._has,
            status=self._status(),
        )

    def _status(self) -> pb.Status:
        """Counters go on as those of an agent that answers some questions."""
        for report in self._slots.values():
            counters = report.counters
            counters.rows += 20
            counters.escalated_rows += 3
            bucket = random.randrange(32, 44)  # noqa: S311 - measurements differ
            counters.latency_buckets[bucket] += 20
            report.active_for.seconds += 1
        return pb.Status(slots=self._slots.values(), load=0.1, disk_bytes=1 << 20)


def answer(command: dict[str, str], tally: Tally, agents: list[SimulatedAgent], tasks: list[Any]) -> object:
    """Does what a command asks, and gives what is told back."""
    match command["do"]:
        case "go":
            tasks.extend(asyncio.create_task(agent.keep()) for agent in agents)
            return {"agents": len(tasks)}
        case "state":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return {
                "attached": tally.attached,
                "attached_at": tally.attached_at,
                "dials": tally.dials,
                "turned_away": tally.turned_away,
                "refused": tally.refused,
                "broken": sum(task.done() for task in tasks),
                "cpu_s": usage.ru_utime + usage.ru_stime,
            }
        case "arrivals":
            return list(tally.arrivals)
        case "troubles":
            return tally.troubles
        case "received":
            return tally.received.get(command["rollout"], [])
        case other:
            raise ValueError(f"command {other!r}; expected go, state, arrivals, troubles or received")


async def serve(options: dict[str, Any]) -> None:
    """Makes the agents and answers commands until there are no more."""
    tally = Tally()
    numbers = range(options["first"], options["first"] + options["agents"])
    door = Door(options["address"])
    where = options["address"], options["token"]
    agents = [SimulatedAgent(number, *where, tally, door, options["longest_backoff_s"]) for number in numbers]
    tasks: list[Any] = []
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(answer(json.loads(line), tally, agents, tasks)), flush=True)
    os._exit(0)  # the kernel ends thousands of streams faster than they would be closed one by one


def main() -> None:
    """Runs the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(50_000, 20, 100)  # what is here stays here: looking through it often costs and finds nothing
    asyncio.run(serve(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
