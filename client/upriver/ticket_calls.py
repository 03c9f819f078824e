"""Tickets through the synchronous client: wait for one's answer, or take answers as they come."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any, Final

import grpc

from upriver import tracing
from upriver.answer import Answer
from upriver.backoff import full_jitter_s
from upriver.errors import CallerGone, UpriverError
from upriver.refusals import REPEATABLE, error_of
from upriver.services import Stub
from upriver.tickets import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SERVICE,
    Seek,
    Ticket,
    TicketState,
    parse_ticket,
    watch_request,
)

_WAITING: Final = 64
_LOOK_S: Final = 0.2


class TicketHandle:
    """One ticket. Made by `Client.ticket`."""

    def __init__(
        self,
        id_: str,
        addresses: Sequence[str],
        first: Callable[[], int],
        channel: Callable[[str], grpc.Channel],
        timeout_s: float,
        closed: threading.Event,
    ) -> None:
        self.id = id_
        self._addresses = addresses
        self._first = first
        self._channel = channel
        self._timeout_s = timeout_s
        self._closed = closed

    def result(self, timeout: float | None = None) -> Answer:
        """Waits for the answer, at most `timeout` seconds (None: the client's own).

        Agents that can't be reached are asked again within that time. Raises DeadlineExpired when it is over, NotFound
        when no agent knows the ticket, TicketGone when it has expired or was dropped.
        """
        ticket = self._seek(timeout, until=TicketState.ANSWERED)
        assert ticket.answer is not None  # noqa: S101 - narrows the type; an answered ticket has one
        return ticket.answer

    def get(self, timeout: float | None = None) -> Ticket:
        """The ticket as it is now; raises as `result` does."""
        return self._seek(timeout, until=TicketState.OPEN)

    def _seek(self, timeout: float | None, until: TicketState) -> Ticket:
        deadline = time.monotonic() + (self._timeout_s if timeout is None else timeout)
        seek = Seek(self.id, self._addresses, self._first(), deadline)
        while True:
            message, timeout_s = seek.request(time.monotonic())
            if until is TicketState.OPEN:
                message.ClearField("wait_time")
            stub = Stub(self._channel(seek.address), SERVICE)
            try:
                ticket = parse_ticket(stub.GetTicket(message, timeout=timeout_s, metadata=tracing.inject()).ticket)
            except grpc.RpcError as failed:
                if self._closed.is_set():
                    raise CallerGone("the client was closed before the answer came") from failed
                error = error_of(failed, seek.address)
                error.__cause__ = failed
                pause_s = seek.failed(error, time.monotonic(), _chance())
            else:
                if until is TicketState.OPEN or ticket.state is until:
                    return ticket
                pause_s = seek.open(time.monotonic(), _chance())
            self._closed.wait(pause_s)


class TicketStream:
    """Answers as they come, from every agent that the client knows, over one call each; broken calls are made anew."""

    def __init__(
        self,
        addresses: Sequence[str],
        ids: Sequence[str],
        channel: Callable[[str], grpc.Channel],
        closed: threading.Event,
    ) -> None:
        """No `ids`: everybody's tickets, answered from now on."""
        self._addresses = addresses
        self._ids = ids
        self._channel = channel
        self._closed = closed
        self._over = threading.Event()
        self._found: Queue[Ticket | UpriverError] = Queue(_WAITING)
        self._calls: dict[str, Any] = {}

    def run(self, timeout_s: float | None) -> Iterator[Ticket]:
        """Yields answered tickets, until `timeout_s` is over, all named ones have come or the client is closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        missing = set(self._ids)
        for address in self._addresses:
            threading.Thread(target=self._follow, args=(address,), name="upriver-tickets", daemon=True).start()
        try:
            while not self._closed.is_set() and (missing or not self._ids):
                left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
                if left <= 0:
                    return
                try:
                    found = self._found.get(timeout=left)
                except Empty:
                    continue
                if isinstance(found, UpriverError):
                    raise found
                if not self._ids or found.id in missing:
                    missing.discard(found.id)
                    yield found
        finally:
            self._over.set()
            for call in list(self._calls.values()):
                call.cancel()

    def _follow(self, address: str) -> None:
        cursor: int | None = None
        failures = 0
        while not self._over.is_set():
            try:
                call = Stub(self._channel(address), SERVICE).WatchTickets(watch_request(self._ids, cursor))
                self._calls[address] = call
                for message in call:
                    cursor, failures = message.cursor, 0
                    if message.HasField("ticket"):
                        self._put(parse_ticket(message.ticket))
            except ValueError:  # the client was closed
                return
            except grpc.RpcError as failed:
                if self._over.is_set():
                    return
                error = error_of(failed, address)
                if not isinstance(error, REPEATABLE):
                    self._put(error)
                    return
            except UpriverError as error:
                self._put(error)
                return
            failures += 1
            self._over.wait(full_jitter_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, _chance))

    def _put(self, found: Ticket | UpriverError) -> None:
        while not self._over.is_set():
            try:
                self._found.put(found, timeout=_LOOK_S)
            except Full:
                continue
            return


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads retries, keeps no secret
