"""An agent's own heads, composed: what learns them from its lessons, and the service that tells of them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from upriver.errors import DiskTrouble
from upriver.services import handlers
from upriver_agent.learning import trials
from upriver_agent.learning.attempts import AttemptBook
from upriver_agent.learning.examiner import Parts
from upriver_agent.learning.learner import Learner
from upriver_agent.learning.prior import Priors
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.school import School
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.refiner import Refiner
from upriver_agent.serving.slots import Slots
from upriver_agent.transport.heads import SERVICE, HeadServicer


class Refining:
    """The heads of one agent; where no lessons are kept none are learnt, and the service says so."""

    def __init__(self, config: AgentConfig, book: LessonBook, school: School, refiner: Refiner, slots: Slots) -> None:
        def models() -> list[str]:
            return [slot.model for slot in slots.all() if slot.active is not None]

        parts = Parts(
            journal=book.journal,
            book=book,
            refiner=refiner,
            attempts=AttemptBook(config.agent.state_dir),
            prior_of=Priors().of,
            audited=school.audited,
        )
        self._off = school.off
        self._book = book
        self._access = config.learning.access
        self._models = models
        self.learner = Learner(parts, config.learning, models, audits=config.audits.enabled)
        """Its `keeper` listens to audits."""

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """HeadService's handler; `blocking` marks a serving thread as waiting."""
        return handlers(SERVICE, HeadServicer(self.learner, self._models, self._off, self._access, blocking))

    def counters(self) -> Mapping[str, int]:
        """What could not be held out, by name."""
        return {"held_out_lost": self.learner.keeper.lost}

    def tried(self) -> Mapping[tuple[str, bool], int]:
        """Trials of heads that are kept, by model and whether the head came to answer; none when they can't be read."""
        if not self._off:
            with suppress(DiskTrouble):
                return self._book.journal.read(trials.tally)
        return {}

    def start(self) -> None:
        """Begins, in the background; once models are loaded, refined pairs are back and the journal is open."""
        if not self._off:
            self._book.subscribe(self.learner)
            self.learner.start()

    def close(self) -> None:
        """Ends, while the journal is still open."""
        if not self._off:
            self.learner.close()
