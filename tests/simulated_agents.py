"""Agents for the tests that follow a control plane and run nothing: real Sync streams, dialled again at once."""

import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import grpc
import numpy as np

from upriver.services import Stub
from upriver.v1 import sync_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["SyncService"]
Outbox = SimpleQueue[pb.SyncRequest | None]


class SimulatedAgent:
    """One agent on a thread: what it is assigned is active up to `slow_s` later. It dials whichever address is next."""

    def __init__(self, name: str, addresses: Sequence[str], token: str, slow_s: float = 0.3) -> None:
        self.name = name
        self.active: dict[str, pb.Assignment] = {}
        self.history: list[pb.Assignment] = []
        """Every assignment that it took in, in order."""
        self._addresses = addresses
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._slow_s = slow_s
        self._chance = np.random.default_rng(zlib.crc32(name.encode()))
        self._boot = self._chance.bytes(8).hex()
        self._has: dict[str, str] = {}
        self._previous: dict[str, pb.Pair] = {}
        self._ended = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._call is not None:
            self._call.cancel()
        self._thread.join(60)

    def _keep(self) -> None:
        turn = 0
        while not self._ended.is_set():
            self._once(self._addresses[turn % len(self._addresses)])
            turn += 1
            self._ended.wait(self._chance.uniform(0.05, 0.2))

    def _once(self, address: str) -> None:
        outbox: Outbox = SimpleQueue()
        over = threading.Event()
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                self._call = Stub(channel, SERVICE).Sync(self._messages(outbox, over), metadata=self._metadata)
                for message in self._call:
                    self._take(message, outbox)
            except grpc.RpcError:
                return
            finally:
                over.set()
                outbox.put(None)

    def _messages(self, outbox: Outbox, over: threading.Event) -> Iterator[pb.SyncRequest]:
        yield pb.SyncRequest(hello=self._hello())
        while not over.is_set():
            try:
                message = outbox.get(timeout=0.5)
            except Empty:
                message = None
            yield message or pb.SyncRequest(status=self._status())

    def _take(self, message: pb.SyncResponse, outbox: Outbox) -> None:
        kind = message.WhichOneof("resource")
        if kind == "directions":
            return
        if kind == "assignments":
            for assignment in message.assignments.assignments:
                known = self.active.get(assignment.model)
                if known is None or known.generation != assignment.generation:
                    self.history.append(assignment)
                    self._ended.wait(self._chance.uniform(0, self._slow_s))
                    if known is not None:
                        self._previous[assignment.model] = known.pair
                    self.active[assignment.model] = assignment
        self._has[kind] = message.resource_version
        outbox.put(pb.SyncRequest(acknowledgement=pb.Acknowledgement(nonce=message.nonce)))
        outbox.put(None)

    def _hello(self) -> pb.Hello:
        return pb.Hello(
            agent=self.name, tier="device", tiers=["device", "cloud"], region="here", protocol=1, boot=self._boot,
            program_version="0.1.0", hardware=pb.Hardware(machine="x86_64", cores=1, memory_bytes=1 << 30),
            resource_versions=self._has, status=self._status(),
        )  # fmt: skip

    def _status(self) -> pb.Status:
        slots = []
        for model, assignment in self.active.items():
            report = pb.SlotReport(
                model=model, state=pb.SLOT_STATE_ACTIVE, generation=assignment.generation, active=assignment.pair
            )
            if model in self._previous:
                report.previous.CopyFrom(self._previous[model])
            slots.append(report)
        return pb.Status(slots=slots)


@contextmanager
def simulated(
    names: Sequence[str], addresses: Sequence[str], token: str, kind: type[SimulatedAgent] = SimulatedAgent
) -> Iterator[dict[str, SimulatedAgent]]:
    """Agents that dial until the end."""
    agents = {name: kind(name, addresses, token) for name in names}
    try:
        for agent in agents.values():
            agent.start()
        yield agents
    finally:
        for agent in agents.values():
            agent.stop()
