from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from upriver.errors import Unreachable
from upriver.heads import Head, head_of
from upriver.trials import HeldOut, Trial, count
from upriver_agent.pooling.tryouts import Tryouts

VERSION, DIGEST, OTHER, TOP = (f"sha256:{digit * 64}" for digit in "abcd")
CHANCE = np.random.default_rng(3)
HEAD = head_of(VERSION, ("a", "b"), CHANCE.normal(size=(4, 2)))
TRIAL = Trial("m", VERSION, "north", DIGEST, TOP, temperatures=(1.0,), thresholds=(0.5, 0.9))


@dataclass
class Questions:
    """A holdout; a fake."""

    held: HeldOut | None = None
    number: int = 0
    asked: list[str] = field(default_factory=list)

    def mark(self, model: str, version_digest: str) -> object:
        return self.number

    def held_out(self, model: str, version_digest: str, top: str) -> HeldOut | None:
        self.asked.append(top)
        return self.held


def held(questions: int, width: int = 3) -> HeldOut:
    flags = np.ones(questions, np.bool_)
    return HeldOut(CHANCE.normal(size=(questions, width)).astype(np.float16), ["a"] * questions, flags, flags)


def tryouts(heads: Mapping[str, Head]) -> Tryouts:
    def fetch(trial: Trial) -> Head:
        if trial.head not in heads:
            raise Unreachable("nobody has it")
        return heads[trial.head]

    return Tryouts("north", fetch, lambda: None)


def test_a_head_is_counted_once_it_is_here_and_again_when_more_was_held_out() -> None:
    made = tryouts({DIGEST: HEAD})
    made.holdout = questions = Questions(held(5))
    made.take([TRIAL])
    before = made.marks()
    assert made.parts() == []
    assert made.fetch()
    assert made.marks() != before
    (part,) = made.parts()
    assert questions.held is not None
    assert not hasattr(part.sums, "outer")
    np.testing.assert_array_equal(part.sums, count(TRIAL, HEAD, questions.held))  # type: ignore[arg-type]  # counts
    assert (part.key.trial, part.key.region, part.key.width) == (TRIAL.digest, "north", TRIAL.counts)
    made.parts()
    assert questions.asked == [TOP]
    questions.number += 1
    made.parts()
    assert questions.asked == [TOP, TOP]


def test_trials_that_are_over_are_no_longer_told() -> None:
    made = tryouts({DIGEST: HEAD})
    made.holdout = Questions(held(5))
    made.take([TRIAL])
    made.fetch()
    assert len(made.parts()) == 1
    made.take([])
    assert made.parts() == []


def test_what_can_t_be_tried_here_is_left_out() -> None:
    foreign = head_of(OTHER, ("a", "b"), CHANCE.normal(size=(4, 2)))
    made = tryouts({DIGEST: foreign})
    made.holdout = Questions(held(5))
    made.take([TRIAL])
    assert made.fetch()
    assert made.parts() == []  # a head of another version
    made = tryouts({})
    made.take([TRIAL])
    assert not made.fetch()  # a head that nobody has
    made = tryouts({DIGEST: HEAD})
    made.holdout = Questions(held(5, width=7))
    made.take([TRIAL, Trial("m", VERSION, "south", DIGEST, TOP)])
    made.fetch()
    assert made.parts() == []  # an embedding of another width, another region
