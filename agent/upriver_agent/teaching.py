"""An agent's lessons, composed: the book that keeps them, what takes them in, and the service that tells of them."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from upriver.errors import DiskTrouble
from upriver.services import handlers
from upriver_agent.handing_up import table as handing
from upriver_agent.journal import Journal
from upriver_agent.learning import table as learning
from upriver_agent.lessons import looking
from upriver_agent.lessons.book import BookOptions, LessonBook
from upriver_agent.lessons.making import LessonMaker
from upriver_agent.lessons.rules import Quotas
from upriver_agent.lessons.school import School, SchoolRules
from upriver_agent.lessons.table import FILE, STATEMENTS
from upriver_agent.place import Place
from upriver_agent.sealing import Seal
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.slots import Slots
from upriver_agent.telemetry import Origin
from upriver_agent.transport.lessons import SERVICE, LessonDesk, LessonServicer

_MAX_LABELS: Final = 1000
"""Labels that metrics look at, the commonest."""
SCHEMA: Final = ((*STATEMENTS, *learning.STATEMENTS, *handing.STATEMENTS, *handing.WATCH),)
"""The tables of everything that is made of lessons."""


class Teaching:
    """The lessons of one agent; with `learning.enabled` off there are none."""

    def __init__(self, config: AgentConfig, place: Place, slots: Slots) -> None:
        section = config.learning
        options = BookOptions(
            max_bytes=section.max_mib << 20,
            max_age_s=section.max_age_h * 3600,
            quorum=section.quorum,
            teacher_error=section.teacher_error,
        )
        self.seal = Seal(section.encrypt_key_file) if section.encrypt_key_file is not None else None
        self.journal = Journal(config.agent.state_dir / FILE, SCHEMA, durable=False)
        self.book = LessonBook(self.journal, options)
        quotas = Quotas(section.teacher_per_min, section.caller_per_min, time.monotonic)
        maker = LessonMaker(place.agent, section.holdout, quotas, self.seal, time.time)
        self.school = School(place, _rules(config), self.book, maker, slots.active)
        self._keeps = section.enabled and (not self.school.off or section.share == "inputs")
        self._slots = slots
        self._access = section.access
        self._counted: dict[str, int] = {}
        self._lessons: dict[str, int] = {}
        self._open = False

    def open(self) -> None:
        """Opens what was kept; before the first version is attended to."""
        if self._keeps:
            self.journal.start()
            self._open = True

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """LessonService's handler; `blocking` marks a serving thread as waiting."""
        desk = LessonDesk(
            book=self.book,
            off=self.school.off,
            seal=self.seal,
            models=lambda: {loaded.model: loaded.untaught for loaded in self._answering()},
            versions=lambda: frozenset(loaded.version.digest for loaded in self._answering()),
            counters=self.school.counters,
        )
        return handlers(SERVICE, LessonServicer(desk, self._access, blocking))

    def _answering(self) -> list[LoadedVersion]:
        return [slot.active for slot in self._slots.all() if slot.active is not None]

    def attend(self, loaded: LoadedVersion) -> None:
        """Has a version learn from now on, or says why not; before it answers."""
        self.school.attend(loaded)

    def answered(self, ticket: str, model: str, question: bytes, reply: bytes, origin: Origin) -> None:
        """A person has answered a ticket; never waits."""
        self.school.answered(ticket, model, question, reply, origin)

    def start(self) -> None:
        """Begins, in the background."""
        self.school.start()

    def counters(self) -> Mapping[str, int]:
        """What has become of lessons, by name; as last known when the journal can't be read."""
        if self._open:
            with suppress(DiskTrouble):
                self._counted, self._lessons = self.journal.read(
                    lambda connection: (looking.tally(connection), looking.by_model(connection))
                )
        told = {**self.school.counters(), **self._counted}
        return {f"lessons_{name}": count for name, count in told.items()}

    def by_label(self) -> Mapping[tuple[str, str], int]:
        """How many lessons count of which model and label, of the commonest; none when the journal can't be read."""
        if self._open:
            with suppress(DiskTrouble):
                return self.journal.read(lambda connection: looking.by_label(connection, _MAX_LABELS))
        return {}

    def lessons(self) -> Mapping[str, int]:
        """How many lessons count of which model, as `counters` found them last."""
        return self._lessons

    def close(self) -> None:
        """Ends; what was heard is kept."""
        if self._open:
            self.school.close()
            self.counters()
            self._open = False
            self.journal.close()


def _rules(config: AgentConfig) -> SchoolRules:
    section, tls = config.learning, config.tls
    anybody = section.trust == "network"
    return SchoolRules(
        enabled=section.enabled,
        trusted=anybody or tls.upstream_ca is not None or tls.upstream_certificate is not None,
        trusts_people=anybody or config.tickets.access == "authenticated",
        keeps=section.keep_inputs,
    )
