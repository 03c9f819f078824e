"""What may become a lesson, what counts where teachers contradict each other, and whom to believe."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver_agent import coin
from upriver_agent.lessons.rules import Quotas, draw_of, largest_class, named, settled
from upriver_agent.lessons.standing import Standing

NUMBERS = st.integers(0, 2**64 - 1)


@given(NUMBERS, NUMBERS, st.integers(0, 9999))
def test_a_ticket_asks_the_same_row_of_the_same_question_again(number, secret, row):
    question = coin.question_id(number, secret)
    assert named(f"{question}.{row}", (), 0) == (question, row)
    assert named(question, (), row) == (question, row)
    assert named(question, [5, row], 1) == (question, row)
    assert draw_of(f"{question}.{row}", (), 0) <= draw_of(question, (), row)


@given(NUMBERS, st.integers(0, 9999))
def test_a_draw_is_the_coins(number, row):
    question = coin.question_id(number, 1)
    expected = int(coin.draws(number, [row])[0]) / coin.SPAN
    assert 0.0 <= draw_of(question, (), row) < 1.0
    assert abs(draw_of(question, (), row) - expected) < 1e-15


@given(st.text(max_size=40), st.integers(0, 5))
def test_ids_that_somebody_else_made_are_taken_as_they_are(question, row):
    if "." not in question:
        assert named(question, (), row) == (question, row)
    assert 0.0 <= draw_of(question, (), row) < 1.0


def test_a_caller_that_floods_teaches_no_more_than_its_share_and_others_go_on():
    now = [0.0]
    quotas = Quotas(teacher_per_min=0.0, caller_per_min=60.0, clock=lambda: now[0])
    assert sum(quotas.allow("cloud", "loud") for _ in range(1000)) == 60
    assert quotas.allow("cloud", "quiet")
    now[0] = 10.0
    assert sum(quotas.allow("cloud", "loud") for _ in range(1000)) == 10


def test_a_teacher_that_floods_teaches_no_more_than_its_share():
    quotas = Quotas(teacher_per_min=5.0, caller_per_min=0.0, clock=lambda: 0.0)
    assert sum(quotas.allow("loud", str(caller)) for caller in range(100)) == 5
    assert quotas.allow("quiet", "a")


def test_names_that_are_made_up_share_one_allowance_once_they_are_many():
    quotas = Quotas(teacher_per_min=0.0, caller_per_min=10.0, clock=lambda: 0.0)
    assert sum(quotas.allow("cloud", f"made-up-{number}") for number in range(100_000)) < 1024 + 11


@given(st.dictionaries(st.text(max_size=3), st.sampled_from("abc"), max_size=8), st.integers(1, 4))
def test_what_counts_has_a_quorum_and_more_than_any_other_unless_nobody_contradicts(votes, quorum):
    label = settled(votes, quorum)
    counts = {name: list(votes.values()).count(name) for name in set(votes.values())}
    if len(counts) == 1:
        assert label in counts
    elif label is None:
        best = sorted(counts.values(), reverse=True)
        assert not counts or best[0] < quorum or best[0] == best[1]
    else:
        assert counts[label] >= quorum
        assert all(counts[label] > count for name, count in counts.items() if name != label)


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.sampled_from("abc")), st.integers(1, 99)))
def test_the_class_that_takes_most_gives_something_up(sizes):
    key = largest_class(sizes)
    assert (key is None) == (not sizes)
    assert key is None or sizes[key] == max(sizes.values())


def audited(standing, rate, audits, seed, policy="a"):
    """A standing after audits that contradict at a rate; gives it and after how many it was put into quarantine."""
    rng = np.random.default_rng(seed)
    for number in range(audits):
        standing = standing.audited(policy, bool(rng.random() >= rate), 0.03, 1000.0 + number)
        if standing.quarantined:
            return standing, number + 1
    return standing, audits


def test_honest_teachers_are_hardly_ever_put_into_quarantine():
    put = sum(audited(Standing(), 0.03, 500, seed)[0].quarantined for seed in range(120))
    assert put <= 5  # 1 % each over all time, and what 30,000 audits between two false alarms add


def test_a_teacher_that_lies_is_seen_soon_and_one_that_lies_a_little_too():
    always = [audited(Standing(), 1.0, 500, seed)[1] for seed in range(20)]
    sometimes = [audited(Standing(), 0.1, 2000, seed)[1] for seed in range(100)]
    assert max(always) <= 3
    assert np.median(sometimes) < 150


def test_a_quarantined_teacher_stays_so_until_another_pair_of_it_has_proved_itself():
    bad, _ = audited(Standing(), 1.0, 10, 0)
    assert not bad.believes("a")
    same = bad
    for _ in range(1000):
        same = same.audited("a", True, 0.03, 2000.0)
    assert same.quarantined
    better, steps = bad, 0
    while better.quarantined:
        better, steps = better.audited("b", True, 0.03, 2000.0), steps + 1
    assert 50 < steps < 200
    assert better.believes("b")
    assert not better.believes("a")
    assert bad.released().believes("a")


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_liar_does_not_get_out_by_calling_itself_new(seed):
    rng = np.random.default_rng(seed)
    bad, _ = audited(Standing(), 1.0, 10, 0)
    for attempt in range(200):
        for _ in range(int(rng.integers(1, 20))):
            bad = bad.audited(f"pair-{attempt}", bool(rng.random() >= 0.3), 0.03, 2000.0)
    assert bad.quarantined
