"""Delivers verdicts to the control plane, which keeps each once; they wait in the journal until it has them."""

import logging
import math
import random
import threading
import zlib
from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.backoff import full_jitter_s
from upriver.channels import ChannelOptions, open_channel
from upriver.errors import UpriverError
from upriver.refusals import error_of
from upriver.services import Stub
from upriver.v1 import audit_pb2 as pb
from upriver_agent.auditing import store
from upriver_agent.auditing.case import Verdict
from upriver_agent.auditing.store import Told
from upriver_agent.journal import Journal
from upriver_agent.place import Place

SERVICE: Final = pb.DESCRIPTOR.services_by_name["AuditService"]
MOST: Final = 200
_TIMEOUT_S: Final = 20.0
_GATHER_S: Final = 2.0
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 120.0
_LOG = logging.getLogger(__name__)


def write_verdict(verdict: Verdict, place: Place, top_version: str) -> Told:
    """A verdict as the control plane takes it."""
    case = verdict.case
    seconds = math.floor(case.asked)
    message = pb.Audit(
        question=case.question,
        row=case.row,
        asked_time=Timestamp(seconds=seconds, nanos=int((case.asked - seconds) * 1e9)),
        agent=place.agent,
        tier=place.tier,
        region=place.region,
        model=case.model,
        version_digest=case.version_digest,
        policy_digest=case.policy_digest,
        rules_digest=case.rules_digest,
        confidence=case.confidence,
        features=case.features,
        passes=case.passes,
        answered_here=case.answered_here,
        brought=case.brought,
        answer=verdict.answer,
        top_answer=verdict.top_answer,
        agrees=verdict.agrees,
        top_agent=verdict.top_agent,
        top_policy_digest=verdict.top_policy_digest,
        top_version_digest=top_version,
        draw=case.draw,
        rate=case.rate,
    )
    return Told(case.draw, message.SerializeToString())


class Delivery:
    """Sends what waits, in the background, to whichever control plane answers."""

    def __init__(self, journal: Journal, addresses: Sequence[str], channel: ChannelOptions, token: str) -> None:
        self.refused = 0
        """Verdicts that the control plane would not take."""
        self.bytes_up = 0
        """Bytes of the verdicts that were sent, as gzip makes them."""
        self._journal = journal
        self._addresses = addresses
        self._options = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._stirred = threading.Event()
        self._stirred.set()  # what an earlier run has left
        self._over = threading.Event()
        self._turn = 0
        self._thread = threading.Thread(target=self._run, name="upriver-audit-delivery", daemon=True)

    def start(self) -> None:
        """Begins, in the background."""
        self._thread.start()

    def stir(self) -> None:
        """There is something to deliver; never waits."""
        self._stirred.set()

    def close(self) -> None:
        """Ends; what waits is delivered after the next start."""
        self._over.set()
        self._stirred.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        failures = 0
        while self._stirred.wait() and not self._over.wait(_GATHER_S):
            self._stirred.clear()
            try:
                while self._deliver() and not self._over.is_set():
                    failures = 0
            except UpriverError as error:
                failures += 1
                _LOG.debug("verdicts wait: %s", error)
                self._over.wait(full_jitter_s(failures, _FIRST_S, _LONGEST_S, random.random))
                self._stirred.set()

    def _deliver(self) -> bool:
        """Delivers once; gives whether there was anything. Raises UpriverError when it could not."""
        waiting = self._journal.read(lambda connection: store.to_deliver(connection, MOST))
        if not waiting:
            return False
        bodies = [body for _, body in waiting]
        if not self._taken(bodies):
            # One of them is not as it should be; the others must not wait behind it.
            self.refused += sum(not self._taken([body]) for body in bodies)
        numbers = [number for number, _ in waiting]
        self._journal.write(lambda connection: store.delivered(connection, numbers)).result()
        return True

    def _taken(self, bodies: Sequence[bytes]) -> bool:
        """Sends some; False when the control plane refuses them for what they are. Raises UpriverError else."""
        request = pb.SubmitAuditsRequest(audits=[pb.Audit.FromString(body) for body in bodies])
        self.bytes_up += len(zlib.compress(request.SerializeToString()))
        address = self._addresses[self._turn % len(self._addresses)]
        with open_channel(address, self._options) as channel:
            try:
                # Verdicts of a pair share nearly everything, digests above all.
                Stub(channel, SERVICE).SubmitAudits(
                    request, timeout=_TIMEOUT_S, metadata=self._metadata, compression=grpc.Compression.Gzip
                )
            except grpc.RpcError as error:
                if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    _LOG.error("the control plane refuses verdicts: %s", error.details())
                    return False
                self._turn += 1
                raise error_of(error, address) from error
        return True
