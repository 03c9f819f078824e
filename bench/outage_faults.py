"""What breaks: each fault is put on a tier, kept up for a while, and taken away."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from bench.outage_mesh import Mesh
from bench.relay import Order

SLOW_S = 0.2
FLAP_S = 0.5
"""So long an upstream that flaps can be reached, and then not, with every connection reset."""

Fault = Callable[[Mesh, str], "Iterator[None]"]


def killed(mesh: Mesh, tier: str) -> Iterator[None]:
    """kill -9, and started again."""
    mesh.kill(tier)
    yield
    mesh.restart(tier)


def frozen(mesh: Mesh, tier: str) -> Iterator[None]:
    """SIGSTOP: it takes connections, and does nothing."""
    mesh.signal(tier, signal.SIGSTOP)
    yield
    mesh.signal(tier, signal.SIGCONT)


def slowed(mesh: Mesh, tier: str) -> Iterator[None]:
    """Everything takes longer to get there."""
    listen = mesh.agents[tier].called_at
    mesh.relay(tier, Order(listen, delay_s=SLOW_S))
    yield
    mesh.relay(tier, Order(listen))


def flapping(mesh: Mesh, tier: str) -> Iterator[None]:
    """There and gone, over and over."""
    listen = mesh.agents[tier].called_at
    over = Event()

    def flap() -> None:
        while True:
            mesh.relay(tier, Order(listen, "reset"))
            if over.wait(FLAP_S):
                return
            mesh.relay(tier, Order(listen))
            if over.wait(FLAP_S):
                return

    flaps = Thread(target=flap)
    flaps.start()
    yield
    over.set()
    flaps.join()
    mesh.relay(tier, Order(listen))


def partitioned(mesh: Mesh, tier: str) -> Iterator[None]:
    """All its packets are dropped."""
    mesh.cut(tier)
    yield
    mesh.mend(tier)


def cut_off(mesh: Mesh, tier: str) -> Iterator[None]:
    """The same without a network of our own: what is between passes nothing on, on connections old and new."""
    listen = mesh.agents[tier].called_at
    mesh.relay(tier, Order(listen, "cut"))
    yield
    mesh.relay(tier, Order(listen))


FAULTS: dict[str, Fault] = {
    "killed": killed,
    "frozen": frozen,
    "slowed": slowed,
    "flapping": flapping,
    "partitioned": partitioned,
}


@contextmanager
def broken(fault: Fault, mesh: Mesh, tier: str) -> Iterator[None]:
    """A fault, for as long as the block takes."""
    steps = fault(mesh, tier)
    next(steps)
    try:
        yield
    finally:
        next(steps, None)
