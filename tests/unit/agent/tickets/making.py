"""Requests, answers and desks for the tests of tickets."""

import time
from contextlib import contextmanager

import numpy as np

from upriver.parameters import Reason
from upriver.tensors import Tensor
from upriver_agent.envelope import DEFAULT_OPTIONS
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.serving.request import InferAnswer, InferRequest
from upriver_agent.tickets.desk import DeskOptions, TicketDesk
from upriver_agent.upstream.timer import Timer

WAIT_S = 60
LABELS = ("one", "two", "three")


def request(rows=1, size=4, options=DEFAULT_OPTIONS, model="m", again=""):
    image = Tensor("image", "FP32", np.arange(rows * size, dtype=np.float32).reshape(rows, size))
    return InferRequest(model, "1", "id", {"image": image}, options, again=again)


def answer(*facts, model="m", logits=False):
    scores = np.tile(np.array([0.2, 0.5, 0.3], np.float32), (len(facts), 1))
    outputs = {"p": scores, "e": np.arange(len(facts) * 2, dtype=np.float32).reshape(-1, 2)}
    return InferAnswer(
        model, "1", "id", Answers(outputs, facts, LABELS, "p", logits), trace_id="ab" * 16, span_id="cd" * 8
    )


def fact(resolved=False, reason=Reason.UPSTREAM_DOWN, confidence=0.5, agent="me", path=("me",), policy="sha256:own"):
    return RowFacts(agent, "device", confidence, resolved, reason, False, path, policy)


ABOVE = {"resolved": True, "reason": Reason.CONFIDENT, "agent": "cloud", "path": ("me", "cloud"), "policy": "sha256:up"}


@contextmanager
def opened(folder, clock=time.time, **options):
    """A desk that is closed at the end."""
    chosen = {"max_bytes": 1 << 20, "max_age_s": 3600.0, "max_input_bytes": 1 << 16, "disk_s": WAIT_S} | options
    timer = Timer()
    desk = TicketDesk(DeskOptions(agent="me", folder=folder, **chosen), timer, clock)
    desk.start()
    try:
        yield desk
    finally:
        desk.close()
        timer.close()


def issue(desk, question="q-1", rows=1, time_left_s=None, asked=None, given=None):
    """Issues tickets for a request of which no row is resolved; gives them."""
    given = given or answer(*[fact()] * rows)
    return desk.issue(question, asked or request(rows), given, time_left_s).result(WAIT_S)
