import math

import numpy as np
import pytest

from tests.unit.agent.pooling.test_own_sums import OTHER, VERSION, Book, following, lesson
from upriver.errors import DiskTrouble
from upriver.head_statistics import HeadStatistics, nothing
from upriver_agent.pooling.own import Clip
from upriver_agent.pooling.privacy import Privacy, delta_of, epsilon_of, with_noise
from upriver_agent.pooling.releases import FILE, Releases, secure_noise


def test_an_epsilon_is_what_the_analytic_gaussian_mechanism_has() -> None:
    # Balle and Wang: ε = 1 at δ = 1e-5 takes 3.73 times the sensitivity, where the classic bound says 4.84.
    assert epsilon_of(1.0 / 3.7303, 1e-5) == pytest.approx(1.0, abs=2e-3)
    for mu in (0.05, 0.3, 1.0, 3.0, 20.0):
        epsilon = epsilon_of(mu, 1e-6)
        assert delta_of(mu, epsilon) <= 1e-6
        rho = mu**2 / 2.0  # zero-concentrated privacy gives a bound that is looser everywhere
        assert epsilon <= rho + 2.0 * math.sqrt(rho * math.log(1e6))
    assert epsilon_of(1e-9, 1e-6) == 0.0


def test_releases_add_up_as_gaussian_privacy_does() -> None:
    assert Privacy(1.0, 8.0, 16).epsilon() == pytest.approx(Privacy(1.0, 4.0, 4).epsilon(), rel=1e-9)
    assert Privacy(1.0, 8.0, 16).epsilon() > Privacy(1.0, 8.0, 15).epsilon()


def test_no_lesson_changes_what_is_sent_by_more_than_the_sensitivity() -> None:
    chance = np.random.default_rng(1)
    privacy = Privacy(2.0, 1.0, 1)
    for _ in range(200):
        h = chance.normal(size=6) * chance.exponential(3.0)
        target = chance.dirichlet(np.full(4, chance.exponential()))
        sums = nothing(6, tuple("abcd"))
        sums.add(Clip(2.0)(h[np.newaxis])[0], target)
        sent = np.concatenate([sums.outer[np.tril_indices(7)], sums.toward.ravel()])
        assert np.linalg.norm(sent) <= privacy.sensitivity + 1e-9


def test_noise_for_embeddings_of_any_length_is_none() -> None:
    with pytest.raises(ValueError, match="a norm above 0"):
        Privacy(0.0, 8.0, 16)


def test_noise_is_on_every_number_that_is_sent_and_of_the_size_that_is_told() -> None:
    noisy = with_noise(nothing(40, tuple("abcd")), 3.0, secure_noise)
    np.testing.assert_array_equal(noisy.outer, noisy.outer.T)
    numbers = np.concatenate([noisy.outer[np.tril_indices(41)], noisy.toward.ravel()])
    assert (numbers != 0.0).all()
    assert numbers.std() == pytest.approx(3.0, rel=0.15)


def lessons_of(releases: Releases) -> list[float]:
    parts = releases.parts()
    assert all(isinstance(part.sums, HeadStatistics) for part in parts)
    return [float(part.sums.toward.sum()) for part in parts if isinstance(part.sums, HeadStatistics)]


def test_a_release_stands_until_lessons_have_grown_or_one_is_forgotten(tmp_path) -> None:
    own = following(Book(*(lesson(number) for number in range(10))), clip=1.0)
    privacy = Privacy(1.0, 1.0, 3)
    releases = Releases(tmp_path, own, "north", privacy)
    first = lessons_of(releases)
    own.added(lesson(10))
    assert lessons_of(releases) == first
    for number in range(11, 16):
        own.added(lesson(number))
    second = lessons_of(releases)
    assert second != first
    own.removed([lesson(3)])
    own.must_go([lesson(3)])
    third = lessons_of(releases)
    assert third not in (first, second)
    for number in range(20, 60):
        own.added(lesson(number))
    assert lessons_of(releases) == third  # none is left: the last one stands
    own.removed([lesson(21)])
    own.must_go([lesson(21)])
    assert lessons_of(releases) == [0.0]  # and goes with what was forgotten, of which it is told
    assert lessons_of(Releases(tmp_path, own, "north", privacy)) == [0.0]  # a new start gives no more


def test_lessons_of_other_versions_and_such_as_grow_old_use_no_release_up(tmp_path) -> None:
    own = following(Book(*(lesson(number, version) for number in range(10) for version in (VERSION, OTHER))), clip=1.0)
    releases = Releases(tmp_path, own, "north", Privacy(1.0, 1.0, 1))
    first = lessons_of(releases)
    for number in range(8):
        own.added(lesson(20 + number, OTHER))
        own.removed([lesson(number, OTHER)])
        own.removed([lesson(20 + number, OTHER)])
        assert lessons_of(releases) == first
    own.removed([lesson(8, OTHER)])
    own.must_go([lesson(8, OTHER)])
    assert lessons_of(releases) == [first[0], 0.0]
    own.removed([lesson(9, OTHER)])
    own.must_go([lesson(9, OTHER)])
    assert [(part.forgotten, part.sums.lessons != 0.0) for part in releases.parts()] == [(0, True), (2, False)]
    own.renewed()
    own.catch_up(Book(lesson(40)))
    assert lessons_of(releases) == [0.0]  # nobody knows what of the journal that was lost had to go


def test_that_there_are_no_lessons_any_more_uses_no_release_up(tmp_path) -> None:
    own = following(Book(), {("m", VERSION, 3): 1}, clip=1.0)
    for _ in range(5):
        releases = Releases(tmp_path, own, "north", Privacy(1.0, 1.0, 2))
        assert lessons_of(releases) == lessons_of(releases) == [0.0]
    own.added(lesson(1))
    assert lessons_of(releases) != [0.0]


def test_what_was_released_must_be_known(tmp_path) -> None:
    own = following(Book(lesson(1)), clip=1.0)
    (tmp_path / FILE).write_text("{broken")
    with pytest.raises(DiskTrouble, match="nothing is sent"):
        Releases(tmp_path, own, "north", Privacy(1.0, 1.0, 3)).parts()
    (tmp_path / FILE).write_text(f'{{"{VERSION}": 2}}')
    assert len(Releases(tmp_path, own, "north", Privacy(1.0, 1.0, 3)).parts()) == 1
    assert Releases(tmp_path, own, "north", Privacy(1.0, 1.0, 3)).parts() == []
