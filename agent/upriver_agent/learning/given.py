"""Heads that others made of what was pooled, and that were put here: told when one begins to answer."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from upriver import tracing
from upriver.errors import DiskTrouble
from upriver_agent.journal import Journal
from upriver_agent.lessons import looking
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import Current
from upriver_agent.telemetry import Origin


class GivenHeads:
    """For one agent. Safe to share between threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._latest: dict[str, str] = {}
        self._new: dict[str, str] = {}

    def put(self, loaded: LoadedVersion) -> None:
        """A pair is about to answer. The first of a model since the start is what was there before."""
        model, head = loaded.model, loaded.policy.document.head
        with self._lock:
            before = self._latest.setdefault(model, head)
            self._latest[model] = head
            if head and head != before:
                self._new[model] = head

    def begun(self, current: Current) -> Sequence[Origin] | None:
        """Where the newest questions were that this agent pooled lessons of, once for each head that was put here, when
        it answers; None else. One that was learnt here is not put into the slot, and not told by this."""
        model, head = current.given.model, current.given.policy.document.head
        with self._lock:
            if not head or self._new.get(model) != head:
                return None
            del self._new[model]
        return newest(self._journal, model, current.given.version.digest)


def newest(journal: Journal, model: str, version_digest: str) -> Sequence[Origin]:
    """Where the newest questions were whose lessons of a version count, as many as one span links to.

    None where the disk fails: what answers is not less true without, and the journal has told it.
    """
    wanted = partial(looking.newest_origins, model=model, version_digest=version_digest, most=tracing.MAX_LINKS)
    with suppress(DiskTrouble):
        return journal.read(wanted)
    return ()
