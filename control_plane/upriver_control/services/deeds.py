"""Tells what the control plane did, in spans that link to the questions that it came of: trainings, and rollouts.

Every process tells of every rollout's end: what is told has ids of its own, so where spans are kept together it is
there once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from upriver.errors import NotFound, UpriverError
from upriver.tracing import MAX_LINKS, Attribute, SpanName
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.rollout import Rollout
from upriver_control.spans.facts import LinkFacts
from upriver_control.spans.own import MAX_CHILDREN, OwnSpans, Told
from upriver_control.training.origins import Origin, Trained
from upriver_control.training.used import Lessons

_LOG: Final = logging.getLogger(__name__)
MISSED_S: Final = 3600.0
"""Of what ended so long before the start it is told once more: a process that was killed could not."""
_MOST: Final = MAX_LINKS * (1 + MAX_CHILDREN)
_TRIES: Final = 3


class Deeds:
    """Made and run on an event loop; `trained` is for any thread."""

    def __init__(
        self, own: OwnSpans, lessons: Lessons, mirror: RolloutMirror, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix times."""
        self._own = own
        self._lessons = lessons
        self._mirror = mirror
        self._since = clock() - MISSED_S

    def trained(self, trained: Trained) -> None:
        """A version was made of lessons; does not wait."""
        attributes: dict[str, Told] = {
            Attribute.MODEL: trained.model,
            Attribute.VERSION: trained.version_digest,
            Attribute.TRAINING: trained.training,
            Attribute.LESSONS: trained.lessons,
        }
        if trained.region:
            attributes[Attribute.REGION] = trained.region
        questions = [*trained.links, *(one for part in trained.parts for one in part)]
        times = (_ns(trained.started), _ns(trained.ended))
        self._own.tell(SpanName.TRAIN, trained.training, times, attributes, _links(questions))

    async def run(self) -> None:
        """Tells of each rollout that has ended, as long as it is not cancelled."""
        changed, told = self._mirror.listen(), frozenset[str]()
        try:
            while True:
                ended = {_about(one): one for one in self._mirror.rollouts.values() if _end(one) > self._since}
                for about, rollout in ended.items():
                    if about not in told:
                        await self._rolled_out(about, rollout)
                told = frozenset(ended)
                await changed.wait()
                changed.clear()
        finally:
            self._mirror.unlisten(changed)

    async def _rolled_out(self, about: str, rollout: Rollout) -> None:
        lessons, origins = await asyncio.to_thread(self._taught, rollout)
        attributes: dict[str, Told] = {
            Attribute.MODEL: rollout.model,
            Attribute.VERSION: rollout.pair.version_digest,
            Attribute.ROLLOUT: f"rollouts/{rollout.id}",
            Attribute.STATE: rollout.state.value,
            Attribute.MESSAGE: rollout.reason,
        }
        if lessons:
            attributes[Attribute.LESSONS] = lessons
        times = (_ns(rollout.created), _ns(_end(rollout)))
        self._own.tell(SpanName.ROLLOUT, about, times, attributes, _links(origins))

    def _taught(self, rollout: Rollout) -> tuple[int, list[Origin]]:
        for left in reversed(range(_TRIES)):
            try:
                return self._lessons.of(rollout.pair, rollout.model, _MOST)
            except NotFound as error:  # files were put together with others while they were read
                if not left:
                    _LOG.warning("the questions behind rollouts/%s are not told: %s", rollout.id, error)
            except UpriverError as error:
                _LOG.warning("the questions behind rollouts/%s are not told: %s", rollout.id, error)
                break
        return 0, []


def _about(rollout: Rollout) -> str:
    return f"rollouts/{rollout.id} {_end(rollout):.6f}"


def _end(rollout: Rollout) -> float:
    """When it ended; 0 while it has not."""
    return (rollout.ended or rollout.updated) if rollout.has_ended else 0.0


def _links(origins: Iterable[Origin]) -> list[LinkFacts]:
    """Those that are ids: agents wrote them."""
    found = []
    for origin in dict.fromkeys(origins):
        try:
            link = LinkFacts(bytes.fromhex(origin.trace_id), bytes.fromhex(origin.span_id))
        except ValueError:
            continue
        if (len(link.trace), len(link.span)) == (16, 8):
            found.append(link)
    return found


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
