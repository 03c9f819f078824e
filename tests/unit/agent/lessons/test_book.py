"""The book of lessons: whoever adds up what it is told has the sum over what is kept, whatever happens."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.lessons.making import DIGEST, OTHER, WAIT_S, Sums, lesson, opened
from upriver.errors import DiskTrouble, NotNow
from upriver_agent.lessons import forgetting, looking, standings, store
from upriver_agent.lessons.lesson import Choice, State
from upriver_agent.lessons.outcome import Outcome
from upriver_agent.pooling.own import OwnSums

ROOT = Path(__file__).resolve().parents[4]


def told(book):
    """What counts, by id."""
    return {one.id: one.label for one in book.all_of("digits", DIGEST)}


def test_a_lesson_comes_back_as_it_was_kept(tmp_path):
    one = lesson(3, probabilities={"7": 0.9, "1": 0.1}, consent=True, input=b"pixels", has_input=True)
    with opened(tmp_path) as book:
        assert book.offer([one]) == [Outcome.TAKEN]
    with opened(tmp_path) as book:
        (found,) = book.every(Choice(), with_input=True)
        (plain,) = book.all_of("digits", DIGEST)
    assert plain.input == b""
    assert (found.input, found.seq, found.state) == (b"pixels", 1, State.TAKEN)
    for name in type(one).__dataclass_fields__:
        if name not in ("seq", "embedding"):
            assert getattr(found, name) == getattr(one, name)
    assert found.embedding.dtype == np.float16
    assert found.embedding.tobytes() == one.embedding.tobytes()


def test_lessons_that_count_are_told_by_model_of_whichever_version(tmp_path):
    with opened(tmp_path) as book:
        assert book.journal.read(looking.by_model) == {}
        book.offer([lesson(1), lesson(2), lesson(3, version_digest=OTHER)])
        assert book.journal.read(looking.by_model) == {"digits": 3}
        book.forget(Choice())
        assert book.journal.read(looking.by_model) == {}


def test_a_question_teaches_once_however_often_its_answer_comes(tmp_path):
    with opened(tmp_path) as book:
        sums = Sums(book)
        assert book.offer([lesson(1), lesson(1), lesson(2)]) == [Outcome.TAKEN, Outcome.REPEATED, Outcome.TAKEN]
        assert book.offer([lesson(2), lesson(1, label="5")]) == [Outcome.REPEATED, Outcome.REPEATED]
        assert sums.ids == told(book)
        assert len(sums.ids) == 2


def test_the_same_content_with_the_same_label_teaches_once(tmp_path):
    with opened(tmp_path) as book:
        same = [lesson(number, embedding=(1, 2, 3)) for number in range(3)]
        assert book.offer(same) == [Outcome.TAKEN, Outcome.REPEATED, Outcome.REPEATED]


def test_teachers_that_contradict_each_other_need_a_quorum(tmp_path):
    with opened(tmp_path) as book:
        sums = Sums(book)
        same = {"embedding": (1, 2, 3)}
        assert book.offer([lesson(1, "7", "a", **same)]) == [Outcome.TAKEN]
        assert book.offer([lesson(2, "5", "b", **same)]) == [Outcome.HELD]
        assert sums.ids == {} == told(book)
        assert book.offer([lesson(3, "7", "c", **same)]) == [Outcome.REPEATED]
        assert sums.ids == {lesson(1).id: "7"} == told(book)
        assert book.offer([lesson(4, "5", "d", **same), lesson(5, "5", "e", **same)]) == [Outcome.REPEATED] * 2
        assert sums.ids == {lesson(2).id: "5"} == told(book)


def test_a_teacher_that_changes_its_mind_is_not_two_teachers(tmp_path):
    with opened(tmp_path) as book:
        same = {"embedding": (1, 2, 3)}
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "a", **same)])
        assert told(book) == {lesson(2).id: "5"}


def test_an_embedding_of_another_width_is_refused_and_another_version_may_have_one(tmp_path):
    with opened(tmp_path) as book:
        outcomes = book.offer([lesson(1), lesson(2, embedding=(1, 2)), lesson(3, embedding=(1, 2), version=OTHER)])
        assert outcomes == [Outcome.TAKEN, Outcome.OTHER_WIDTH, Outcome.TAKEN]


def test_lessons_of_a_version_that_is_gone_are_kept_and_not_used_and_go_with_age(tmp_path):
    now = [2000.0]
    with opened(tmp_path, lambda: now[0]) as book:
        book.offer([lesson(1, version=OTHER), lesson(2)])
        assert list(told(book)) == [lesson(2).id]
        assert book.count(Choice(version_digest=OTHER))[0] == 1
        now[0] = 1001.5 + 3600.0
        book.tick()
        assert book.count(Choice(version_digest=OTHER))[0] == 0
        assert book.count(Choice())[0] == 1


def test_a_clock_that_is_set_makes_no_lesson_older(tmp_path):
    now, steady = [1000.0], [0.0]
    with opened(tmp_path, lambda: now[0]) as book:
        book._steady = lambda: steady[0]
        book._wall = now[0]
        book.offer([lesson(1, at=1000.0)])
        now[0], steady[0] = 2e9, 60.0
        book.tick()
        assert book.count(Choice())[0] == 1
        (kept,) = book.every(Choice())
        assert kept.at == 2e9 - 60.0


def test_what_is_forgotten_is_as_if_it_had_never_been(tmp_path):
    with opened(tmp_path) as book:
        sums = Sums(book)
        same = {"embedding": (1, 2, 3)}
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "b", **same), lesson(3, "9")])
        assert list(sums.ids) == [lesson(3).id]
        assert book.forget(Choice(ids=(lesson(2).id,))) == 1
        assert sums.ids == {lesson(1).id: "7", lesson(3).id: "9"} == told(book)
        assert book.forget(Choice(label="9")) == 1
        assert book.forget(Choice(label="9")) == 0
        assert sums.ids == {lesson(1).id: "7"} == told(book)


def test_who_is_forgotten_takes_nobody_else_s_word_along(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        book.offer([lesson(1, "7", "liar", **same)])
        audits(book, "liar", "sha256:up", [False] * 12)
        book.offer([lesson(2, "7", "cloud-1", **same)])
        assert book.forget(Choice(teacher="liar")) == 1
        assert told(book) == {lesson(2).id: "7"}


def test_what_a_teacher_said_as_another_did_still_contradicts_once_the_other_is_forgotten(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "b", **same), lesson(3, "7", "c", **same)])
        assert book.forget(Choice(ids=(lesson(1).id,))) == 1
        assert told(book) == {}
        assert book.forget(Choice(label="7")) == 0
        book.offer([lesson(4, "7", "d", **same)])
        assert told(book) == {lesson(4).id: "7"}
        assert book.forget(Choice(label="7")) == 1
        assert told(book) == {lesson(2).id: "5"}


def test_a_teacher_s_word_before_counts_again_once_the_last_one_is_forgotten(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "a", **same)])
        book.forget(Choice(ids=(lesson(2).id,)))
        assert told(book) == {lesson(1).id: "7"}
        book.offer([lesson(3, "5", "a", **same)])
        book.forget(Choice(ids=(lesson(1).id,)))
        assert told(book) == {lesson(3).id: "5"}


def test_what_anybody_said_before_counts_again_once_the_class_that_was_said_last_is_forgotten(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "c", **same), lesson(3, "7", "c", **same)])
        assert told(book) == {lesson(1).id: "7"}
        assert book.forget(Choice(label="7")) == 1
        assert told(book) == {lesson(2).id: "5"}


def test_a_liar_that_said_what_others_had_said_supports_them_no_more(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        sums = Sums(book)
        book.offer([lesson(1, "7", "a", **same), lesson(2, "5", "b", **same), lesson(3, "5", "liar", **same)])
        assert sums.ids == {lesson(2).id: "5"}
        audits(book, "liar", "sha256:up", [False] * 12)
        assert sums.ids == {} == told(book)


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(ids=("q-" + "0" * 15 + "2-" + "0" * 15 + "2.0",)), {1, 3, 4}),
        (Choice(ids=("q-" + "0" * 15 + "2-" + "0" * 15 + "2",)), {1, 3, 4}),
        (Choice(ids=("nobody's", "nobody's.1")), {1, 2, 3, 4}),
        (Choice(label="5"), {1, 2, 4}),
        (Choice(source="ipv4:10.0.0.9"), {1, 2, 3}),
        (Choice(teacher="cloud-2"), {1, 3, 4}),
        (Choice(since=1002.0, until=1004.0), {1, 4}),
        (Choice(model="other"), {1, 2, 3, 4}),
        (Choice(version_digest=OTHER), {1, 2, 3, 4}),
        (Choice(label="7", teacher="cloud-1"), {2, 3}),
        (Choice(), set()),
    ],
)
def test_lessons_are_forgotten_by_whatever_is_known_of_them(tmp_path, choice, left):
    with opened(tmp_path) as book:
        sums = Sums(book)
        book.offer([lesson(1), lesson(2, teacher="cloud-2"), lesson(3, "5"), lesson(4, source="ipv4:10.0.0.9")])
        counted, size = book.count(choice)
        assert (counted == 0) == (size == 0)
        assert book.forget(choice) == counted == 4 - len(left)
        assert set(sums.ids) == {lesson(number).id for number in left} == set(told(book))
        expected = sum((lesson(number).embedding.astype(float) for number in left), np.zeros(3))
        assert np.abs(sums.sum - expected).max() < 1e-9


def audits(book, teacher, policy, agreed):
    for yes in agreed:
        book.contradicted(teacher, policy, yes)


def test_a_teacher_that_the_top_contradicts_is_put_aside_with_all_that_it_said(tmp_path):
    with opened(tmp_path) as book:
        sums = Sums(book)
        same = {"embedding": (1, 2, 3)}
        book.offer([lesson(1, "5", "liar", **same), lesson(2, "7", "cloud-1", **same), lesson(3, "4", "liar")])
        assert sums.ids == {lesson(3).id: "4"}
        audits(book, "liar", "sha256:up", [False] * 12)
        assert sums.ids == {lesson(2).id: "7"} == told(book)
        assert book.count(Choice(states=frozenset({State.ASIDE})))[0] == 2
        assert book.offer([lesson(4, "4", "liar"), lesson(5)]) == [None, Outcome.TAKEN]
    with opened(tmp_path) as book:
        assert book.standings()["liar"].quarantined
        assert book.offer([lesson(6, "4", "liar")]) == [None]
        sums = Sums(book)
        assert book.release("liar") == 1
        assert sums.ids == {lesson(3).id: "4", lesson(5).id: "7"} == told(book)
        assert book.offer([lesson(6, "4", "liar")]) == [Outcome.TAKEN]
        with pytest.raises(NotNow, match="not in quarantine"):
            book.release("liar")


def test_how_many_lessons_had_to_go_is_kept_by_version_and_is_what_was_told(tmp_path):
    with opened(tmp_path) as book:
        own = OwnSums()
        with book.still():
            own.follow(book, book.journal.read(looking.must_go))
        own.catch_up(book)
        same = {"embedding": (1, 2, 3)}
        book.offer([lesson(1), lesson(2), lesson(3, teacher="liar"), lesson(4, version=OTHER, embedding=(1, 2))])
        book.offer([lesson(5, "5", **same), lesson(6, "7", "cloud-2", **same)])  # they do not count; one had
        assert book.forget(Choice(ids=(lesson(5).id,))) == 1
        assert book.forget(Choice(version_digest=OTHER)) == 1
        assert book.forget(Choice(ids=(lesson(1).id,))) == 1
        audits(book, "liar", "sha256:up", [False] * 12)
        told = {(part.key.version_digest, part.key.width): part.forgotten for part in own.parts("")}
        assert "must_go/1" not in book.journal.read(looking.tally)
    with opened(tmp_path) as book:
        book.tick()
        kept = book.journal.read(looking.must_go)
    assert told == {(DIGEST, 3): 3, (OTHER, 2): 1}  # two were forgotten, and one was a liar's
    assert kept == {("digits", *key): lessons for key, lessons in told.items()}


def test_what_was_outvoted_after_it_counted_must_go_too_when_it_is_forgotten_or_its_teacher_is_not_believed(tmp_path):
    first, second = {"embedding": (1, 2, 3)}, {"embedding": (3, 2, 1)}
    with opened(tmp_path) as book:
        sums = Sums(book)
        book.offer([lesson(1, "5", "liar", **first), lesson(2, "5", "a", **second)])
        book.offer([lesson(3, "7", "b", **first), lesson(4, "7", "b", **second)])
        assert (sums.gone, sums.ids) == ([], {})
        audits(book, "liar", "sha256:up", [False] * 12)
        assert sums.gone == [lesson(1).id]
        book.release("liar")
        assert book.forget(Choice(label="7")) == 2
        assert sums.gone == [lesson(1).id, lesson(3).id]  # this one had counted meanwhile, the other never
        assert sums.ids == {lesson(1).id: "5", lesson(2).id: "5"} == told(book)


def test_what_was_outvoted_and_is_forgotten_with_what_outvoted_it_must_go(tmp_path):
    same = {"embedding": (1, 2, 3)}
    with opened(tmp_path) as book:
        sums = Sums(book)
        book.offer([lesson(1, "5", "a", **same), lesson(2, "7", "b", **same), lesson(3, "7", "c", **same)])
        book.forget(Choice(model="digits"))
        assert sorted(sums.gone) == [lesson(1).id, lesson(2).id]
        assert book.journal.read(looking.must_go) == {("digits", DIGEST, 3): 2}


def test_none_of_a_liar_s_lessons_count_though_it_was_outvoted_many_times_in_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting, "BATCH", 2)
    with opened(tmp_path) as book:
        book.tick()
        for number in range(3):
            same = {"embedding": (number, 8, 8)}
            teachers = [("a", "7"), ("b", "7"), ("liar", "5")]
            book.offer([lesson(9 * number + n, label, name, **same) for n, (name, label) in enumerate(teachers)])
        book.offer([lesson(90, "5", "liar")])
        sums = Sums(book)
        audits(book, "liar", "sha256:up", [False] * 12)
        assert book.count(Choice(teacher="liar", states=frozenset({State.ASIDE})))[0] == 4
        assert set(sums.ids.values()) == {"7"}
        assert sums.ids == told(book)


def test_all_that_is_too_old_goes_at_once_whether_it_counts_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "BATCH", 2)
    now = [2000.0]
    with opened(tmp_path, lambda: now[0]) as book:
        book.offer([lesson(number, teacher="liar") for number in range(3)] + [lesson(9)])
        audits(book, "liar", "sha256:up", [False] * 12)
        now[0] += 9000.0
        book.tick()
        assert book.count(Choice()) == (0, 0)


def test_names_that_are_made_up_take_a_bounded_room(tmp_path, monkeypatch):
    monkeypatch.setattr(standings, "MAX_STANDINGS", 2)
    now = [2000.0]
    with opened(tmp_path, lambda: now[0]) as book:
        for number in range(5):
            now[0] += 1.0
            book.offer([lesson(number, teacher=f"liar-{number}", policy=f"sha256:{number}")])
            audits(book, f"liar-{number}", "sha256:up", [False] * 12)
            book.contradicted(f"honest-{number}", "sha256:up", True)
        left = {"liar-3", "liar-4", "honest-3", "honest-4"}
        assert set(book.standings()) == left
        book.forget(Choice(teacher="liar-0"))
        book.tick()
        assert book.journal.read(lambda db: db.execute("SELECT count(*) FROM teacher").fetchone()) == (4,)
    with opened(tmp_path) as book:
        assert set(book.standings()) == left


def test_a_quarantine_that_a_kill_cut_short_goes_on_at_the_next_start(tmp_path):
    with opened(tmp_path) as book:
        book.offer([lesson(number, teacher="liar") for number in range(5)])
        audits(book, "liar", "sha256:up", [False] * 12)
        book.journal.write(lambda db: db.execute("UPDATE lesson SET state = 2 WHERE seq < 3")).result(WAIT_S)
    with opened(tmp_path) as book:
        book.tick()
        assert book.count(Choice(states=frozenset({State.ASIDE})))[0] == 5


def test_a_quarantine_that_the_disk_cut_short_goes_on_with_the_next_tick(tmp_path, monkeypatch):
    with opened(tmp_path) as book:
        book.tick()
        sums = Sums(book)
        book.offer([lesson(1, teacher="liar"), lesson(2)])

        def full(*_, **__):
            raise DiskTrouble("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(forgetting, "set_aside", full)
            with pytest.raises(DiskTrouble):
                audits(book, "liar", "sha256:up", [False] * 12)
        assert book.standings()["liar"].quarantined
        book.tick()
        assert set(sums.ids) == set(told(book)) == {lesson(2).id}


def test_a_teacher_that_is_condemned_again_while_its_lessons_come_back_stays_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting, "BATCH", 1)
    with opened(tmp_path) as book:
        book.offer([lesson(number, teacher="liar") for number in range(5)])
        audits(book, "liar", "sha256:up", [False] * 12)
        bring_back = forgetting.bring_back

        def and_again(*given):
            found = bring_back(*given)
            again.append(1)
            return found

        again = []
        monkeypatch.setattr(forgetting, "bring_back", and_again)
        tell = book._tell

        def condemned(change):
            tell(change)
            if len(again) == 2:
                again.append(1)
                audits(book, "liar", "sha256:up", [False] * 12)

        monkeypatch.setattr(book, "_tell", condemned)
        book.release("liar")
        assert book.standings()["liar"].quarantined
        assert told(book) == {}


def test_a_release_that_a_kill_cut_short_can_be_said_again(tmp_path):
    with opened(tmp_path) as book:
        book.offer([lesson(number, teacher="honest") for number in range(5)])
        audits(book, "honest", "sha256:up", [False] * 12)
        book.release("honest")
        book.journal.write(lambda db: db.execute("UPDATE lesson SET state = 3 WHERE seq < 3")).result(WAIT_S)
    with opened(tmp_path) as book:
        assert book.release("honest") == 2
        assert len(told(book)) == 5


def test_a_damaged_file_is_set_aside_and_who_learns_begins_anew(tmp_path):
    with opened(tmp_path) as book:
        sums = Sums(book)
        book.offer([lesson(1)])
        audits(book, "liar", "p", [False] * 12)
        other = sqlite3.connect(book.journal.path)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with book.journal.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (book.journal.path.stat().st_size - 4096))
        with pytest.raises(DiskTrouble):
            told(book)
        book.journal.write(lambda _: None).exception(WAIT_S)
        book.tick()
        assert sums.renewals == 1
        assert sums.ids == {} == told(book)
        assert book.offer([lesson(1, teacher="liar"), lesson(2)]) == [None, Outcome.TAKEN]
        assert sums.ids == told(book)
    with opened(tmp_path) as book:
        assert book.standings()["liar"].quarantined


LIMITED = """
import resource, sys
from pathlib import Path
from tests.unit.agent.lessons.making import Sums, lesson, opened
from upriver.errors import DiskTrouble
with opened(Path(sys.argv[1])) as book:
    sums = Sums(book)
    book.offer([lesson(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    kept, failures = 1, 0
    for number in range(1, 1000):
        try:
            book.offer([lesson(number, input=b"x" * 500)])
        except DiskTrouble as error:
            assert "lessons.db" in str(error)
            failures += 1
            if failures == 3:
                break
        else:
            kept += 1
    assert failures == 3, failures
    assert book.journal.trouble
    told = {one.id: one.label for one in book.all_of("digits", sums.version)}
    assert sums.ids == told and len(told) == kept, (len(told), kept)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    book.offer([lesson(5000)])
    assert not book.journal.trouble and len(sums.ids) == kept + 1
    assert sums.ids == {one.id: one.label for one in book.all_of("digits", sums.version)}
print("well")
"""


def test_a_full_disk_is_told_and_who_learns_was_told_of_nothing_that_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=180, cwd=ROOT
    )
    assert done.stdout == "well\n", done.stderr


STEP = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 30), st.integers(0, 4), st.sampled_from("345"), st.sampled_from("abc")),
    st.tuples(st.just("forget"), st.integers(0, 30)),
    st.tuples(st.just("label"), st.sampled_from("345")),
    st.tuples(st.just("age"), st.integers(0, 4000)),
    st.tuples(st.just("liar"), st.sampled_from("abc")),
    st.tuples(st.just("release"), st.sampled_from("abc")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEP, max_size=30), room=st.sampled_from([2000, 5000, 1 << 20]))
def test_the_sums_are_those_over_the_journal_whatever_happens(tmp_path_factory, steps, room):
    folder = tmp_path_factory.mktemp("book")
    now = [2000.0]
    parts = [iter(())]

    def run():
        with opened(folder, lambda: now[0], max_bytes=room) as book:
            sums = Sums(book)
            for step in parts[0]:
                match step:
                    case ("offer", number, content, label, teacher):
                        book.offer([lesson(number, label, teacher, embedding=(content, 1, 2), at=now[0])])
                    case ("forget", number):
                        book.forget(Choice(ids=(lesson(number).id,)))
                    case ("label", label):
                        book.forget(Choice(label=label))
                    case ("age", seconds):
                        now[0] += seconds
                        book.tick()
                    case ("liar", teacher):
                        audits(book, teacher, "sha256:up", [False] * 12)
                    case ("release", teacher):
                        if book.standings().get(teacher) is not None and book.standings()[teacher].quarantined:
                            book.release(teacher)
                    case ("restart",):
                        return True
                expected = told(book)
                assert sums.ids == expected
                contents = [one.content for one in book.all_of("digits", DIGEST)]
                assert len(set(contents)) == len(contents)
                total = sum((one.embedding.astype(float) for one in book.all_of("digits", DIGEST)), np.zeros(3))
                assert np.abs(sums.sum - total).max() < 1e-9
                assert book.journal.read(SIZES) == (0, 0, 0)
                for one in book.every(Choice()):
                    quarantined = book.standings().get(one.teacher)
                    if quarantined is not None and quarantined.quarantined:
                        assert one.state is State.ASIDE
        return False

    parts[0] = iter(steps)
    while run():
        pass


def SIZES(connection):  # noqa: N802 - a question to the tables
    """How far what is noted differs from what is there: bytes of all lessons and of each class, votes of nothing."""
    (kept,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM lesson").fetchone()
    noted = dict(connection.execute("SELECT name, value FROM tally")).get("bytes", 0)
    classes = {
        (version, label): (count, size) for version, label, count, size in connection.execute("SELECT * FROM class")
    }
    real = {
        (version, label): (count, size)
        for version, label, count, size in connection.execute(
            "SELECT version, label, count(*), sum(bytes) FROM lesson WHERE state = 1 GROUP BY version, label"
        )
    }
    (votes,) = connection.execute(
        "SELECT count(*) FROM vote WHERE NOT EXISTS"
        " (SELECT 1 FROM lesson WHERE lesson.version = vote.version AND lesson.content = vote.content)"
    ).fetchone()
    return kept - noted, int(classes != real), votes
