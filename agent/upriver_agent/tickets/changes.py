"""Which pairs were seen to answer for each model, here and above: when one is new, tickets are worth asking again.

Epochs number the changes of one model's pairs, and are kept in the journal: a start is no change.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from upriver.errors import DiskTrouble
from upriver_agent.journal import Journal
from upriver_agent.tickets import store


class Changes:
    """The pairs that were seen, by model. Safe to share between threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, int]] = {}
        self._own: dict[str, str] = {}
        self._least: dict[str, int] = {}
        """Epochs that tickets have seen: those of a journal that was lost go on from there."""
        self._loaded = False

    def load(self) -> None:
        """Takes in what the journal has; before that nothing is noted. A journal that can't be read has nothing."""
        rows: Iterable[tuple[str, str, int, bool]] = ()
        asked: Mapping[str, int] = {}
        with suppress(DiskTrouble):
            rows, asked = self._journal.read(store.pairs), self._journal.read(store.newest_epochs)
        with self._lock:
            self._least.update(asked)
            for model, digest, epoch, own in rows:
                self._seen.setdefault(model, {})[digest] = epoch
                if own:
                    self._own[model] = digest
            self._loaded = True

    def epoch_of(self, model: str) -> int:
        """How often a model's pairs were seen to change."""
        return max(self._seen.get(model, {}).values(), default=self._least.get(model, 0))

    def note(self, model: str, above: Collection[str], own: str = "") -> bool:
        """Notes the pairs that answer above, and here if it is told; gives whether one is new.

        A pair of our own that comes back is a change too: what was asked since, it has not seen.
        """
        seen = self._seen.get(model, {})
        if not self._loaded or (all(digest in seen for digest in above) and own in ("", self._own.get(model))):
            return False
        with self._lock:
            seen = dict(self._seen.get(model, {}))
            epoch = max(self._least.get(model, 0), *seen.values(), 0) + 1
            for digest in above:
                seen.setdefault(digest, epoch)
            if own and own != self._own.get(model):
                self._own[model] = own
                seen[own] = epoch
            for digest in sorted(seen, key=lambda digest: seen[digest])[: -store.MAX_PAIRS]:
                del seen[digest]
            self._seen[model] = seen
            mine = self._own.get(model, "")
        self._journal.write(lambda connection: store.note_pairs(connection, model, seen, mine))
        return True
