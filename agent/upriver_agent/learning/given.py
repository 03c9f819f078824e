"""Heads that others made of what was pooled, and that were put here: told when one begins to answer."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from upriver import tracing
from upriver.errors import DiskTrouble
from upriver_agent.journal import Journal
from upriver_agent.lessons import looking
from upriver_agent.serving.refiner import Current
from upriver_agent.telemetry import Origin


class GivenHeads:
    """For one agent, used on the learner's thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, str] = {}

    def begun(self, current: Current) -> Sequence[Origin]:
        """Where the newest questions were that this agent pooled lessons of, if another head was put here since the
        last look; nothing else. What is there at the first look was there before, or taught by others alone.
        """
        model, head = current.given.model, current.given.policy.document.head
        before, self._known[model] = self._known.get(model), head
        if not head or before is None or before == head:
            return ()
        return newest(self._journal, model, current.given.version.digest)


def newest(journal: Journal, model: str, version_digest: str) -> Sequence[Origin]:
    """Where the newest questions were whose lessons of a version count, as many as one span links to.

    None where the disk fails: what answers is not less true without, and the journal has told it.
    """
    wanted = partial(looking.newest_origins, model=model, version_digest=version_digest, most=tracing.MAX_LINKS)
    with suppress(DiskTrouble):
        return journal.read(wanted)
    return ()
