"""How work in the background lets answers go first: pauses between pieces of it, each too short to be missed.

A thread that lets go of the interpreter for no time at all mostly has it back before one that waits for it has woken.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

PAUSE_S: Final = 0.0005
T = TypeVar("T")


def pause() -> None:
    """Lets a thread that waits for the interpreter have it now, and not when our switch interval is over."""
    time.sleep(PAUSE_S)


def giving_way(items: Iterable[T], every: int = 1) -> Iterator[T]:
    """The same items, with a pause behind each `every` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            pause()
