"""Fair admission: when places become scarce, how many of the last ones each caller may have.

Dynamic thresholds of shared-memory switches (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998): a caller may take one more of the scarce places
while it has fewer of them than are still free. One noisy caller alone gets half of them, n of them n/(n+1) together, so
there is always room for one who has none yet. Nothing is reserved by name, and no share needs to be configured.
"""

from dataclasses import dataclass

from upriver_agent import document as doc


@dataclass(frozen=True, slots=True)
class FairnessRules:
    """`scarce_share` of `serving.max_inflight` is shared out fairly between callers when the rest is taken.

    More protects quiet callers better; a caller that is alone can't use half of it. 0 is first come, first served.
    """

    scarce_share: float = doc.setting(doc.number(0, 1), 0.25)


class ScarcePlaces:
    """The places that are shared out fairly. It remembers only callers that have some: at most as many as places."""

    __slots__ = ("_free", "_held", "places")

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = places
        self._held: dict[str, int] = {}

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self._free

    def held(self, caller: str) -> int:
        """How many a caller has."""
        return self._held.get(caller, 0)

    def enter(self, caller: str) -> bool:
        """Gives a caller a place; False when it has its share or all are taken."""
        held = self._held.get(caller, 0)
        if held >= self._free:
            return False
        self._free -= 1
        self._held[caller] = held + 1
        return True

    def leave(self, caller: str) -> None:
        """Takes a caller's place back."""
        held = self._held[caller]
        self._free += 1
        if held == 1:
            del self._held[caller]
        else:
            self._held[caller] = held - 1
