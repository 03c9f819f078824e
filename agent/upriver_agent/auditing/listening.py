"""Who else wants to know what audits found: the port to whoever learns."""

from collections.abc import Sequence
from typing import Protocol

from upriver_agent.auditing.case import Verdict
from upriver_agent.serving.loaded import LoadedVersion


class Listener(Protocol):
    """Told of verdicts, on the auditor's threads: it must neither wait nor raise."""

    def wants(self, loaded: LoadedVersion) -> bool:
        """Whether it wants anything of this pair, now or later."""
        ...

    def share(self, model: str) -> float:
        """The share of a model's questions that it wants audited now, at least; 0 is none."""
        ...

    def judged(self, verdicts: Sequence[Verdict], top_version: str) -> None:
        """Verdicts of one pair that were settled; `top_version` is the digest of the version that the top answered
        with, empty when it is not known."""
        ...


class Nobody:
    """Nobody listens."""

    def wants(self, loaded: LoadedVersion) -> bool:
        """Nothing."""
        return False

    def share(self, model: str) -> float:
        """None."""
        return 0.0

    def judged(self, verdicts: Sequence[Verdict], top_version: str) -> None:
        """Does nothing."""
