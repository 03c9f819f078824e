"""The auditor over a real journal and a top that the test plays: nobody waits, everything is judged once."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.agent_process import until
from tests.heads import REPORT, loader_in
from tests.versions import make_version
from upriver.errors import DiskTrouble
from upriver.parameters import Mode, Reason
from upriver.policies import Basis, Certificate, Form, rules_digest
from upriver.tensors import Tensor
from upriver_agent.auditing.asking import Refused
from upriver_agent.auditing.auditor import FILE, FOR_NOBODY, OFF, TOP, Auditor
from upriver_agent.auditing.case import Verdict
from upriver_agent.auditing.intake import MOST_REQUESTS, Inbox
from upriver_agent.auditing.listening import Listener
from upriver_agent.auditing.store import Waiting
from upriver_agent.envelope import CallerOptions
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.monitoring.settings import AuditsSection
from upriver_agent.place import Place
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.loader import Loader
from upriver_agent.serving.request import InferRequest
from upriver_agent.telemetry import Telemetry
from upriver_agent.versions import open_version
from upriver_agent.versions.manifest import TaskKind

DEVICE = Place("me", "device", "eu", ("device", "edge", "cloud"))
ALL = AuditsSection(rate=1.0, max_rate=1.0, per_s=10_000.0, target=0.005)


class Top:
    """Plays the top: gives `label` as its answer, or nothing while it is away."""

    def __init__(self, away: bool = False, label: int | None = None) -> None:
        self.away, self.label = away, label
        self.asked: list[list[tuple[str, int]]] = []
        self.held = threading.Event()
        self.held.set()
        self.never = ""
        """How the id of a question begins that it refuses, with whatever comes together with it."""

    def near(self, model: str) -> bool:
        return True

    def version_of(self, agent: str, model: str) -> str:
        return ""

    def ask(self, cases: Sequence[Waiting], stopped: Any) -> Answers | None:
        assert self.held.wait(60)
        if self.away:
            return None
        if self.label == -1 or (self.never and any(one.question.startswith(self.never) for one in cases)):
            raise Refused("no")
        self.asked.append([(one.question, one.row) for one in cases])
        labels = tuple(f"class-{index}" for index in range(10))
        scores = np.zeros((len(cases), 10))
        scores[:, self.label or 0] = 1.0
        fact = RowFacts("cloud-1", "cloud", 1.0, True, Reason.TOP, False, ("cloud-1",), "sha256:top")
        return Answers({"probabilities": scores}, (fact,) * len(cases), labels, "probabilities")


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    return loader_in(tmp_path_factory.mktemp("loader"))


@pytest.fixture
def loaded(loader: Loader, tmp_path: Path) -> LoadedVersion:
    return loader(make_version(tmp_path, "v", 0.0))


class Auditors:
    """Makes auditors on one state folder, and closes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Auditor] = []
        self.told: list[str] = []

    def __call__(
        self,
        top: Top,
        settings: AuditsSection = ALL,
        place: Place = DEVICE,
        listener: Listener | None = None,
        watched: LoadedVersion | None = None,
    ) -> Auditor:
        """`watched` is watched before anything is asked, as agents have it."""
        auditor = Auditor(
            self.folder,
            place,
            settings,
            top,
            None,
            Telemetry("me", place.tier, "eu", 0.0),
            lambda: self.told.append("changed"),
            listener,
        )
        self.made.append(auditor)
        auditor.open()
        if watched is not None:
            auditor.watch(watched)
        auditor.start()
        return auditor


@pytest.fixture
def auditors(tmp_path: Path) -> Iterator[Auditors]:
    made = Auditors(tmp_path / "state")
    yield made
    for one in made.made:
        one.close()


ME = RowFacts("me", "device", 0.9, True, Reason.CONFIDENT, False, ("me",), "")


def answer(
    loaded: LoadedVersion,
    number: int,
    rows: int = 1,
    options: CallerOptions | None = None,
    fact: RowFacts = ME,
) -> None:
    """Has a version answer a question, and the coin tossed for it; `fact` says who answered in the end."""
    image = np.random.default_rng(number).random((rows, 14, 14, 1), dtype=np.float32)
    request = InferRequest("pattern", "", "", {"image": Tensor("image", "FP32", image)}, options or CallerOptions())
    prediction = loaded.predict({"image": image}, rows)
    confidence = loaded.score(prediction)
    answers = Answers(dict(prediction.outputs), (fact,) * rows, loaded.form.labels, loaded.form.scores_output)
    assert loaded.watch is not None
    loaded.watch.notice(
        loaded,
        request,
        {"image": image},
        number,
        "",
        (),
        True,
        None,
        prediction,
        confidence,
        answers,
    )


def waiting_in(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return int(connection.execute("SELECT count(*) FROM cases").fetchone()[0])


def audits(loaded: LoadedVersion) -> int:
    assert loaded.watch is not None
    return loaded.watch.facts().report.audits


def test_an_answer_waits_for_nobody_though_the_top_takes_for_ever(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top()
    top.held.clear()
    auditor = auditors(top)
    auditor.watch(loaded)
    for number in range(MOST_REQUESTS):
        answer(loaded, number)  # all on this thread, while the top answers none
    assert top.asked == []
    assert audits(loaded) == 0
    top.held.set()
    until(lambda: audits(loaded) == MOST_REQUESTS, 60)


def test_rows_of_a_batch_are_asked_in_one_call_and_judged_once(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top()
    auditors(top).watch(loaded)
    answer(loaded, 1, rows=5)
    until(lambda: audits(loaded) == 5)
    assert [len(call) for call in top.asked] == [5]
    assert [row for _, row in top.asked[0]] == [0, 1, 2, 3, 4]


def test_what_waits_is_judged_once_by_whoever_starts_next(auditors: Auditors, loaded: LoadedVersion) -> None:
    first = auditors(Top(away=True))
    first.watch(loaded)
    for number in range(8):
        answer(loaded, number)
    until(lambda: loaded.watch is not None and loaded.watch.facts().waiting == 8)
    first.close()
    loaded.watch = None
    top = Top()
    auditors(top, watched=loaded)
    until(lambda: audits(loaded) == 8)
    auditors.made[-1].close()
    loaded.watch = None
    third = Top()
    auditors(third, watched=loaded)
    assert audits(loaded) == 8
    assert sum(map(len, top.asked)) == 8
    assert third.asked == []


def test_the_alarm_rings_stays_and_is_told_and_another_pair_has_none(
    auditors: Auditors, loaded: LoadedVersion, loader: Loader, tmp_path: Path
) -> None:
    top = Top(label=9)
    auditor = auditors(top)
    auditor.watch(loaded)
    for number in range(20):
        answer(loaded, number)
    until(lambda: loaded.watch is not None and loaded.watch.alarmed)
    until(lambda: auditors.told == ["changed"])
    other = loader(make_version(tmp_path, "w", 0.0))
    auditor.watch(other)
    assert other.watch is not None
    assert not other.watch.alarmed
    again = loader(tmp_path / "version-v")
    auditor.watch(again)
    assert again.watch is loaded.watch, "the same pair, loaded anew, has the alarm that it had"


def test_a_certified_policy_is_watched_though_there_is_no_target_and_no_control_plane(
    auditors: Auditors, loader: Loader, tmp_path: Path
) -> None:
    version = open_version(make_version(tmp_path, "v", 0.0), tmp_path)
    plain = version.manifest.policy_document(version.digest)
    digest = "sha256:" + "2" * 64
    certificate = Certificate(
        Form.PER_TIER, Basis.TOP, 0.004, 0.05, 5000, 3, 0.8, 0.4, digest, rules_digest(plain), digest
    )
    certified = loader.warm(version, REPORT, replace(plain, certificate=certificate))
    auditors(Top(label=9), AuditsSection(rate=1.0, max_rate=1.0, per_s=1e4)).watch(certified)
    for number in range(20):
        answer(certified, number)
    until(lambda: certified.watch is not None and certified.watch.alarmed)
    assert certified.watch is not None
    report = certified.watch.facts().report
    assert report.watched
    assert report.note == ""


def test_a_refused_question_is_given_up_and_counted(auditors: Auditors, loaded: LoadedVersion) -> None:
    auditors(Top(label=-1)).watch(loaded)
    answer(loaded, 1, rows=2)
    until(lambda: loaded.watch is not None and loaded.watch.facts().dropped == 2)
    assert audits(loaded) == 0


def test_questions_that_have_come_together_are_asked_in_one_call(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top()
    top.held.clear()
    auditors(top, watched=loaded)
    for number in range(9):
        answer(loaded, number)
    until(lambda: waiting_in(auditors.folder) == 9)
    top.held.set()
    until(lambda: audits(loaded) == 9)
    assert len(top.asked) <= 2  # the one that was under way, and all others
    assert len({question for call in top.asked for question, _ in call}) == 9


def test_a_question_that_is_refused_takes_none_with_it(auditors: Auditors, loaded: LoadedVersion) -> None:
    first = auditors(Top(away=True), watched=loaded)
    for number in range(4):
        answer(loaded, number)
    until(lambda: waiting_in(auditors.folder) == 4)
    first.close()
    loaded.watch = None
    top = Top()
    top.never = f"q-{2:016x}-"
    auditors(top, watched=loaded)
    until(lambda: audits(loaded) == 3)
    until(lambda: loaded.watch is not None and loaded.watch.facts().dropped == 1)
    assert waiting_in(auditors.folder) == 0


def test_a_top_that_goes_away_between_questions_that_are_asked_apart_is_not_asked_about_all_of_them(
    auditors: Auditors, loaded: LoadedVersion
) -> None:
    first = auditors(Top(away=True), watched=loaded)
    for number in range(4):
        answer(loaded, number)
    until(lambda: waiting_in(auditors.folder) == 4)
    first.close()

    class Leaves(Top):
        calls = 0

        def ask(self, cases: Sequence[Waiting], stopped: Any) -> Answers | None:
            self.calls += 1
            self.never = "q-" if len(cases) > 1 else ""
            self.away = self.calls > 2
            return super().ask(cases, stopped)

    top = Leaves()
    telemetry = Telemetry("me", DEVICE.tier, "eu", 0.0)
    second = Auditor(auditors.folder, DEVICE, ALL, top, None, telemetry, lambda: None)
    auditors.made.append(second)
    second.open()
    loaded.watch = None
    second.watch(loaded)
    assert second._ask_next() == 1
    assert top.calls == 3  # all together, the first, and the second in vain
    assert waiting_in(auditors.folder) == 3


def test_what_the_top_answered_already_is_not_asked_again(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top(away=True)
    auditor = auditors(top)
    auditor.watch(loaded)
    image = np.zeros((3, 14, 14, 1), np.float32)
    prediction = loaded.predict({"image": image}, 3)
    facts = [
        RowFacts(agent, tier, 0.9, True, Reason.CONFIDENT, False, ("me", agent), "sha256:p", fused)
        for agent, tier, fused in (("cloud-1", "cloud", False), ("edge-1", "edge", False), ("cloud-1", "cloud", True))
    ]
    answers = Answers(dict(prediction.outputs), facts, loaded.form.labels, loaded.form.scores_output)
    request = InferRequest("pattern", "", "", {"image": Tensor("image", "FP32", image)}, CallerOptions())
    assert loaded.watch is not None
    loaded.watch.notice(
        loaded,
        request,
        {"image": image},
        5,
        "q-1",
        (),
        True,
        None,
        prediction,
        loaded.score(prediction),
        answers,
    )
    until(lambda: audits(loaded) == 1, what="the row that the top answered")
    # The tier between is not the top, and what the top has fused with answers from below is not its own.
    until(lambda: loaded.watch is not None and loaded.watch.facts().waiting == 2, what="the other rows")


def test_what_a_caller_keeps_from_the_top_is_not_asked(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top()
    auditors(top).watch(loaded)
    answer(loaded, 1, options=CallerOptions(max_tier="edge"))
    answer(loaded, 2, options=CallerOptions(mode=Mode.TOP))
    until(lambda: audits(loaded) == 1)
    assert sum(map(len, top.asked)) == 1


def test_where_nothing_can_be_audited_the_reason_is_told(auditors: Auditors, loaded: LoadedVersion) -> None:
    for settings, place, reason in (
        (AuditsSection(enabled=False, target=0.01), DEVICE, OFF),
        (ALL, Place("me", "cloud", "eu", DEVICE.tiers), TOP),
        (AuditsSection(), DEVICE, FOR_NOBODY),
    ):
        auditors(Top(), settings, place).watch(loaded)
        assert loaded.watch is None
        assert loaded.unwatched == reason


def test_a_verdict_that_can_not_be_kept_does_not_count(auditors: Auditors, loaded: LoadedVersion) -> None:
    top = Top(away=True)
    auditor = auditors(top)
    auditor.watch(loaded)
    answer(loaded, 1)
    until(lambda: loaded.watch is not None and loaded.watch.facts().waiting == 1)
    refusing = threading.Event()
    refusing.set()
    write = auditor._journal.write

    def failing(change: Any) -> Any:
        if refusing.is_set():
            raise DiskTrouble("full")
        return write(change)

    auditor._journal.write = failing
    top.away = False
    until(lambda: len(top.asked) >= 2, what="a second try")
    assert audits(loaded) == 0
    refusing.clear()
    until(lambda: audits(loaded) == 1, what="the verdict")


def test_a_full_inbox_drops_what_comes_and_counts_it() -> None:
    inbox = Inbox()
    taken = SimpleNamespace(arrays={"image": np.zeros((1, 14, 14, 1), np.float32)}, audited=np.arange(3))
    for _ in range(MOST_REQUESTS + 2):
        inbox.put(taken)
    assert inbox.dropped == 6
    assert inbox.get(0.0) is taken
    inbox.put(taken)
    assert inbox.dropped == 6


class Hears:
    """Plays who learns: wants a share of all questions audited, and keeps what was found."""

    def __init__(self, wanted: float = 0.0) -> None:
        self.wanted = wanted
        self.heard: list[Verdict] = []
        self.asked: list[LoadedVersion] = []

    def wants(self, loaded: LoadedVersion) -> bool:
        self.asked.append(loaded)
        return self.wanted > 0.0

    def share(self, model: str) -> float:
        return self.wanted

    def judged(self, verdicts: Sequence[Verdict], top_version: str) -> None:
        self.heard += verdicts


def test_who_learns_is_told_of_verdicts_with_the_embedding_as_it_was(auditors: Auditors, loaded: LoadedVersion) -> None:
    hears = Hears()
    auditors(Top(label=3), listener=hears).watch(loaded)
    answer(loaded, 7, rows=2)
    until(lambda: len(hears.heard) == 2)
    image = np.random.default_rng(7).random((2, 14, 14, 1), dtype=np.float32)
    found = loaded.predict({"image": image}, 2)
    assert isinstance(found, Prediction), "a small model answers at once"
    assert found.embedding is not None
    for row, verdict in enumerate(hears.heard):
        assert verdict.embedding is not None
        assert verdict.embedding.tobytes() == found.embedding[row].tobytes()
        assert verdict.top_answer == "class-3"
        assert verdict.top_policy_digest == "sha256:top"
        assert (verdict.case.teacher, verdict.case.teacher_answer) == ("", "")


def test_what_a_tier_between_answered_is_told_beside_what_the_top_says(
    auditors: Auditors, loaded: LoadedVersion
) -> None:
    hears = Hears()
    auditors(Top(label=3), listener=hears).watch(loaded)
    answer(loaded, 7, fact=ME._replace(agent="edge-1", tier="edge", policy="sha256:edge"))
    answer(loaded, 8, fact=ME._replace(agent="edge-1", tier="edge", resolved=False))
    answer(loaded, 9, fact=ME._replace(agent="person", tier="person"))  # who may know better than the top
    until(lambda: len(hears.heard) == 3)
    taught, left_open, person = sorted(hears.heard, key=lambda verdict: verdict.case.teacher, reverse=True)
    assert (taught.case.teacher, taught.case.teacher_policy) == ("edge-1", "sha256:edge")
    assert taught.case.teacher_answer in loaded.form.labels
    assert (left_open.case.teacher, person.case.teacher) == ("", "")


def test_a_tier_between_that_answers_what_is_no_classifier_s_is_not_held_against_the_top(
    auditors: Auditors, loaded: LoadedVersion
) -> None:
    """Two honest detectors or numbers are never equal to the bit, and nobody is taught by them."""
    hears = Hears()
    manifest = loaded.version.manifest
    task = replace(manifest.task, kind=TaskKind.SCALAR)
    loaded.version = replace(loaded.version, manifest=replace(manifest, task=task))
    auditors(Top(label=3), listener=hears).watch(loaded)
    answer(loaded, 7, fact=ME._replace(agent="edge-1", tier="edge", policy="sha256:edge"))
    until(lambda: len(hears.heard) == 1)
    assert hears.heard[0].case.teacher == ""


def test_who_learns_has_its_share_audited_of_a_pair_that_nobody_else_watches(
    auditors: Auditors, loaded: LoadedVersion
) -> None:
    settings = AuditsSection(rate=0.0, max_rate=0.0, per_s=10_000.0)
    auditors(Top(), settings).watch(loaded)
    assert (loaded.watch, loaded.unwatched) == (None, FOR_NOBODY)
    hears = Hears(wanted=0.25)
    auditors(Top(), settings, listener=hears).watch(loaded)
    assert loaded.watch is not None
    assert loaded.watch.rate == loaded.watch.facts().report.rate == 0.25


def test_nothing_more_is_audited_for_who_learns_while_much_waits(auditors: Auditors, loaded: LoadedVersion) -> None:
    settings = AuditsSection(rate=0.0, max_rate=0.0, per_s=10_000.0)
    top = Top(away=True)
    auditors(top, settings, listener=Hears(wanted=1.0), watched=loaded)
    for number in range(4):
        answer(loaded, number, rows=64)
    until(lambda: loaded.watch is not None and loaded.watch.rate == 0.0)
    top.away = False
    until(lambda: loaded.watch is not None and loaded.watch.rate == 1.0)


def test_who_learns_is_asked_about_a_pair_that_a_control_plane_has_audited_anyway(
    auditors: Auditors, tmp_path: Path, loaded: LoadedVersion
) -> None:
    hears = Hears(wanted=0.25)
    delivery: Any = SimpleNamespace(start=lambda: None, close=lambda: None)
    telemetry = Telemetry("me", DEVICE.tier, "eu", 0.0)
    settings = AuditsSection(rate=0.0, max_rate=0.0, per_s=10_000.0)
    auditor = Auditor(
        tmp_path / "state", DEVICE, settings, Top(), lambda journal: delivery, telemetry, lambda: None, hears
    )
    auditors.made.append(auditor)
    auditor.open()
    auditor.watch(loaded)
    assert hears.asked == [loaded]
    assert loaded.watch is not None
    assert loaded.watch.rate == 0.25
