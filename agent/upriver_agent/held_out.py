"""The questions that the learner holds out, as heads of a region are tried on them."""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

from upriver.errors import UpriverError
from upriver.trials import HeldOut
from upriver_agent.journal import Journal
from upriver_agent.learning import holdout
from upriver_agent.learning.candidate import passes_of
from upriver_agent.serving.loaded import LoadedVersion

_UNKNOWN: Final = (0, "")


class JournalHoldout:
    """What is held out in the journal; see `tryouts.Holdout`. Nothing as long as the journal can't be read."""

    def __init__(self, journal: Journal, answering: Callable[[str], LoadedVersion]) -> None:
        """`answering` gives the version that answers for a model, or raises UpriverError."""
        self._journal = journal
        self._answering = answering

    def mark(self, model: str, version_digest: str) -> object:
        """How much is held out and up to which question, of which top, what answers, and whether it may."""
        try:
            key = self._journal.read(partial(holdout.key_of, model=model, version=version_digest))
            if key is None:
                return _UNKNOWN
            count = self._journal.read(partial(holdout.count, key=key))
            newest, _ = self._journal.read(partial(_newest, key=key))  # of so many others may have taken the places
            answering = self._answering(model)
            return count, newest, key.top, answering.policy.digest, answering.alarmed
        except UpriverError:
            return _UNKNOWN

    def held_out(self, model: str, version_digest: str, top: str) -> HeldOut | None:
        """The questions of a version, where the version `top` answered those audited last."""
        try:
            answering = self._answering(model)
            key = self._journal.read(partial(holdout.key_of, model=model, version=version_digest))
            if key is None or answering.version.digest != version_digest:
                return None
            _, width = self._journal.read(partial(_newest, key=key))
            held = self._journal.read(partial(holdout.read, key=key, width=width))
        except UpriverError:
            return None
        if top not in (held.top_version, key.top) or not held.ids:
            return None
        passes, known = passes_of(answering, held)
        return HeldOut(held.embeddings, held.labels, passes, known)


def _newest(connection: sqlite3.Connection, key: holdout.Key) -> tuple[int, int]:
    """The number of the newest question, and the width of its embedding; zeros for none."""
    found = connection.execute(
        "SELECT seq, length(embedding) FROM held_out WHERE model = ? AND version = ? AND top = ?"
        " ORDER BY seq DESC LIMIT 1",
        (key.model, key.version, key.top),
    ).fetchone()
    return (0, 0) if found is None else (int(found[0]), int(found[1]) // 4)
