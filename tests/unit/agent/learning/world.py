"""A small world to learn in: an agent's real parts around a learner, and questions whose answers the test knows.

Embeddings lie around one mean for each label. The version knows ten labels and answers those by itself; two more are
new to it, and go up. A clock that the test holds; no thread but the journal's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.heads import REPORT, loader_in
from tests.versions import LABELS, make_version
from upriver.head_statistics import HeadStatistics, nothing
from upriver_agent.auditing.case import Case, Parts, Verdict
from upriver_agent.journal import Journal
from upriver_agent.learning import table
from upriver_agent.learning.attempts import AttemptBook
from upriver_agent.learning.examiner import Parts as LearnerParts
from upriver_agent.learning.learner import Learner
from upriver_agent.lessons.book import BookOptions, LessonBook
from upriver_agent.lessons.lesson import Lesson, content_of
from upriver_agent.lessons.table import FILE, STATEMENTS
from upriver_agent.predictor import Prediction
from upriver_agent.sections import LearningSection
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import Refiner
from upriver_agent.serving.slots import Slots
from upriver_agent.versions import open_version
from upriver_agent.versions.head_store import HeadStore

MODEL = "pattern"
NEW = ("new-a", "new-b")
WIDTH = 4
TOP = "sha256:" + "7" * 64
OTHER_TOP = "sha256:" + "8" * 64
SECTION = LearningSection(max_loss=0.02, confidence=0.95, holdout=0.3)
MEANS = {
    label: 12.0 * np.random.default_rng(seed).normal(size=WIDTH) for seed, label in enumerate((*LABELS, *NEW), start=40)
}


def embedding_of(label: str, rng: np.random.Generator) -> NDArray[np.float32]:
    return (MEANS[label] + rng.normal(size=WIDTH)).astype(np.float32)


def prior() -> HeadStatistics:
    sums, rng = nothing(WIDTH, LABELS), np.random.default_rng(5)
    for column, label in enumerate(LABELS):
        for _ in range(60):
            sums.add(embedding_of(label, rng), np.eye(len(LABELS))[column])
    return sums


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """One agent; `again` is its next start on the same disk."""

    def __init__(
        self, folder: Path, section: LearningSection = SECTION, seed: int = 1, prior_width: int = WIDTH
    ) -> None:
        self.folder, self.section = folder, section
        self.rng = np.random.default_rng(seed)
        self.numbers = 0
        self.clock = Clock()
        self.prior: HeadStatistics | None = prior()
        self.audited: list[tuple[str, str, bool]] = []
        if not (folder / "version-1").exists():
            make_version(folder, "1", 0.5)
        self.version = open_version(folder / "version-1", folder / "state")
        self.again()

    def again(self) -> None:
        state = self.folder / "state"
        self.loader = loader_in(self.folder)
        self.slots = Slots(lambda _: self.plain())
        self.heads = HeadStore(state)
        self.refiner = Refiner(state, self.loader, self.slots, self.heads, lambda: None, self.clock)
        self.slots.put(self.plain(), Path())
        self.refiner.recover()
        self.journal = Journal(state / FILE, ((*STATEMENTS, *table.STATEMENTS),), durable=False, retry_s=0.0)
        self.journal.start()
        options = BookOptions(max_bytes=1 << 24, max_age_s=1e9, quorum=2, teacher_error=0.03)
        self.book = LessonBook(self.journal, options, self.clock, self.clock)
        self.book.attend(MODEL, self.version.digest)
        parts = LearnerParts(
            self.journal,
            self.book,
            self.refiner,
            AttemptBook(state),
            lambda _: self.prior,
            lambda teacher, policy, agreed: self.audited.append((teacher, policy, agreed)),
        )
        self.learner = Learner(parts, self.section, lambda: [MODEL], self.clock)
        self.book.subscribe(self.learner)
        self.learner.keeper.wants(self.given)

    def plain(self) -> LoadedVersion:
        return self.loader.warm(self.version, REPORT, self.version.manifest.policy_document(self.version.digest))

    def close(self) -> None:
        self.learner.close()
        self.journal.close()

    @property
    def given(self) -> LoadedVersion:
        loaded = self.slots.given(MODEL)
        assert loaded is not None
        return loaded

    @property
    def answering(self) -> LoadedVersion:
        return self.slots.active(MODEL)

    @property
    def learnt(self) -> bool:
        return self.slots.refined(MODEL) is not None

    def question(self) -> str:
        self.numbers += 1
        return f"q-{self.numbers:016x}-{self.numbers:016x}"

    def lessons(
        self, count: int, *, wrong: float = 0.0, teacher: str = "edge-1", labels: Sequence[str] = NEW, source: str = "a"
    ) -> list[Lesson]:
        """Has new questions taught; a share `wrong` of them is answered with another of the labels."""
        made = []
        for _ in range(count):
            label = labels[int(self.rng.integers(len(labels)))]
            embedding = embedding_of(label, self.rng).astype(np.float16)
            if self.rng.random() < wrong:
                label = labels[(labels.index(label) + 1) % len(labels)]
            made.append(self.lesson(label, embedding, teacher, source))
        self.book.offer(made)
        return made

    def lesson(self, label: str, embedding: NDArray[np.float16], teacher: str = "edge-1", source: str = "a") -> Lesson:
        return Lesson(
            question=self.question(),
            row=0,
            model=MODEL,
            version_digest=self.version.digest,
            embedding=embedding,
            student_label=LABELS[0],
            student_confidence=0.2,
            known=0.1,
            label=label,
            probabilities={label: 0.9, LABELS[1]: 0.1},
            teacher=teacher,
            teacher_tier="edge",
            policy="sha256:edge",
            teacher_confidence=0.9,
            trace_id=f"{self.numbers:032x}",
            at=self.clock(),
            draw=0.9,
            content=content_of(self.version.digest, embedding),
            source=source,
            span_id=f"{self.numbers:016x}",
        )

    def audits(self, count: int, *, new: float = 0.5, top: str = TOP, **changes: object) -> None:
        """Has questions of the holdout judged by the top, which is always right; a share `new` of them is of new
        labels, and goes up from the pair that was put there."""
        verdicts = [self.verdict(new, top, **changes) for _ in range(count)]
        self.learner.keeper.judged(verdicts, "")
        self.journal.write(lambda _: None).result()

    def verdict(self, new: float = 0.5, top: str = TOP, **changes: object) -> Verdict:
        known = self.rng.random() >= new
        label = (LABELS if known else NEW)[int(self.rng.integers(10 if known else 2))]
        own = label if known else LABELS[0]
        case = Case(
            question=self.question(),
            row=0,
            asked=self.clock(),
            model=MODEL,
            version_digest=self.version.digest,
            policy_digest=self.answering.policy.digest,
            rules_digest=TOP,
            agreement="same_label",
            settings={},
            parts=Parts(),
            confidence=0.9 if known else 0.2,
            features={},
            passes=known,
            answered_here=known,
            brought=True,
            draw=0.1,
            rate=0.3,
        )
        return Verdict(
            replace(case, **changes), own == label, own, label, "cloud-1", top, embedding_of(label, self.rng)
        )

    def contradicted(self, teacher: str) -> Verdict:
        """A question that a teacher answered otherwise than the top; outside the holdout."""
        found = self.verdict()
        case = replace(
            found.case, teacher=teacher, teacher_policy="sha256:edge", teacher_answer="something else", draw=0.9
        )
        return replace(found, case=case)

    def statistics(self) -> HeadStatistics:
        """The sums that the learner has over lessons, without the prior."""
        course = self.learner._courses[MODEL]
        assert course.ready
        assert course.version == self.version.digest
        return course.sums.statistics()

    def learn(self) -> None:
        """Lessons and audits enough for a promotion, and a look at them."""
        self.lessons(60)
        self.audits(260)
        self.learner.step()

    def right(self, labels: Sequence[str]) -> float:
        """The share of questions with these labels that what answers now answers, and rightly."""
        here, agrees = self._seen([label for label in labels for _ in range(50)])
        return float((here & agrees).mean())

    def lost(self) -> float:
        """The share of all questions, half of them of new labels, that what answers now answers wrongly."""
        here, agrees = self._seen([*(label for label in LABELS for _ in range(100)), *(NEW * 500)])
        return float((here & ~agrees).mean())

    def _seen(self, truth: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of some fresh questions are answered here, and which of them rightly."""
        loaded = self.answering
        if loaded.head is None:  # the version itself: it answers what it knows
            known = np.array([label in LABELS for label in truth])
            return known, known
        rng = np.random.default_rng(77)
        found = loaded.head(Prediction(None, np.array([embedding_of(label, rng) for label in truth]), {}))
        assert found.scores is not None
        told = np.array(loaded.form.labels)[found.scores.argmax(axis=1)]
        return loaded.score(found) >= loaded.policy.threshold, told == truth
