"""One lesson: a row that this agent asked above, what it had said itself, and what it was told. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float16]

MAX_LABEL: Final = 200
MOST_PROBABILITIES: Final = 8
"""Of the teacher's probabilities so many are kept, the largest."""
_LEAST: Final = 1e-3


class State(IntEnum):
    """What a lesson that is kept counts."""

    TAKEN = 1
    """It is in the head's statistics."""
    HELD = 2
    """Teachers contradict each other about the same content, and too few of them say this."""
    ASIDE = 3
    """Its teacher is in quarantine."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A row that was asked above. It is known by its question and its row's number at the touch point.

    `embedding` [embedding] is what the version makes of it, as it is kept and as it is learnt from. `student_label` is
    what this agent said itself, `student_confidence` what its policy went by, `known` the probability that it gave to
    `label`, which is the teacher's. `probabilities` are the teacher's largest ones. `teacher` is the agent that
    answered, or a person; `policy` names its pair. `at` is a Unix time, `draw` in [0, 1) the coin's, `content` the
    same for equal embeddings of a version. `source` is who asked this agent, `consent` whether the caller lets its
    input be kept; `input` is a message of the inference protocol with that row, sealed if that is configured, and
    `sealed` the name of the key; b"" when it is not kept, or was not asked for (`has_input` tells). `seq` numbers
    lessons in the order in which they were kept.
    """

    question: str
    row: int
    model: str
    version_digest: str
    embedding: Embedding
    student_label: str
    student_confidence: float
    known: float
    label: str
    probabilities: Mapping[str, float]
    teacher: str
    teacher_tier: str
    policy: str
    teacher_confidence: float
    trace_id: str
    at: float
    draw: float
    content: bytes
    source: str
    consent: bool = False
    input: bytes = b""
    sealed: str = ""
    has_input: bool = False
    state: State = State.TAKEN
    seq: int = 0
    span_id: str = ""

    @property
    def id(self) -> str:
        """Its name."""
        return f"{self.question}.{self.row}"


def content_of(version_digest: str, embedding: Embedding) -> bytes:
    """The name of a content: equal for equal embeddings of one version."""
    return blake2b(embedding.tobytes(), digest_size=16, key=version_digest.encode()[:64]).digest()


def largest(probabilities: Mapping[str, float]) -> dict[str, float]:
    """The probabilities that are kept of a teacher's: the largest few that say something."""
    found = sorted(probabilities.items(), key=lambda pair: -pair[1])[:MOST_PROBABILITIES]
    return {label: round(share, 6) for label, share in found if share >= _LEAST}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which lessons somebody means: all that fit everything that is given; nothing given is all.

    `since` and `until` are Unix times, the first included and the second not.
    """

    ids: tuple[str, ...] = ()
    model: str = ""
    version_digest: str = ""
    label: str = ""
    source: str = ""
    teacher: str = ""
    since: float | None = None
    until: float | None = None
    states: frozenset[State] = field(default=frozenset())

    @property
    def of_all(self) -> bool:
        """Whether nothing is given."""
        return self == Choice()


class Subscriber(Protocol):
    """Who learns. Called on the thread that changes what is kept, after it is on the disk, and never at the same time
    as anything else about lessons; it must be quick."""

    def added(self, lesson: Lesson) -> None:
        """A lesson counts from now on."""
        ...

    def removed(self, lessons: Sequence[Lesson]) -> None:
        """These do not count any more, and leave what was learnt with what is learnt next."""
        ...

    def must_go(self, lessons: Sequence[Lesson]) -> None:
        """These must leave what was learnt at once: they were forgotten, or their teacher is in quarantine. They count
        no more, some not for long: those that others had outvoted meanwhile."""
        ...

    def renewed(self) -> None:
        """What is kept is another than what was told, because a damaged file was set aside: begin anew from it."""
        ...
