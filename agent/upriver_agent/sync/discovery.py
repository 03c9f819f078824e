"""Upstreams as the control plane tells them: for places with no registry of their own."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from upriver.discovery import snapshot
from upriver.discovery.port import AgentRecord


class ControlPlaneDiscovery:
    """The upstreams that came over Sync, and those of the last run until the first come.

    The session registers us by its Hello and deregisters us by ending; `changed` has it report.
    """

    def __init__(self, state_dir: Path, changed: Callable[[], None]) -> None:
        self._file = state_dir / "discovery.json"
        self._records = snapshot.load(self._file)
        self._serving = _serving(self._records)
        self._changed = changed
        self._saving = threading.Lock()

    def take(self, records: tuple[AgentRecord, ...]) -> None:
        """Takes in what the control plane tells."""
        self._records, self._serving = records, _serving(records)
        with self._saving:
            snapshot.save(self._file, records)

    def start(self, me: AgentRecord) -> None:
        """The session tells who we are."""

    def update(self, me: AgentRecord) -> None:
        """Has the session report."""
        self._changed()

    def draining(self) -> None:
        """Has the session report; its status says that we drain."""
        self._changed()

    def agents(self) -> Sequence[AgentRecord]:
        """The last known upstreams that serve something: the control plane tells of each what it serves."""
        return self._serving

    def relays(self) -> Sequence[AgentRecord]:
        """All last known upstreams: one that serves no model yet passes blobs on all the same."""
        return self._records

    def close(self) -> None:
        """The session's end deregisters us."""


def _serving(records: tuple[AgentRecord, ...]) -> tuple[AgentRecord, ...]:
    return tuple(record for record in records if record.models)
