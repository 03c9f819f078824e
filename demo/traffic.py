"""Questions at a modest rate while the demo stays up, so that there is something to look at.

Each is sampled by who asks, so that every one is kept, and now and then one asks for more confidence than any model
has: nobody is sure of that, and it gets a ticket.
"""

import secrets
import threading
import time
from collections.abc import Sequence
from typing import Final

import grpc

from demo.asking import Asker, make_request
from demo.digits import Digits

VERY_SURE_EVERY: Final = 25
_VERY_SURE: Final = 0.9999999


class Traffic:
    """Asks until it is stopped; what fails is counted, as an agent may be killed by who plays."""

    def __init__(self, addresses: Sequence[str], digits: Digits, per_s: float) -> None:
        """Asks agents in turn about digits in turn, so many a second; 0 asks nothing."""
        self.asked = self.failed = 0
        self._digits, self._per_s = digits, per_s
        self._addresses = tuple(addresses)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        """Begins."""
        if self._per_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """Ends, after the question that is being asked."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        askers = [Asker(address) for address in self._addresses]
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self._per_s, time.monotonic() - 1)  # what could not be asked in time is not made up for
            try:
                self._ask(askers[self.asked % len(askers)])
            except grpc.RpcError:
                self.failed += 1
            self.asked += 1
        for asker in askers:
            asker.close()

    def _ask(self, asker: Asker) -> None:
        at = self.asked % len(self._digits)
        message = make_request(self._digits.images[at : at + 1])
        if self.asked % VERY_SURE_EVERY == VERY_SURE_EVERY - 1:
            message.parameters["upriver.min_confidence"].double_param = _VERY_SURE
        asker.ask(message, {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"})
