"""The port through which a pair's files come, and what it gives."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from upriver.heads import Head
from upriver.policies import PolicyDocument
from upriver_agent.slot import Pair
from upriver_agent.versions import Version


@dataclass(frozen=True, slots=True)
class Staged:
    """A pair whose files are here and are what was signed. `policy` None is the manifest's own; it may name a head."""

    version: Version
    policy: PolicyDocument | None = None
    head: Head | None = None


class Supply(Protocol):
    """Brings the files of pairs."""

    def obtain(self, model: str, pair: Pair, bases: Iterable[Pair], cancelled: threading.Event) -> Staged:
        """Fetches what is not here yet; `bases` are pairs that are, for deltas. Ends soon after `cancelled` is set.

        Raises Untrusted, DeviceUnfit, DiskTrouble, Unreachable (also when cancelled), ModelInvalid or ManifestError.
        """
        ...

    def reopen(self, pair: Pair) -> Staged:
        """Gives a pair that was obtained before, touching no network; raises ModelInvalid when it is not whole."""
        ...

    def release(self, kept: Iterable[Pair]) -> None:
        """Gives back the room of pairs other than these; may be called at any time."""
        ...
