"""The learner on an agent's real parts: what it promotes, what it does not, and what it does when it must forget."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.heads import REPORT, head_for, policy_with
from tests.unit.agent.learning.world import (
    LABELS,
    MODEL,
    NEW,
    OTHER_TOP,
    SECTION,
    TOP,
    World,
    embedding_of,
    prior,
)
from tests.versions import make_version
from upriver.errors import DiskTrouble, NotNow
from upriver.head_fit import fit, joined
from upriver.head_statistics import nothing
from upriver.policies import Form, rules_digest
from upriver.promises import Promise
from upriver_agent.held_out import JournalHoldout
from upriver_agent.learning import examiner
from upriver_agent.learning.attempts import FILE as ATTEMPTS
from upriver_agent.learning.gate import Scored, Trial, judge
from upriver_agent.learning.holdout import MOST, MOST_VERSIONS, WANTED, Key, count
from upriver_agent.learning.learner import BY_OPERATOR, NO_PRIOR
from upriver_agent.learning.leaving import FORGOTTEN
from upriver_agent.learning.sums import LessonSums
from upriver_agent.lessons import forgetting
from upriver_agent.lessons.lesson import Choice, Lesson
from upriver_agent.serving.refiner import ALARM
from upriver_agent.telemetry import Origin
from upriver_agent.versions import open_version


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_what_was_asked_above_is_answered_here_after_a_promotion(world: World) -> None:
    world.learn()
    assert world.learnt
    assert world.right(NEW) > 0.95
    assert world.right(LABELS) > 0.95
    learning = world.learner.learning(MODEL)
    assert (learning.lessons, learning.held_out, learning.attempts, learning.why) == (60, 260, 1, "")
    (tried,) = learning.trials
    assert tried.promoted
    assert (tried.lessons, tried.trial.questions, tried.trial.attempt) == (60, 260, 1)


def test_a_promotion_is_told_with_where_the_newest_questions_were_that_it_learnt_from(world: World) -> None:
    told: list[tuple[str, str, int, Sequence[Origin]]] = []
    world.learner.promoted = lambda *promotion: told.append(promotion)
    world.learn()
    ((model, version, lessons, origins),) = told
    assert (model, version, lessons) == (MODEL, world.version.digest, 60)
    kept = [lesson for lesson in world.book.every(Choice(model=MODEL)) if lesson.span_id]
    assert list(origins) == [Origin(lesson.trace_id, lesson.span_id) for lesson in reversed(kept)]
    assert len(origins) == 60


def test_a_head_of_the_region_is_told_with_the_questions_that_this_agent_pooled_when_it_is_put_here(
    world: World,
) -> None:
    told: list[tuple[str, str, int, Sequence[Origin]]] = []
    world.lessons(30)
    world.learner.step()
    world.learner.promoted = lambda *promotion: told.append(promotion)
    head = head_for(world.version, 1)
    pair = world.loader.warm(world.version, REPORT, policy_with(world.version, head), head)
    world.learner.keeper.wants(pair)
    world.learner.step()
    assert not told, "it does not answer yet"
    world.slots.put(pair, Path())
    world.learner.step()
    world.learner.step()
    ((model, version, lessons, origins),) = told
    assert (model, version, lessons, len(origins)) == (MODEL, world.version.digest, 30, 30)
    world.learner.keeper.wants(world.plain())
    world.slots.put(world.plain(), Path())
    world.learner.step()
    assert len(told) == 1, "no head is none that began to answer"


def test_a_head_that_learnt_from_no_question_of_this_agent_is_told_as_well(world: World) -> None:
    told: list[tuple[str, str, int, Sequence[Origin]]] = []
    world.learner.promoted = lambda *promotion: told.append(promotion)
    world.learner.step()
    head = head_for(world.version, 1)
    pair = world.loader.warm(world.version, REPORT, policy_with(world.version, head), head)
    world.learner.keeper.wants(pair)
    world.slots.put(pair, Path())
    world.learner.step()
    world.learner.step()
    ((model, version, lessons, origins),) = told
    assert (model, version, lessons, len(origins)) == (MODEL, world.version.digest, 0, 0)


def test_the_promoted_pair_has_a_certificate_of_exactly_what_it_is(world: World) -> None:
    world.learn()
    policy = world.answering.policy.document
    certificate = policy.certificate
    assert certificate is not None
    assert certificate.form is Form.PER_TIER
    assert certificate.rules == rules_digest(policy)
    assert (certificate.epsilon, certificate.questions, certificate.top) == (0.02, 260, TOP)
    assert certificate.delta == pytest.approx(0.05 * 6 / np.pi**2)
    assert policy.head
    assert world.answering.head is not None
    assert world.answering.form.labels == (*LABELS, *NEW)


def test_nothing_is_tried_before_there_are_lessons_and_a_holdout(world: World) -> None:
    world.learner.step()
    assert world.learner.learning(MODEL).why == "no question was held out yet"
    world.audits(260)
    world.learner.step()
    assert "0 lessons" in world.learner.learning(MODEL).why
    assert world.learner.learning(MODEL).attempts == 0
    world.lessons(60)
    world.learner.step()
    assert world.learnt


@pytest.mark.parametrize("wrong", [0.1, 1.0])
def test_a_teacher_who_lies_gets_no_head_past_what_it_may_lose(world: World, wrong: float) -> None:
    for _ in range(12):
        world.lessons(40, wrong=wrong)
        world.audits(60)
        world.learner.step()
        assert world.lost() <= 0.02, "what answers keeps the promise, whatever it was taught"
    learning = world.learner.learning(MODEL)
    assert learning.attempts <= 6
    if wrong == 1.0:
        assert world.right(NEW) == 0.0, "nothing that it said is answered here"
    for tried in learning.trials:
        assert tried.promoted == (tried.trial.p_loss <= tried.trial.delta and not tried.trial.why)


def test_what_a_liar_taught_leaves_with_it_and_what_is_right_is_learnt_from_others(world: World) -> None:
    world.lessons(120, wrong=1.0, teacher="liar")
    world.audits(260)
    world.learner.step()
    assert world.right(NEW) == 0.0
    for _ in range(40):
        world.learner.keeper.judged([world.contradicted("liar")], "")
    for teacher, policy, agreed in world.audited:
        world.book.contradicted(teacher, policy, agreed)
    assert world.book.standings()["liar"].quarantined
    world.learner.step()
    assert world.learner.learning(MODEL).lessons == 0
    assert world.lessons(100, teacher="liar")
    world.lessons(100, teacher="honest")
    world.audits(200)
    world.learner.step()
    assert world.learner.learning(MODEL).lessons == 100
    assert world.right(NEW) > 0.9


def test_what_a_teacher_takes_a_new_label_for_now_and_then_is_not_learnt_in_its_place(world: World) -> None:
    made = [world.lesson(label, embedding_of(label, world.rng).astype(np.float16)) for label in NEW for _ in range(300)]
    world.book.offer(
        [replace(one, probabilities={one.label: 0.9, LABELS[1]: 0.08, f"ghost-{one.label}": 0.02}) for one in made]
    )
    world.audits(900)
    world.learner.step()
    assert world.learnt
    assert world.answering.form.labels == (*LABELS, *NEW)
    assert world.right(NEW) > 0.95


def test_who_contradicts_the_top_is_told_to_the_lessons(world: World) -> None:
    verdict = world.verdict()
    case = replace(verdict.case, teacher="edge-1", teacher_policy="sha256:edge", teacher_answer="class-9")
    wrong = replace(verdict, case=case, top_answer="class-2")
    world.learner.keeper.judged([wrong, replace(wrong, top_answer="class-9"), world.verdict()], "")
    assert world.audited == [("edge-1", "sha256:edge", False), ("edge-1", "sha256:edge", True)]


def test_an_audit_outside_the_holdout_or_without_an_embedding_is_not_kept(world: World) -> None:
    world.audits(5, draw=0.3)
    world.learner.keeper.judged([replace(world.verdict(), embedding=None)], "")
    world.audits(3, top="anything")
    world.audits(2)
    assert world.learner.learning(MODEL).held_out == 2


def test_only_what_the_pair_on_top_said_that_answered_last_counts(world: World) -> None:
    world.lessons(60)
    world.audits(200)
    world.audits(100, top=OTHER_TOP)
    world.learner.step()
    assert not world.learnt
    learning = world.learner.learning(MODEL)
    assert (learning.held_out, learning.attempts) == (100, 0)
    world.audits(160, top=OTHER_TOP)
    world.learner.step()
    assert world.learnt
    certificate = world.answering.policy.document.certificate
    assert certificate is not None
    assert (certificate.top, certificate.questions) == (OTHER_TOP, 260)


def test_the_same_verdict_told_twice_is_held_out_once(world: World) -> None:
    verdict = world.verdict()
    world.learner.keeper.judged([verdict, verdict], "")
    world.learner.keeper.judged([verdict], "")
    world.journal.write(lambda _: None).result()
    assert world.learner.learning(MODEL).held_out == 1


def test_an_operator_who_holds_a_model_has_nothing_promoted_until_it_goes_on(world: World) -> None:
    world.learner.hold(MODEL, True)
    world.learn()
    assert not world.learnt
    assert world.learner.learning(MODEL).why == "an operator holds it"
    assert world.learner.learning(MODEL).attempts == 0
    world.close()
    world.again()
    world.learner.step()
    assert not world.learnt, "it outlives a restart"
    world.learner.hold(MODEL, False)
    world.learner.step()
    assert world.learnt


def test_going_back_holds_too_or_else_the_same_head_would_soon_be_back(world: World) -> None:
    with pytest.raises(NotNow, match="nothing that was learnt here answers"):
        world.learner.revert(MODEL)
    world.learn()
    world.learner.revert(MODEL)
    assert not world.learnt
    ended = world.refiner.standing(MODEL).ended
    assert ended is not None
    assert ended.why == BY_OPERATOR
    world.lessons(200)
    world.audits(300)
    world.learner.step()
    assert not world.learnt


def test_after_an_operator_lets_go_on_nothing_says_any_more_that_one_holds(world: World) -> None:
    world.learn()
    world.learner.revert(MODEL)
    world.learner.step()
    assert world.learner.learning(MODEL).why == "an operator holds it"
    world.learner.hold(MODEL, False)
    world.learner.step()
    assert "attempt 1 was with" in world.learner.learning(MODEL).why


def test_after_forgetting_the_head_is_that_of_one_who_never_knew(world: World) -> None:
    world.lessons(50, source="a")
    keeps = world.lessons(50, source="b")
    world.audits(260)
    world.learner.step()
    assert world.learnt
    before = world.answering.policy.document.head
    world.book.forget(Choice(source="a"))
    world.learner.step()
    assert world.learnt, "another that never knew them has passed"
    assert world.answering.policy.document.head != before
    assert world.learner.learning(MODEL).trials[0].lessons == 50

    mine = world.statistics()
    never = World(world.folder / "never")
    never.book.offer([replace(one, version_digest=never.version.digest) for one in keeps])
    never.learner.step()
    theirs = never.statistics()
    never.close()
    assert np.abs(mine.outer - theirs.outer).max() < 1e-6
    columns = [mine.labels.index(label) for label in theirs.labels]
    assert np.abs(mine.toward[:, columns] - theirs.toward).max() < 1e-6
    weights = fit(joined(prior(), mine))[:, columns]
    assert np.abs(weights - fit(joined(prior(), theirs))).max() < 1e-6


@pytest.mark.parametrize("learns", [True, False])
def test_with_a_memory_too_what_is_left_after_forgetting_is_what_one_has_who_never_knew(
    tmp_path: Path, learns: bool
) -> None:
    world = World(tmp_path, replace(SECTION, memory_lessons=20, promote=learns))
    keeps = world.lessons(150, source="a")
    world.lessons(600, source="b")
    world.audits(260)
    world.learner.step()
    assert world.learnt is learns
    world.book.forget(Choice(source="b"))
    world.learner.step()
    learnt = world.statistics()
    sums = LessonSums(4, LABELS, 20.0)
    for number, one in enumerate(keeps, 1):
        sums.add(number, one.embedding, one.label, one.probabilities)
    assert np.abs(learnt.outer - sums.statistics().outer).max() < 1e-6
    assert np.abs(learnt.toward - sums.statistics().toward).max() < 1e-6
    assert all(one.lessons in (750, 150) for one in world.learner.learning(MODEL).trials)
    world.close()


def test_sums_that_are_made_anew_take_nothing_down_for_lessons_that_only_do_not_count_any_more(tmp_path: Path) -> None:
    world = World(tmp_path, replace(SECTION, memory_lessons=50))
    world.learn()
    assert world.learnt
    kept = list(world.book.all_of(MODEL, world.version.digest))
    world.book.offer([world.lesson(LABELS[3], kept[0].embedding, "edge-2")])  # that is outvoted
    others = [world.lesson(NEW[0], embedding_of(NEW[0], world.rng).astype(np.float16)) for _ in range(300)]
    world.book.offer([replace(one, model="another") for one in others])
    newest = world.lessons(1)[0]
    world.learner.step()
    course = world.learner._courses[MODEL]
    world.book.offer([world.lesson(LABELS[3], newest.embedding, "edge-2")])
    world.learner.step()
    assert world.learner._courses[MODEL] is not course, "they were made anew"
    assert (world.learnt, world.learner.learning(MODEL).attempts) == (True, 1)
    world.close()
    world.again()
    world.learner.step()
    assert world.learner.learning(MODEL).attempts == 2, "at the next start they leave what answers"
    world.close()


def test_lessons_come_and_are_forgotten_while_others_are_practised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.lessons(60)[0]
    world.learner.step()
    world.audits(260)
    page = world.book.page

    def meanwhile(*given: Any) -> list[Lesson]:
        monkeypatch.setattr(world.book, "page", page)
        found = page(*given)
        other = threading.Thread(target=lambda: (world.lessons(5), world.book.forget(Choice(ids=(first.id,)))))
        other.start()
        other.join(60)
        assert not other.is_alive(), "nobody waits for the learner"
        return found

    monkeypatch.setattr(world.book, "page", meanwhile)
    world.learner.step()
    assert not world.learnt, "it had a lesson that is forgotten by now"
    world.learner.step()
    assert world.learnt
    (tried,) = world.learner.learning(MODEL).trials
    assert tried.lessons == 64


def test_what_has_left_takes_nothing_down_later_though_the_disk_could_not_note_that_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lessons(50, source="a")
    world.lessons(50, source="b")
    world.audits(260)
    world.learner.step()
    world.book.forget(Choice(source="a"))

    def full(*_: object, **__: object) -> None:
        raise DiskTrouble("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(forgetting, "left", full)
        world.learner.step()
    assert world.learner.learning(MODEL).attempts == 2
    assert "the disk is full" in world.learner.learning(MODEL).why
    world.learner.step()
    world.close()
    world.again()
    world.learner.step()
    assert (world.learnt, world.learner.learning(MODEL).attempts) == (True, 2)


def test_when_no_other_head_passes_forgetting_brings_the_base_back_at_once(world: World) -> None:
    world.learn()
    world.book.forget(Choice(model=MODEL))
    world.learner.step()
    assert not world.learnt
    ended = world.refiner.standing(MODEL).ended
    assert ended is not None
    assert ended.why == FORGOTTEN


def test_forgetting_is_seen_to_though_the_process_ended_before_anybody_was_told(world: World) -> None:
    world.learn()
    world.book._subscribers.clear()  # nobody is told: as if it had ended just then
    world.book.forget(Choice(model=MODEL))
    world.close()
    world.again()
    assert world.learnt
    world.learner.step()
    assert not world.learnt


def test_forgetting_is_seen_to_though_lessons_came_back_from_quarantine_when_the_process_ended(world: World) -> None:
    world.lessons(50, teacher="back")
    world.lessons(50, teacher="honest")
    for _ in range(60):
        world.book.contradicted("back", "sha256:edge", False)
    world.audits(260)
    world.learner.step()
    assert world.learnt
    head = world.answering.policy.document.head
    world.book.release("back")
    world.learner.step()
    world.book._subscribers.clear()
    world.book.forget(Choice(teacher="honest"))
    world.close()
    world.again()
    world.learner.step()
    assert world.answering.policy.document.head != head
    attempts = world.learner.learning(MODEL).attempts
    world.close()
    world.again()
    world.learner.step()
    assert world.learner.learning(MODEL).attempts == attempts, "what was seen to is not seen to again"


@pytest.mark.parametrize("told", [True, False])
def test_forgetting_is_seen_to_though_nothing_can_be_learnt_any_more(world: World, told: bool) -> None:
    world.learn()
    world.prior = None
    if told:
        world.book.forget(Choice(model=MODEL))
    else:
        world.book._subscribers.clear()
        world.book.forget(Choice(model=MODEL))
        world.close()
        world.again()
        assert world.learnt
    world.learner.step()
    assert not world.learnt


def test_a_promotion_that_was_not_noted_is_noted_at_the_next_start(world: World) -> None:
    world.learn()
    world.journal.write(lambda connection: connection.execute("UPDATE trial SET promoted = 0")).result()
    world.close()
    world.again()
    world.learner.step()
    assert [one.promoted for one in world.learner.learning(MODEL).trials] == [True]


def test_forgetting_what_the_head_never_learnt_leaves_it_alone(world: World) -> None:
    world.learn()
    head = world.answering.policy.document.head
    world.lessons(5, source="late")
    world.book.forget(Choice(source="late"))
    world.learner.step()
    assert world.answering.policy.document.head == head
    assert world.learner.learning(MODEL).attempts == 1


@pytest.mark.parametrize("ends", [False, True])
def test_forgetting_lessons_of_another_version_leaves_the_head_alone(world: World, ends: bool) -> None:
    other = "sha256:" + "9" * 64
    made = [world.lesson(NEW[0], embedding_of(NEW[0], world.rng).astype(np.float16)) for _ in range(5)]
    world.book.offer([replace(one, version_digest=other) for one in made])
    world.learn()
    head = world.answering.policy.document.head
    assert world.book.forget(Choice(version_digest=other)) == 5
    if ends:
        world.close()
        world.again()
    world.learner.step()
    assert (world.answering.policy.document.head, world.learner.learning(MODEL).attempts) == (head, 1)


def test_lessons_of_a_teacher_in_quarantine_leave_the_head(world: World) -> None:
    world.lessons(50, teacher="honest")
    world.lessons(50, teacher="liar")
    world.audits(260)
    world.learner.step()
    assert world.learnt
    for _ in range(60):
        world.book.contradicted("liar", "sha256:edge", False)
    world.learner.step()
    learning = world.learner.learning(MODEL)
    assert learning.lessons == 50
    assert learning.trials[0].lessons == 50
    assert learning.trials[0].promoted


def test_what_was_learnt_and_then_outvoted_leaves_the_head_when_it_is_forgotten(world: World) -> None:
    first = world.lessons(60)[0]
    world.audits(260)
    world.learner.step()
    head = world.answering.policy.document.head
    world.book.offer([world.lesson("something else", first.embedding, "edge-2")])
    world.learner.step()
    assert world.answering.policy.document.head == head, "that leaves with what is learnt next"
    world.book.forget(Choice(ids=(first.id,)))
    world.learner.step()
    learning = world.learner.learning(MODEL)
    assert world.answering.policy.document.head != head
    assert (learning.attempts, learning.trials[0].lessons) == (2, 60)


def test_what_was_learnt_of_a_liar_that_was_outvoted_before_it_was_found_out_leaves_the_head(world: World) -> None:
    lies = world.lessons(10, teacher="liar")
    world.lessons(60)
    world.audits(260)
    world.learner.step()
    head = world.answering.policy.document.head
    for honest in ("honest-1", "honest-2"):
        world.book.offer([world.lesson(LABELS[3], lie.embedding, honest) for lie in lies])
    for _ in range(60):
        world.book.contradicted("liar", "sha256:edge", False)
    world.learner.step()
    assert world.answering.policy.document.head != head


def test_what_was_promoted_answers_after_a_restart_and_learning_goes_on(world: World) -> None:
    world.learn()
    head = world.answering.policy.document.head
    world.close()
    world.again()
    assert world.answering.policy.document.head == head
    world.learner.step()
    assert world.answering.policy.document.head == head
    learning = world.learner.learning(MODEL)
    assert (learning.lessons, learning.attempts) == (60, 1)


def test_an_attempt_is_counted_before_its_test_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, list[int]]] = []

    def judging(scored: Scored, promise: Promise, attempt: int) -> Trial:
        kept = json.loads((world.folder / "state" / ATTEMPTS).read_text())
        looked.append((attempt, [one["number"] for one in kept["attempts"]]))
        return judge(scored, promise, attempt)

    monkeypatch.setattr(examiner, "judge", judging)
    world.lessons(60, wrong=0.1)
    for _ in range(4):
        world.audits(260)
        world.lessons(60)
        world.learner.step()
    assert [attempt for attempt, _ in looked] == list(range(1, len(looked) + 1))
    assert len(looked) >= 2
    assert all(kept == [attempt] for attempt, kept in looked)


def test_with_a_disk_that_is_full_nothing_is_tried_and_the_reason_is_told(world: World) -> None:
    world.lessons(60)
    world.audits(260)
    attempts = world.folder / "state" / ATTEMPTS
    (attempts.with_name(f".{ATTEMPTS}.new")).mkdir()  # what is written aside can't be
    world.learner.step()
    assert not world.learnt
    assert "can't write" in world.learner.learning(MODEL).why
    assert world.learner.learning(MODEL).trials == (), "what can't be counted is not looked at"
    (attempts.with_name(f".{ATTEMPTS}.new")).rmdir()
    world.lessons(60)
    world.learner.step()
    assert world.learnt


def test_without_knowing_how_often_was_tried_nothing_is_tried(world: World) -> None:
    (world.folder / "state" / ATTEMPTS).write_text("no JSON")
    world.learn()
    assert not world.learnt
    with pytest.raises(DiskTrouble, match="counts the heads that were tried"):
        world.learner.learning(MODEL)


def test_a_damaged_journal_takes_lessons_and_holdout_but_not_the_count_of_attempts(world: World) -> None:
    world.learn()
    world.close()
    (world.folder / "state" / "lessons.db").write_bytes(b"no database" * 1000)
    for ending in ("-wal", "-shm"):
        (world.folder / "state" / f"lessons.db{ending}").unlink(missing_ok=True)
    world.again()
    world.learner.step()
    assert not world.learnt, "nobody knows what it had learnt"
    world.lessons(100)
    world.audits(300)
    world.learner.step()
    assert world.learnt
    assert world.learner.learning(MODEL).attempts == 2


def test_what_was_held_out_before_an_alarm_does_not_count_after_it(world: World) -> None:
    world.learn()
    world.clock.now = 2000.0
    world.refiner.revert(MODEL, ALARM)
    world.learner.step()
    assert world.learner.learning(MODEL).held_out == 0
    world.clock.now = 2001.0
    world.audits(50)
    world.lessons(100)
    world.learner.step()
    assert not world.learnt
    world.audits(250)
    world.learner.step()
    assert world.learnt
    assert world.learner.learning(MODEL).trials[0].trial.questions == 300


def test_while_the_alarm_of_the_assigned_pair_rings_a_head_need_not_beat_what_that_would_answer(world: World) -> None:
    rung = SimpleNamespace(alarmed=True, facts=lambda: SimpleNamespace(report=SimpleNamespace(alarm_since=500.0)))
    world.given.watch = rung  # type: ignore[assignment]  # one that rings
    holdout = JournalHoldout(world.journal, lambda _: world.given)
    world.audits(260, passes=True)
    before = holdout.mark(MODEL, world.version.digest)
    world.lessons(200, labels=(*LABELS, *NEW))
    world.learner.step()
    assert world.learnt
    assert world.learner.learning(MODEL).trials[0].trial.given_up == 0
    held = holdout.held_out(MODEL, world.version.digest, TOP)
    assert held is not None
    assert held.known.all()
    assert not held.passes.any()
    world.given.watch = None
    assert holdout.mark(MODEL, world.version.digest) != before, "regional heads are counted anew"


def test_it_asks_for_audits_until_the_holdout_is_large_enough(world: World) -> None:
    assert world.learner.keeper.share(MODEL) == SECTION.holdout
    assert world.learner.keeper.share("other") == 0.0
    world.audits(WANTED)
    world.lessons(30)
    world.learner.step()
    assert world.learner.keeper.share(MODEL) == 0.0
    make_version(world.folder, "2", 0.5)
    world.version = open_version(world.folder / "version-2", world.folder / "state")
    world.slots.put(world.plain(), Path())
    world.learner.step()
    assert world.learner.keeper.share(MODEL) == SECTION.holdout, "of another version nothing is held out yet"


def test_what_goes_up_is_told_by_lessons_whatever_share_of_questions_is_audited(world: World) -> None:
    world.learn()
    key = Key(MODEL, world.version.digest, TOP)
    world.clock.now += 1.0
    world.lessons(350)  # of 500 that went up
    world.audits(100, rate=0.02, draw=0.01)  # of 5,000 that were asked

    def rising() -> float:
        course = world.learner._courses[MODEL]
        return world.learner._examiner.progress(MODEL, course, key).rising

    assert rising() == pytest.approx(0.1)
    world.audits(1500)  # of 5,000 more
    assert rising() == pytest.approx(0.05)


def test_what_can_not_be_held_out_is_counted_and_nobody_waits_for_it(world: World) -> None:
    world.journal.close()
    world.learner.keeper.judged([world.verdict() for _ in range(7)], "")
    assert world.learner.keeper.lost == 7


def test_the_holdout_is_bounded_to_the_newest(world: World) -> None:
    world.audits(MOST + 20)
    assert world.learner.learning(MODEL).held_out == MOST


def test_holdouts_of_many_models_leave_each_other_alone_and_of_one_the_newest_versions_are_kept(world: World) -> None:
    asked = [("many", str(number)) for number in range(MOST_VERSIONS + 2)]
    asked += [(f"model-{number}", "1") for number in range(2 * MOST_VERSIONS)] * 2
    for model, version in asked:
        world.audits(1, model=model, version_digest=version)

    def held(model: str, version: str) -> int:
        key = Key(model, version, TOP)
        return world.journal.read(lambda connection: count(connection, key))

    assert [held("many", str(number)) for number in range(MOST_VERSIONS + 2)] == [0] * 2 + [1] * MOST_VERSIONS
    assert {held(f"model-{number}", "1") for number in range(2 * MOST_VERSIONS)} == {2}


@pytest.mark.parametrize("promote", [True, False])
def test_promotions_can_be_switched_off(tmp_path: Path, promote: bool) -> None:
    world = World(tmp_path, replace(SECTION, promote=promote))
    world.learn()
    assert world.learnt is promote
    assert (world.learner.keeper.share(MODEL) > 0.0) is promote
    world.close()


def test_a_version_without_a_prior_or_with_that_of_another_says_so(world: World) -> None:
    world.prior = None
    world.learn()
    assert world.learner.learning(MODEL).why == NO_PRIOR
    world.prior = nothing(9, LABELS)
    world.learner.step()
    assert world.learner.learning(MODEL).why == "its prior is on an embedding of 9; expected 4"
    assert not world.learnt


def test_without_a_promise_nothing_is_tried(tmp_path: Path) -> None:
    world = World(tmp_path, replace(SECTION, max_loss=0.0))
    world.learn()
    assert "set learning.max_loss" in world.learner.learning(MODEL).why
    assert world.learner.keeper.share(MODEL) == 0.0
    world.close()


def test_lessons_of_a_version_that_is_gone_and_embeddings_of_another_width_teach_nothing(world: World) -> None:
    retired = "sha256:" + "3" * 64
    made = [world.lesson(NEW[0], world.rng.normal(size=4).astype(np.float16)) for _ in range(30)]
    world.book.offer([replace(one, version_digest=retired) for one in made])
    world.learner.keeper.judged([replace(world.verdict(), embedding=np.zeros(9, np.float32)) for _ in range(300)], "")
    world.lessons(60)
    world.learner.step()
    assert world.learner.learning(MODEL).lessons == 60
    assert not world.learnt
    world.audits(260)
    world.lessons(40)
    world.learner.step()
    assert world.learnt
    assert world.learner.learning(MODEL).trials[0].trial.questions == 260


def test_a_promotion_that_the_disk_refuses_changes_nothing_but_the_count_of_attempts(world: World) -> None:
    blocked = world.folder / "state" / ".refined.json.new"
    blocked.mkdir()
    world.learn()
    assert not world.learnt
    learning = world.learner.learning(MODEL)
    assert (learning.attempts, [one.promoted for one in learning.trials]) == (1, [False])
    blocked.rmdir()
    world.lessons(40)
    world.learner.step()
    assert world.learnt
    assert world.learner.learning(MODEL).attempts == 2


def test_who_holds_during_a_promotion_waits_for_it_and_then_nothing_is_promoted(world: World) -> None:
    begun, go_on, holding, done = (threading.Event() for _ in range(4))
    keep = world.heads.put

    def slowly(data: bytes) -> str:
        begun.set()
        assert go_on.wait(120)
        return keep(data)

    world.heads.put = slowly  # type: ignore[method-assign]  # a slow disk
    learns = threading.Thread(target=world.learn)
    learns.start()
    assert begun.wait(120)
    holds = threading.Thread(target=lambda: (holding.set(), world.learner.hold(MODEL, True), done.set()))
    holds.start()
    assert holding.wait(120)
    assert not done.wait(0.05)
    go_on.set()
    learns.join(120)
    holds.join(120)
    assert done.is_set()
    assert not learns.is_alive()
    assert world.learnt
    head = world.answering.policy.document.head
    world.lessons(200)
    world.audits(400)
    world.learner.step()
    assert world.answering.policy.document.head == head


def test_a_fixed_seed_reproduces_the_whole_course(tmp_path: Path) -> None:
    courses = []
    for name in ("one", "other"):
        world = World(tmp_path / name, seed=9)
        for _ in range(8):
            world.lessons(20)
            world.audits(60)
            world.learner.step()
        learning = world.learner.learning(MODEL)
        courses.append([(one.head, one.lessons, one.promoted, one.trial) for one in learning.trials])
        world.close()
    assert courses[0] == courses[1]
    assert len(courses[0]) >= 2
    assert sum(promoted for _, _, promoted, _ in courses[0]) >= 1
