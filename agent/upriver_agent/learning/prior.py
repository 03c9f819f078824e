"""A version's prior: the sums over what it was trained on, that a head of it starts from."""

import logging
import threading
from typing import Final

from upriver.errors import ModelInvalid
from upriver.head_statistics import HeadStatistics
from upriver_agent.head import read_prior
from upriver_agent.serving.loaded import LoadedVersion

_LOG = logging.getLogger(__name__)
_MOST: Final = 16


class Priors:
    """The priors of versions, each read once. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, HeadStatistics | None] = {}

    def of(self, loaded: LoadedVersion) -> HeadStatistics | None:
        """A version's prior; None when it has none, or one that can't be read, which is logged once."""
        version = loaded.version
        with self._lock:
            if version.digest not in self._known:
                while len(self._known) >= _MOST:
                    del self._known[next(iter(self._known))]
                self._known[version.digest] = _read(loaded)
            return self._known[version.digest]


def _read(loaded: LoadedVersion) -> HeadStatistics | None:
    try:
        return read_prior(loaded.version)
    except ModelInvalid as error:
        _LOG.error("%s %s does not learn: %s", loaded.model, loaded.name, error)
        return None
