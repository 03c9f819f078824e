"""When heads of regions are made, and of what."""

import numpy as np

from tests.unit.control_plane.regional.two_regions import TOP, VERSION, WIDTH, unreachable
from upriver.head_statistics import HeadStatistics, nothing
from upriver.heads import MAX_LABELS, read_head, write_delta
from upriver.policies import read_policy
from upriver.pool import Submission
from upriver.pool_sums import part_of


def test_regions_get_heads_that_keep_the_promise_and_escalate_less(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    picked = world.round()
    assert {one.region for one in picked} == {"north", "south"}
    for one in picked:
        assert one.verdict is not None
        certificate = world.running[one.region].certificate
        assert certificate is not None
        assert (certificate.epsilon, certificate.top, certificate.questions) == (0.05, TOP, 600)
        assert certificate.delta == one.verdict.delta < 0.1 * 6 / np.pi**2 / 4 + 1e-12
        assert one.verdict.gained > one.verdict.given_up
        assert one.verdict.coverage > 0.8
    attempts = sorted(one.verdict.attempt for one in world.trials.all("m") if one.verdict is not None)
    assert attempts == [1, 1, 2, 2]  # its own and that of all regions, in each
    assert world.round() == []  # nothing new was learnt


def test_changes_of_a_head_take_less_than_a_kilobyte(world) -> None:
    world.lessons = {"north": 100, "south": 100}
    world.round()
    world.lessons = {"north": 400, "south": 400}
    world.round()
    changed = [one for one in world.trials.all("m") if one.delta_bytes]
    assert changed
    assert all(one.delta_bytes <= 1000 for one in changed)
    for one in changed:  # as agents fetch it: from the head that runs there, whosever lessons it was learnt from
        before = world.books.head(read_policy(one.policy).head)
        assert len(write_delta(before, world.books.head(one.trial.head))) == one.delta_bytes


def test_one_that_makes_labels_up_keeps_no_head_back_and_no_label_of_the_version_out(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    strange = tuple(f"{number:04}" for number in range(MAX_LABELS))
    lie = HeadStatistics(strange, np.eye(WIDTH + 1) * 1e6, np.ones((WIDTH + 1, MAX_LABELS)) * 1e3)
    part = part_of("m", VERSION, "north", lie)
    world.pools.submit(Submission("liar", {"liar": 1}, (part,), "lie"), world.now)
    assert [one.region for one in world.round()] == ["south"]
    for one in world.trials.all("m"):
        labels = read_head(world.books.heads[one.trial.head]).labels
        assert (len(labels) <= MAX_LABELS, {"a", "b"} <= set(labels)) == (True, True)


def test_what_goes_wrong_in_one_region_keeps_no_other_one_back(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    lend, publish = world.books.lend, world.books.publish
    asked: list[bytes] = []

    def lent(data: bytes, now: float, for_s: float) -> str:
        asked.append(data)
        return unreachable() if len(asked) <= 1 else lend(data, now, for_s)

    world.books.lend, world.books.publish = lent, unreachable
    assert world.round() == []
    regions = [one.region for one in world.trials.open() if one.proven]
    assert set(regions) == {"south"}
    world.books.publish = publish
    assert {one.region for one in world.round()} == {"north", "south"}


def test_sums_on_an_embedding_of_another_width_are_not_used(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    other = nothing(WIDTH + 1, ("z",))
    for number in range(500):
        other.add(np.random.default_rng(number).normal(size=WIDTH + 1), np.ones(1))
    stray = part_of("m", VERSION, "north", other, forgotten=7)
    world.pools.submit(Submission("stray", {"stray": 1}, (stray,), "stray"), world.now)
    (one,) = world.round()
    assert one.lessons == 200.0
    assert read_head(world.books.heads[one.trial.head]).labels == ("a", "b", "c")
    world.round()
    assert world.chooser.to_go(world.standings()) == []
