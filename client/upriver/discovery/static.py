"""Agents told by configuration: for places with no registry."""

from collections.abc import Iterable, Sequence

from upriver.discovery.port import AgentRecord


class StaticDiscovery:
    """Always the same agents. Telling others about us is left to whoever writes their configuration."""

    def __init__(self, records: Iterable[AgentRecord]) -> None:
        self._records = tuple(records)

    def start(self, me: AgentRecord) -> None:
        """Nothing to register with."""

    def update(self, me: AgentRecord) -> None:
        """Nobody to tell."""

    def draining(self) -> None:
        """Nobody to tell."""

    def agents(self) -> Sequence[AgentRecord]:
        """The configured agents."""
        return self._records

    def close(self) -> None:
        """Nothing to deregister from."""
