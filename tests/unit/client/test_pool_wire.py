import numpy as np
import pytest

from upriver.errors import InvalidInput
from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.pool import MAX_ROSTER, Answer, Standing, Submission
from upriver.pool_sums import MAX_COUNTS, MAX_FORGOTTEN, MAX_NUMBER, PoolPart, part_of, summed
from upriver.pool_wire import Assembly, Parts, read_answer, write_answer, write_submission, write_unchanged

VERSION, OTHER, TRIAL = (f"sha256:{digit * 64}" for digit in "abc")
RANDOM = np.random.default_rng(7)


def learnt(labels: tuple[str, ...], lessons: int = 5, width: int = 4) -> HeadStatistics:
    sums = nothing(width, labels)
    for _ in range(lessons):
        target = np.zeros(len(labels))
        target[RANDOM.integers(len(labels))] = 1.0
        sums.add(RANDOM.normal(size=width), target)
    return sums


def received(submission: Submission[Parts]) -> Submission[Parts]:
    assembly = Assembly("parent")
    for message in write_submission(submission):
        assembly.take(type(message).FromString(message.SerializeToString()))
    return assembly.whole()


def test_a_submission_comes_as_it_was_sent() -> None:
    sums = learnt(("a", "b"))
    counts = np.array([3.0, 1.0])
    parts = (part_of("m", VERSION, "north", sums), part_of("m", VERSION, "north", counts, TRIAL, 1))
    sent: Submission[Parts] = Submission("me", {"me": 4, "below": 2}, parts)
    found = received(sent)
    assert (found.child, found.roster, found.epoch) == ("me", {"me": 4, "below": 2}, 4)
    assert [part.key for part in found.content] == [part.key for part in parts]
    first, second = (part.sums for part in found.content)
    assert isinstance(first, HeadStatistics)
    assert not isinstance(second, HeadStatistics)
    assert first.labels == sums.labels
    np.testing.assert_array_equal(first.outer, sums.outer)
    np.testing.assert_array_equal(first.toward, sums.toward)
    np.testing.assert_array_equal(second, counts)
    assert found.mark == received(sent).mark != received(Submission("me", {"me": 4}, parts)).mark


def test_large_submissions_come_in_several_messages() -> None:
    parts = [part_of("m", VERSION, f"region-{number}", nothing(512, ("a",))) for number in range(5)]
    sent: Submission[Parts] = Submission("me", {"me": 1, **{f"agent-{n}": 1 for n in range(6000)}}, tuple(parts))
    messages = write_submission(sent)
    assert len(messages) > 4
    assert max(message.ByteSize() for message in messages) < 4 << 20
    assert len(received(sent).roster) == 6001


def test_what_is_summed_of_parts_is_what_central_training_has() -> None:
    found = [learnt(("a", "b")), learnt(("b", "c")), learnt(("c",))]
    (part,) = summed(part_of("m", VERSION, "north", one) for one in found)
    whole = merged(found)
    assert isinstance(part.sums, HeadStatistics)
    assert (part.agents, part.sums.labels) == (3, whole.labels)
    np.testing.assert_allclose(part.sums.toward, whole.toward, atol=1e-9)


def test_sums_of_another_version_region_trial_or_width_are_not_added() -> None:
    parts = [
        part_of("m", VERSION, "north", learnt(("a",))),
        part_of("m", OTHER, "north", learnt(("a",))),
        part_of("m", VERSION, "south", learnt(("a",))),
        part_of("m", VERSION, "north", learnt(("a",), width=6)),
        part_of("m", VERSION, "north", np.ones(3), TRIAL),
    ]
    assert len(summed(parts)) == 5


def test_labels_that_were_made_up_do_not_push_out_those_with_lessons() -> None:
    honest = learnt(("a", "b"), lessons=50)
    liars = [learnt(tuple(f"made-up-{liar}-{n}" for n in range(1000)), lessons=1) for liar in range(2)]
    (part,) = summed(part_of("m", VERSION, "north", one) for one in (*liars, honest))
    assert isinstance(part.sums, HeadStatistics)
    assert len(part.sums.labels) == 1024
    at = [part.sums.labels.index(label) for label in honest.labels]
    np.testing.assert_allclose(part.sums.toward[:, at], honest.toward)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (part_of("m", VERSION, "north", np.array([0.5]), TRIAL), "whole numbers"),
        (part_of("m", VERSION, "north", np.array([-1.0]), TRIAL), "whole numbers"),
        (part_of("m", VERSION, "north", np.zeros(MAX_COUNTS + 1), TRIAL), "counts"),
        (part_of("m", VERSION, "north", np.ones(1)), "without a trial"),
        (part_of("m", VERSION, "north", np.array([10_001.0]), TRIAL), "at most 10000"),
        (part_of("m", VERSION, "north", np.ones(1), TRIAL, agents=2), "more agents"),
        (part_of("m", "x", "north", nothing(2, ("a",))), "digests"),
        (part_of("", VERSION, "north", nothing(2, ("a",))), "names"),
        (part_of("m", VERSION, "north", nothing(2, ("a",)), agents=0), "agents"),
        (part_of("m", VERSION, "north", HeadStatistics(("a",), np.full((3, 3), np.inf), np.zeros((3, 1)))), "finite"),
        (part_of("m", VERSION, "north", HeadStatistics(("a",), np.zeros((3, 3)), np.full((3, 1), 1e308))), "finite"),
        (part_of("m", VERSION, "north", nothing(2, ("a",)), forgotten=1 << 62), "forgotten"),
    ],
)
def test_a_part_that_can_t_be_is_refused(part: PoolPart, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        received(Submission("me", {"me": 1}, (part,)))


def test_the_sum_of_the_largest_parts_can_be_sent_on_and_kept() -> None:
    most = HeadStatistics(("a",), np.full((3, 3), MAX_NUMBER), np.full((3, 1), -MAX_NUMBER))
    children = [part_of("m", VERSION, "north", most, forgotten=MAX_FORGOTTEN)] * 1000
    (part,) = received(Submission("me", {str(agent): 1 for agent in range(1000)} | {"me": 1}, summed(children))).content
    assert (part.agents, part.forgotten) == (1000, 1000 * MAX_FORGOTTEN)
    at_most = 100_000  # children of a control plane
    assert MAX_FORGOTTEN * MAX_ROSTER * at_most < 1 << 63  # which is all that a table can hold


def test_a_submission_that_can_t_be_is_refused() -> None:
    parts = (part_of("m", VERSION, "north", np.ones(1), TRIAL),) * 2
    with pytest.raises(InvalidInput, match="one part"):
        received(Submission("me", {"me": 1}, parts))
    with pytest.raises(InvalidInput, match="sent to"):
        received(Submission("me", {"me": 1, "parent": 1}, ()))
    with pytest.raises(InvalidInput, match="header"):
        Assembly("parent").whole()
    assembly = Assembly("parent")
    (message,) = write_unchanged("me", 3)
    assembly.take(message)
    assert assembly.unchanged() == ("me", 3)
    with pytest.raises(InvalidInput, match="only there"):
        assembly.take(message)
    with pytest.raises(InvalidInput, match="expected at most"):
        write_submission(
            Submission("me", {"me": 1}, (part_of("m", VERSION, "n", nothing(512, [str(n) for n in range(900)])),))
        )


def test_an_answer_comes_as_it_was_given() -> None:
    for standing in Standing:
        answer = Answer(standing, 7, {"x": 3})
        assert read_answer(write_answer(answer)) == answer
