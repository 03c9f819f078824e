"""When a head is fitted and tried, when its counts are looked at, and which of those that passed a region gets.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from upriver.head_fit import LEAST_LESSONS, fit, joined
from upriver.head_statistics import HeadStatistics
from upriver.heads import MAX_LABELS, Head, closest_within, head_of, write_delta, write_head
from upriver.scores import Floats
from upriver_control.regional.model import Need, RegionTrial, Scope, TrialState
from upriver_control.regional.verdict import needed

GROWTH: Final = 1.5
"""From one trial to the next, lessons have become more, or fewer, by this factor."""
AGAIN: Final = 1.1
"""And by this one at least where the last trial came to nothing and was long ago."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A head is fitted to `least_lessons` at least. Counts are looked at once all agents have sent them, or after
    `wait_s`; where there are too few for `give_up_s` the trial ends. One that came to nothing is tried again after
    `again_s`."""

    least_lessons: float = 50.0
    wait_s: float = 600.0
    give_up_s: float = 86_400.0
    again_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is pooled of a version, in a region or in all: so many lessons of so many agents, and how many had to be
    forgotten, ever."""

    lessons: float
    agents: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head, the bytes of its file, and what the change from the one that runs takes; 0 where it is sent whole."""

    head: Head
    data: bytes
    delta_bytes: int


class Step(Enum):
    """What to do with an open trial."""

    WAIT = auto()
    LOOK = auto()
    WITHDRAW = auto()


def fitted(
    version_digest: str, prior: HeadStatistics, lessons: HeadStatistics, running: Head | None, most_delta: int
) -> Fitted:
    """The head of these lessons, or the closest to it that differs from the running one by at most `most_delta` bytes.

    Raises ValueError when the lessons are of another width than the prior.
    """
    sums = joined(prior, lessons)
    labels = _labels(prior, sums, running)
    columns = [sums.labels.index(label) for label in labels]
    weights: Floats = fit(HeadStatistics(labels, sums.outer, sums.toward[:, columns]))
    if running is None or running.width != prior.width or labels[: len(running.labels)] != running.labels:
        head = head_of(version_digest, labels, weights)
        return Fitted(head, write_head(head), 0)
    head = closest_within(running, labels, weights, most_delta)
    delta = write_delta(running, head)
    return Fitted(head, write_head(head), 0 if delta is None else len(delta))


def has_forgotten(learnt: Learnt, trial: RegionTrial) -> bool:
    """Whether what a head was learnt from has lost lessons since that must not be in it any more.

    Lessons that are only too old, or make room, may stay in it.
    """
    return learnt.forgotten > trial.forgotten


def is_due(learnt: Learnt, last: RegionTrial | None, now: float, pace: Pace) -> bool:
    """Whether another head is to be tried, where nothing had to be forgotten. `last` is the newest of its scope."""
    if learnt.lessons < pace.least_lessons:
        return False
    if last is None:
        return True
    if last.state is TrialState.OPEN:
        return False
    if learnt.lessons >= GROWTH * last.lessons or GROWTH * learnt.lessons <= last.lessons:
        return True
    failed = last.state in (TrialState.FAILED, TrialState.WITHDRAWN)
    return failed and now - last.ended >= pace.again_s and learnt.lessons >= AGAIN * last.lessons


def need_of(scope: Scope, running: RegionTrial | None, learnt: Learnt) -> Need:
    """What a new head must do besides keeping the promise; `running` is the trial that what answers now came of, and
    `learnt` what is pooled now of what that was learnt from."""
    if running is None:
        return Need.FEWER
    if has_forgotten(learnt, running):
        return Need.NOTHING
    return Need.AS_FEW if scope is Scope.GLOBAL and running.scope is Scope.REGION else Need.FEWER


def step(
    trial: RegionTrial, questions: int, counted_by: int, sharing: int, attempts: int, now: float, pace: Pace
) -> Step:
    """What to do with an open trial, of which `counted_by` agents counted `questions`, where `sharing` agents pool.

    It does not depend on how the questions came out: a look is only taken where it can prove something.
    """
    age_s = now - trial.created
    enough = questions >= needed(trial.promise, attempts + 1, len(trial.trial.temperatures))
    if enough and (counted_by >= sharing or age_s >= pace.wait_s):
        return Step.LOOK
    return Step.WITHDRAW if age_s >= pace.give_up_s else Step.WAIT


def chosen(passed: Sequence[RegionTrial]) -> RegionTrial | None:
    """Which of the heads that passed in a region it gets: its own only where it answers more than that of all."""
    able = [trial for trial in passed if trial.verdict is not None]
    return max(able, key=lambda one: (_coverage(one), one.scope is Scope.GLOBAL, one.created), default=None)


def _coverage(trial: RegionTrial) -> float:
    return 0.0 if trial.verdict is None else trial.verdict.coverage


def _labels(prior: HeadStatistics, sums: HeadStatistics, running: Head | None) -> tuple[str, ...]:
    """The labels of a head: the version's own and those with lessons; as the running one has them, where it can.

    A head has no more than MAX_LABELS; of those that are not the version's the ones with the most lessons stay.
    """
    counts = dict(zip(sums.labels, sums.toward[-1].tolist(), strict=True))
    learnt = [label for label, count in counts.items() if count >= LEAST_LESSONS and label not in prior.labels]
    learnt = sorted(learnt, key=lambda label: (-counts[label], label))[: max(0, MAX_LABELS - len(prior.labels))]
    known = {*prior.labels, *learnt}
    first = running.labels if running is not None and set(running.labels) <= known else prior.labels
    return (*first, *sorted(known - set(first)))
