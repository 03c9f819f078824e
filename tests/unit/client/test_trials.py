from dataclasses import replace

import numpy as np
import pytest

from upriver.errors import InvalidInput
from upriver.heads import head_of, logits
from upriver.scores import ScoreKind, confidences
from upriver.trials import HeldOut, Trial, check_trial, count, tallies

VERSION, HEAD, TOP = (f"sha256:{digit * 64}" for digit in "abc")
TRIAL = Trial("m", VERSION, "north", HEAD, TOP, temperatures=(1.0, 3.0), thresholds=(0.2, 0.5, 0.7, 0.9))
LABELS = ("a", "b", "c")
CHANCE = np.random.default_rng(5)
LEARNT = head_of(VERSION, LABELS, CHANCE.normal(size=(7, 3)))


def held(questions: int) -> HeldOut:
    return HeldOut(
        CHANCE.normal(size=(questions, 6)).astype(np.float16),
        [(*LABELS, "unknown here")[CHANCE.integers(4)] for _ in range(questions)],
        CHANCE.random(questions) < 0.5,
        CHANCE.random(questions) < 0.8,
    )


def test_what_is_counted_is_what_one_by_one_shows() -> None:
    some = held(60)
    found = tallies(TRIAL, count(TRIAL, LEARNT, some))
    z = logits(LEARNT.weights(), some.embeddings.astype(np.float32))
    for tally, temperature in zip(found, TRIAL.temperatures, strict=True):
        confidence = confidences(ScoreKind.MAX_PROBABILITY, z, are_logits=True, temperature=temperature)
        agrees = [LABELS[at] == label for at, label in zip(z.argmax(axis=1), some.labels, strict=True)]
        for at, threshold in enumerate(TRIAL.thresholds):
            here = confidence >= threshold
            assert tally.questions == 60
            assert tally.passed[at] == here.sum()
            assert tally.lost[at] == (here & ~np.array(agrees)).sum()
            assert tally.gained[at] == (here & ~some.passes & some.known).sum()
            assert tally.given_up[at] == (~here & some.passes & some.known).sum()


def test_counts_of_agents_add_up_to_those_of_one_that_has_all_questions() -> None:
    parts = [held(20), held(0), held(33)]
    whole = HeldOut(
        np.vstack([one.embeddings for one in parts]),
        [label for one in parts for label in one.labels],
        np.concatenate([one.passes for one in parts]),
        np.concatenate([one.known for one in parts]),
    )
    np.testing.assert_array_equal(sum(count(TRIAL, LEARNT, one) for one in parts), count(TRIAL, LEARNT, whole))


def test_an_embedding_of_another_width_is_not_counted() -> None:
    with pytest.raises(ValueError, match="of 6: the head is on one of 5"):
        count(TRIAL, head_of(VERSION, LABELS, np.ones((6, 3))), held(3))


def test_counts_that_can_t_be_are_refused() -> None:
    counts = count(TRIAL, LEARNT, held(30))
    for at, value in ((0, 1.0), (1, 0.0), (4, 29.0), (5, 31.0)):
        broken = counts.copy()
        broken[at] = value
        with pytest.raises(InvalidInput):
            tallies(TRIAL, broken)
    with pytest.raises(InvalidInput, match="expected 33"):
        tallies(TRIAL, counts[:-1])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"head": "x"}, "digests"),
        ({"model": ""}, "names"),
        ({"score": ScoreKind.BEST_BOX}, "score"),
        ({"temperatures": (0.0,)}, "temperatures"),
        ({"temperatures": ()}, "temperatures"),
        ({"thresholds": (0.5, 0.5)}, "rising"),
        ({"thresholds": tuple(range(3000))}, "counts"),
    ],
)
def test_a_trial_that_can_t_be_is_refused(changed, told: str) -> None:
    check_trial(TRIAL)
    with pytest.raises(InvalidInput, match=told):
        check_trial(replace(TRIAL, **changed))


def test_a_trial_s_digest_names_all_that_is_in_it() -> None:
    assert TRIAL.digest == replace(TRIAL).digest != replace(TRIAL, region="south").digest
