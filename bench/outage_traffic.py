"""Steady traffic while something breaks: every question is noted with when it was due and what became of it."""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np

from demo.asking import make_request
from demo.digits import load_test
from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as pb

_METHOD = f"/{names.SERVICE}/ModelInfer"
_LAST_S = 10.0
DIGITS = 500
CONFIDENCES = (None, 0.999, None, 1.01)
"""What questions ask for in turn: half of them what the policies say, some more, some what nobody has: those go through
every tier, and their answers are unresolved."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One question: when it was due and when it was sent (CLOCK_MONOTONIC), and how long after the former it ended.

    Seconds. `error` is empty for an answer, else the status; `path` has the agents of the way.
    """

    due_s: float
    sent_s: float
    took_s: float
    error: str = ""
    degraded: bool = False
    path: tuple[str, ...] = ()
    unresolved: bool = False
    ticket: str = ""

    @property
    def ended_s(self) -> float:
        """When it ended."""
        return self.due_s + self.took_s


class Traffic:
    """Asks one agent `per_second` questions a second until it is stopped; a context manager."""

    def __init__(self, address: str, per_second: float, deadline_s: float) -> None:
        self._every_s = 1 / per_second
        self._deadline_s = deadline_s
        self._channel = grpc.insecure_channel(address)
        self._call = self._channel.unary_unary(
            _METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )
        self._stop = threading.Event()
        self._seen: list[Seen] = []
        self._outstanding = 0
        self._ended = threading.Condition()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> Sequence[Seen]:
        """Asks no more, waits for what is under way, and gives all of it."""
        self._stop.set()
        self._thread.join()
        with self._ended:
            self._ended.wait_for(lambda: self._outstanding == 0, self._deadline_s + _LAST_S)
        self._channel.close()
        return self.seen()

    def seen(self) -> Sequence[Seen]:
        """What has ended so far."""
        with self._ended:
            return list(self._seen)

    def _ask(self) -> None:
        messages = itertools.cycle(_messages())
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            with self._ended:
                self._outstanding += 1
            sent_s = time.monotonic()
            pending = self._call.future(next(messages), timeout=self._deadline_s)
            pending.add_done_callback(partial(self._done, due_s, sent_s))
            due_s += self._every_s

    def _done(self, due_s: float, sent_s: float, call: "grpc.Future[pb.ModelInferResponse]") -> None:
        took_s = time.monotonic() - due_s
        try:
            answer = call.result()
        except grpc.RpcError as error:
            code = error.code().name if isinstance(error, grpc.Call) else str(error)
            seen = Seen(due_s, sent_s, took_s, error=code)
        else:
            facts = answer.parameters
            seen = Seen(
                due_s,
                sent_s,
                took_s,
                degraded=facts[names.DEGRADED].bool_param,
                path=tuple(facts[names.PATH].string_param.split(",")),
                unresolved=not facts[names.RESOLVED].bool_param,
                ticket=facts[names.TICKET].string_param if names.TICKET in facts else "",
            )
        with self._ended:
            self._seen.append(seen)
            self._outstanding -= 1
            self._ended.notify_all()


def _messages() -> list[pb.ModelInferRequest]:
    images = load_test().images[:DIGITS]
    order = np.random.default_rng(7).permutation(len(images))
    made = []
    for number, index in enumerate(order):
        message = make_request(images[index : index + 1])
        wanted = CONFIDENCES[number % len(CONFIDENCES)]
        if wanted is not None:
            message.parameters[names.MIN_CONFIDENCE].double_param = wanted
        made.append(message)
    return made
