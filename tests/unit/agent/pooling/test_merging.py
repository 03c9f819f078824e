"""Heads of what is pooled against heads of one place that has all lessons, whatever happened on the way."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.pooling.test_own_sums import OWN, Book, following, lesson
from tests.unit.agent.pooling.test_pooler import World
from upriver.head_fit import fit, joined
from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver.pool_sums import PoolPart
from upriver_agent.lessons.lesson import Lesson

LABELS = tuple("abcd")
EVENTS = st.tuples(st.integers(0, 5), st.integers(0, 4))


class Learner:
    """An agent's own sums, as what is pooled of it."""

    def __init__(self) -> None:
        self.sums = following(Book())

    def marks(self) -> object:
        return self.sums.marks()

    def parts(self) -> Sequence[PoolPart]:
        return self.sums.parts("north")


def prior() -> HeadStatistics:
    chance = np.random.default_rng(0)
    sums = nothing(3, LABELS)
    for number in range(80):
        sums.add(chance.normal(size=3), np.eye(4)[number % 4])
    return sums


def central(lessons: Sequence[Lesson]) -> HeadStatistics:
    sums = nothing(3, LABELS)
    for one in lessons:
        sums.add(one.embedding, target_of(LABELS, shares_of(one.label, one.probabilities, OWN)))
    return sums


@settings(max_examples=25, deadline=None)
@given(st.lists(EVENTS, min_size=8, max_size=60))
def test_a_merge_is_central_training_and_forgetting_is_retraining(events: list[tuple[int, int]]) -> None:
    world, learners, kept = World(), {}, {}
    for name, tier in (("one", "device"), ("two", "device"), ("three", "edge"), ("four", "cloud")):
        learners[name] = Learner()
        kept[name] = []
        world.add(name, tier, learners[name])  # type: ignore[arg-type]  # it is pooled as a fake is
    names = list(learners)
    for number, (kind, at) in enumerate(events):
        name = names[at % 4]
        if kind < 3:
            kept[name].append(lesson(number))
            learners[name].sums.added(lesson(number))
        elif kind == 3 and kept[name]:
            gone = kept[name].pop(at % len(kept[name]))
            learners[name].sums.removed([gone])
            learners[name].sums.must_go([gone])
        else:
            world.agents[name].once()
    for _ in range(3):
        for name in names:
            world.agents[name].once()
    every = [one for lessons in kept.values() for one in lessons]
    total = world.total()
    if not total:
        assert not every
        return
    (part,) = total
    assert isinstance(part.sums, HeadStatistics)
    found = joined(prior(), part.sums)
    columns = [found.labels.index(label) for label in LABELS]
    merged_head = fit(HeadStatistics(LABELS, found.outer, found.toward[:, columns]))
    np.testing.assert_allclose(merged_head, fit(joined(prior(), central(every))), atol=1e-6)
