"""The stream to the control plane: dialled from here, kept, and dialled again with full jitter.

One thread reads; grpcio's own thread takes what `_messages` yields: the hello, acknowledgements, and a status whenever
something has changed or the time for a report has come. Nothing else in the agent waits for either.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Any

import grpc

from upriver.backoff import full_jitter_s
from upriver.channels import ChannelOptions, open_channel
from upriver.errors import InvalidInput
from upriver.services import Stub
from upriver.trials import Trial
from upriver.v1 import sync_pb2 as pb
from upriver_agent.installing.installer import Installer
from upriver_agent.sync.discovery import ControlPlaneDiscovery
from upriver_agent.sync.wire import read_assignments, read_trials, read_upstreams

SERVICE = pb.DESCRIPTOR.services_by_name["SyncService"]
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
DEFAULT_REPORT_S = 15.0
REPORT_BOUNDS_S = (0.2, 3600.0)
SETTLED_S = 10.0
"""A stream that lived so long was a good one: the next failure is the first again."""
SOON_S = 1.0
"""What need not be told at once is told within this time, with whatever else happens until then."""
RETRY_AFTER = "retry-after-ms"
"""Trailing metadata of a control plane that is busy: how long to stay away."""
_LOG = logging.getLogger(__name__)


class _Wake(Enum):
    """What has a status sent."""

    NOW = 0
    SOON = 1


_Outbox = SimpleQueue[pb.SyncRequest | _Wake]


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """Where the control plane is, any of its processes, and how it is called."""

    addresses: Sequence[str]
    channel: ChannelOptions
    token: str = ""


class SyncSession:
    """Keeps the stream. `hello` and `status` make the messages when they are sent."""

    def __init__(
        self,
        options: SyncOptions,
        hello: Callable[[], pb.Hello],
        status: Callable[[], pb.Status],
        installer: Installer,
        discovery: ControlPlaneDiscovery | None,
        trials: Callable[[Sequence[Trial]], None] = lambda _: None,
    ) -> None:
        """`trials` takes those that are to be tried here, all of them; it must not wait."""
        self._options = options
        self._hello = hello
        self._status = status
        self._installer = installer
        self._discovery = discovery
        self._upstreams_version = ""
        self._trials = trials
        self._trials_version = ""
        self._report_s = DEFAULT_REPORT_S
        self._outbox: _Outbox = SimpleQueue()
        self._call: Any = None
        self._closed = threading.Event()
        self._told = "never connected"
        self._thread = threading.Thread(target=self._keep, name="upriver-sync", daemon=True)

    def start(self) -> None:
        """Dials, in the background."""
        self._thread.start()

    def changed(self) -> None:
        """Has a status sent soon; never waits."""
        self._outbox.put(_Wake.NOW)

    def stirred(self) -> None:
        """Has a status sent within SOON_S; never waits."""
        self._outbox.put(_Wake.SOON)

    def close(self) -> None:
        """Ends the stream."""
        self._closed.set()
        call = self._call
        if call is not None:
            call.cancel()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _keep(self) -> None:
        failures = 0
        turn = random.randrange(len(self._options.addresses))  # noqa: S311 - spreads agents over the processes
        while not self._closed.is_set():
            address = self._options.addresses[turn % len(self._options.addresses)]
            started = time.monotonic()
            wait_s = self._once(address)
            if self._closed.is_set():
                return
            turn += 1
            failures = 1 if time.monotonic() - started > SETTLED_S else failures + 1
            backoff_s = full_jitter_s(failures, FIRST_BACKOFF_S, LONGEST_BACKOFF_S, random.random)
            self._closed.wait(backoff_s if wait_s is None else wait_s)

    def _once(self, address: str) -> float | None:
        """Runs one stream to its end; gives how long the control plane asks to stay away, if it does."""
        # A queue of its own: an acknowledgement for a stream that has ended is for nobody.
        outbox: _Outbox = SimpleQueue()
        self._outbox = outbox
        ended = threading.Event()
        channel = open_channel(address, self._options.channel)
        metadata = (("authorization", f"Bearer {self._options.token}"),) if self._options.token else ()
        try:
            self._call = Stub(channel, SERVICE).Sync(self._messages(outbox, ended), metadata=metadata)
            if self._closed.is_set():
                self._call.cancel()
            for message in self._call:
                if self._told != "":
                    self._told = ""
                    _LOG.info("connected to the control plane at %s", address)
                self._take(message, outbox)
            self._tell(f"the control plane at {address} has ended the stream")
        except grpc.RpcError as error:
            return self._failed(address, error)
        finally:
            ended.set()
            outbox.put(_Wake.NOW)
            self._call = None
            channel.close()
        return None

    def _failed(self, address: str, error: grpc.RpcError) -> float | None:
        if not isinstance(error, grpc.Call):
            raise error
        if not self._closed.is_set():
            code = error.code()
            self._tell(f"the control plane at {address}: {code.name if code else 'failed'}: {error.details()}")
        for key, value in error.trailing_metadata() or ():
            if key == RETRY_AFTER and isinstance(value, str) and value.isdecimal():
                return min(LONGEST_BACKOFF_S, int(value) / 1000) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        return None

    def _messages(self, outbox: _Outbox, ended: threading.Event) -> Iterator[pb.SyncRequest]:
        hello = self._hello()
        hello.resource_versions["assignments"] = self._installer.resource_version
        hello.resource_versions["upstreams"] = self._upstreams_version
        hello.resource_versions["trials"] = self._trials_version
        hello.status.CopyFrom(self._status())
        yield pb.SyncRequest(hello=hello)
        due = self._due()
        while not ended.is_set():
            try:
                message = outbox.get(timeout=max(0.0, due - time.monotonic()))
            except Empty:
                message = _Wake.NOW
            if ended.is_set():
                return
            if message is _Wake.SOON:
                due = min(due, time.monotonic() + SOON_S)
                continue
            if isinstance(message, pb.SyncRequest):
                yield message
                continue
            while not outbox.empty():  # several changes are one status
                queued = outbox.get()
                if isinstance(queued, pb.SyncRequest):
                    yield queued
            yield pb.SyncRequest(status=self._status())
            due = self._due()

    def _due(self) -> float:
        return time.monotonic() + self._report_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _take(self, message: pb.SyncResponse, outbox: _Outbox) -> None:
        kind = message.WhichOneof("resource")
        if kind == "directions":
            wanted = message.directions.report_interval
            low, high = REPORT_BOUNDS_S
            self._report_s = min(high, max(low, wanted.seconds + wanted.nanos / 1e9))
            outbox.put(_Wake.NOW)
            return
        refusal = ""
        try:
            if kind == "assignments":
                world = read_assignments(message.assignments)
                refusal = self._installer.assign(message.resource_version, world)
                self._installer.nudge()
            elif kind == "upstreams":
                records = read_upstreams(message.upstreams)
                if self._discovery is not None:
                    self._discovery.take(records)
                self._upstreams_version = message.resource_version
            elif kind == "trials":
                self._trials(read_trials(message.trials))
                self._trials_version = message.resource_version
            else:
                refusal = "an unknown kind of resource: this agent is older than the control plane"
        except InvalidInput as error:
            refusal = str(error)
        if refusal:
            _LOG.error("refused what the control plane sent: %s", refusal)
        acknowledgement = pb.Acknowledgement(nonce=message.nonce, refusal=refusal)
        outbox.put(pb.SyncRequest(acknowledgement=acknowledgement))

    def _tell(self, text: str) -> None:
        """Logs a trouble once, not at every attempt."""
        if text != self._told:
            _LOG.warning("%s", text)
        self._told = text
