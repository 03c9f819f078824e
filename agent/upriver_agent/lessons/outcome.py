"""What becomes of a lesson that is offered, and what counts differently after a change. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from upriver_agent.lessons.lesson import Lesson


class Outcome(StrEnum):
    """What became of a lesson that was offered."""

    TAKEN = "taken"
    HELD = "held"
    """Teachers contradict each other about it."""
    REPEATED = "repeated"
    """It is here already, or one like it."""
    OTHER_WIDTH = "other_width"
    """Its embedding is not as long as those that are here of its version."""
    TOO_MANY_CLASSES = "too_many_classes"
    NO_ROOM = "no_room"
    """All that is kept is worth more."""


@dataclass(slots=True)
class Change:
    """What counts from now on, and what does not any more: only what had counted before. `must_go` is what must leave
    all that was learnt: of what does not count any more, and of what did not already but had once."""

    added: list[Lesson] = field(default_factory=list)
    removed: list[Lesson] = field(default_factory=list)
    must_go: list[Lesson] = field(default_factory=list)

    def pure(self) -> "Change":
        """Without what came and went at once."""
        came, went = {lesson.seq for lesson in self.added}, {lesson.seq for lesson in self.removed}
        return Change(
            [lesson for lesson in self.added if lesson.seq not in went],
            [lesson for lesson in self.removed if lesson.seq not in came],
            self.must_go,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """`live` are the versions that run here, as (model, digest)."""

    max_bytes: int
    quorum: int
    live: frozenset[tuple[str, str]] = frozenset()
