"""What an agent hands up of its lessons, composed: its own, those from agents below, and the way that they go."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from upriver.channels import ChannelOptions
from upriver.discovery.port import AgentRecord
from upriver.errors import DiskTrouble
from upriver.services import handlers
from upriver_agent.blobs.mesh import Above
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.own import Origin, OwnLessons
from upriver_agent.handing_up.route import ways
from upriver_agent.handing_up.sender import Pace, Sender
from upriver_agent.handing_up.servicer import SERVICE, LessonIntakeServicer
from upriver_agent.handing_up.submitting import Submission
from upriver_agent.lessons.lesson import Lesson
from upriver_agent.place import Place
from upriver_agent.sections import AgentConfig
from upriver_agent.teaching import Teaching


class _Stirs:
    """Has a sender look when something has changed; see `lessons.lesson.Subscriber`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def added(self, lesson: Lesson) -> None:
        """It may be handed up."""
        self._sender.stir()

    def removed(self, lessons: Sequence[Lesson]) -> None:
        """Some may have to be taken back."""
        self._sender.stir()

    def must_go(self, lessons: Sequence[Lesson]) -> None:
        """Of those that were forgotten it may have to be told."""
        self._sender.stir()

    def renewed(self) -> None:
        """There is a new file."""
        self._sender.stir()


class Handing:
    """The lessons with inputs that go up from one agent; without `learning.share = "inputs"` there are none."""

    def __init__(
        self,
        config: AgentConfig,
        place: Place,
        teaching: Teaching,
        agents: Callable[[], Sequence[AgentRecord]],
        channel: ChannelOptions,
        above: Above,
    ) -> None:
        """`agents` gives the agents that discovery knows, `channel` is how they are called."""
        section = config.learning
        self._trust = section.trust
        self._pace = Pace(section.hand_up_mib << 20, section.hand_up_kib_s * 1024)
        self._journal = teaching.journal
        self._on = section.enabled and section.share == "inputs"
        self._counted: dict[str, int] = {}
        self._open = False

        def version_of(agent: str, model: str) -> str:
            served = next((one.models.get(model) for one in agents() if one.agent == agent), None)
            return "" if served is None else served.digest

        own = None
        if not teaching.school.off:  # also while nothing is shared: what was handed up before may be forgotten
            own = OwnLessons(teaching.book, teaching.seal, Origin(place, version_of))
        self._sender = Sender(
            self._journal,
            own if self._on else None,
            lambda: ways(place, agents(), above.addresses),
            Submission(channel, above.channel, above.token),
            self._pace,
        )
        if own is not None and self._on:
            teaching.book.subscribe(_Stirs(self._sender))
            teaching.book.forgetting.append(lambda _, gone: self._sender.stir())  # also of what is not there any more

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """LessonIntakeService's handler; `blocking` marks a serving thread as waiting."""
        journal = self._journal if self._on else None
        servicer = LessonIntakeServicer(journal, self._trust, self._pace.most_bytes, self._sender.stir, blocking)
        return handlers(SERVICE, servicer)

    def start(self) -> None:
        """Begins, in the background; once the journal is open."""
        if self._on:
            self._open = True
            self._sender.start()

    def counters(self) -> Mapping[str, int]:
        """What was handed up, by name; as last known when the journal can't be read."""
        if self._open:
            with suppress(DiskTrouble):
                self._counted = {f"handing_{name}": count for name, count in self._journal.read(spool.tally).items()}
        return self._counted

    def close(self) -> None:
        """Ends; what waits goes up after the next start. Call it before the journal is closed."""
        if self._open:
            self.counters()
            self._open = False
            self._sender.close()
