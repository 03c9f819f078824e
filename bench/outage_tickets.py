"""What has become of the tickets that callers were given while something was broken."""

import time
from collections.abc import Collection

import grpc

from upriver.services import Stub
from upriver.v1 import ticket_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["TicketService"]
_CALL_S = 10.0
_LOOK_S = 0.5


def lost(address: str, tickets: Collection[str], within_s: float) -> int:
    """How many tickets the agent at `address` does not know any more, or can't have asked above.

    Everything that was broken is well again when this is called; a ticket that then still waits for an upstream after
    `within_s` is lost. One that every tier was asked about, and none was sure of, is open as it should be.
    """
    until = time.monotonic() + within_s
    pending = set(tickets)
    gone = 0
    with grpc.insecure_channel(address) as channel:
        stub = Stub(channel, SERVICE)
        while pending:
            for name in list(pending):
                state = _state(stub, name)
                if state is None:
                    gone += 1
                if state != pb.TICKET_WAITING_UPSTREAM:
                    pending.discard(name)
            if time.monotonic() > until:
                break
            time.sleep(_LOOK_S)
    return gone + len(pending)


def _state(stub: Stub, name: str) -> "pb.TicketWaiting | None":
    """What a ticket waits for; None for one that the agent does not know."""
    try:
        found = stub.GetTicket(pb.GetTicketRequest(name=f"tickets/{name}"), timeout=_CALL_S)
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    waiting: pb.TicketWaiting = found.ticket.waiting
    return waiting
