"""What heads are made of and where they go, as an interface; see `Library`."""

from typing import Protocol

from upriver.head_statistics import HeadStatistics
from upriver.heads import Head


class Books(Protocol):
    """Priors, heads and policies."""

    def prior(self, version_digest: str) -> HeadStatistics | None:
        """A version's sums over what it was trained on."""
        ...

    def head(self, digest: str) -> Head | None:
        """A head."""
        ...

    def lend(self, data: bytes, now: float, for_s: float) -> str:
        """Keeps a head for a while; gives its digest."""
        ...

    def publish(self, model: str, tier: str, document: str, head: str) -> str:
        """Signs and keeps a policy with its head, if it has one; gives its name."""
        ...
