"""Refined pairs that answer: at once, on the base's interpreters, over restarts, and never against what is assigned."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.heads import REPORT, head_for, loader_in, policy_with, version_with_embedding
from upriver.errors import DiskTrouble, ModelInvalid, NotNow
from upriver.heads import Head, write_head
from upriver.listing import digest as digest_of
from upriver.policies import write_policy
from upriver_agent.monitoring.monitor import Report
from upriver_agent.policy import make_policy
from upriver_agent.predictor import Prediction
from upriver_agent.refinement import REPLACED, UNLOADED
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refined_record import save
from upriver_agent.serving.refiner import ALARM, Refiner, base_of
from upriver_agent.serving.slots import Slots
from upriver_agent.serving.statistics import count
from upriver_agent.serving.watch import Watch, WatchFacts
from upriver_agent.versions import Version
from upriver_agent.versions.head_store import SPARE, HeadStore

ROW = {"image": np.ones((1, 14, 14, 1), np.float32)}


class Here:
    """An agent's slots with one version in them, and what refines it; `again` is the next start."""

    def __init__(self, folder: Path, version: Version) -> None:
        self.folder, self.version = folder, version
        self.changes = 0
        self.rings: set[str] = set()
        self.again()

    def again(self, policy: float | None = None) -> None:
        self.loader = loader_in(self.folder)
        self.slots = Slots(lambda _: self.plain())
        self.slots.activating = self.watch
        self.heads = HeadStore(self.folder / "state")
        self.refiner = Refiner(self.folder / "state", self.loader, self.slots, self.heads, self.changed, lambda: 7.0)
        self.slots.put(self.plain(policy), Path())
        self.refiner.recover()

    def plain(self, threshold: float | None = None) -> LoadedVersion:
        policy = self.version.manifest.policy_document(self.version.digest)
        if threshold is not None:
            policy = replace(policy, threshold=threshold)
        return self.loader.warm(self.version, REPORT, policy)

    def changed(self) -> None:
        self.changes += 1

    def watch(self, loaded: LoadedVersion) -> None:
        facts = WatchFacts(Report("", True, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, ()))
        loaded.watch = Watch(lambda _: None, lambda _: None, lambda: facts)
        loaded.watch.alarmed = loaded.policy.digest in self.rings

    def promote(self, head: Head, threshold: float = 0.5) -> None:
        policy = policy_with(self.version, head, threshold)
        given = self.slots.given("pattern")
        assert given is not None
        self.refiner.promote("pattern", base_of(given), policy, write_head(head), 12, 3)

    @property
    def answering(self) -> LoadedVersion:
        return self.slots.active("pattern")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path, version_with_embedding(tmp_path))


def predicted(loaded: LoadedVersion) -> Prediction:
    found = loaded.predict(ROW, 1)
    assert isinstance(found, Prediction)
    return found


def test_a_refined_pair_answers_by_its_head_on_the_interpreters_of_its_base(here: Here) -> None:
    base, head = here.answering, head_for(here.version, 1, ["new"])
    before = predicted(base)
    here.promote(head)
    refined = here.answering
    assert refined.interpreters is base.interpreters
    found = predicted(refined)
    assert found.embedding is not None
    np.testing.assert_array_equal(found.embedding, before.embedding)
    assert found.scores is not None
    assert found.scores.shape == (1, 11)
    assert refined.form.labels == (*here.version.labels, "new")
    assert [spec.shape for spec in refined.outputs if spec.name == refined.form.scores_output] == [(11,)]
    assert refined.fixed_outputs == base.fixed_outputs
    assert here.slots.given("pattern") is base
    assert here.changes == 1
    assert count(base).executions == 2, "what it does counts as its base's"


def test_going_back_needs_no_load_and_says_why(here: Here) -> None:
    base = here.answering
    here.promote(head_for(here.version, 1))
    assert here.refiner.revert("pattern", "an operator wants it")
    assert here.answering is base
    predicted(base)
    standing = here.refiner.standing("pattern")
    assert standing.refined is None
    assert standing.ended is not None
    assert (standing.ended.why, standing.ended.at) == ("an operator wants it", 7.0)
    assert not here.refiner.revert("pattern", "again")


def test_a_start_finds_the_refined_pair(here: Here) -> None:
    head = head_for(here.version, 1, ["new"])
    here.promote(head, 0.75)
    here.again()
    assert here.answering.form.labels[-1] == "new"
    assert here.answering.policy.threshold == 0.75
    refined = here.refiner.standing("pattern").refined
    assert refined is not None
    assert (refined.lessons, refined.attempt, refined.since) == (12, 3, 7.0)
    here.refiner.revert("pattern", "no")
    here.again()
    assert here.answering.head is None


def test_what_is_put_there_next_answers_by_itself(here: Here) -> None:
    here.promote(head_for(here.version, 1))
    here.slots.put(here.plain(0.25), Path())
    assert here.answering.policy.threshold == 0.25
    standing = here.refiner.standing("pattern")
    assert standing.ended is not None
    assert standing.ended.why == REPLACED
    here.again()
    assert here.answering.head is None, "also after a start with the old pair"


@pytest.mark.parametrize("how", ["load", "reload", "unload"])
def test_who_loads_reloads_or_unloads_a_model_drops_what_was_learnt(here: Here, how: str) -> None:
    here.promote(head_for(here.version, 1))
    acts: dict[str, Callable[[], object]] = {
        "load": lambda: here.slots.load(Path()),
        "reload": lambda: here.slots.reload("pattern"),
        "unload": lambda: here.slots.unload("pattern"),
    }
    acts[how]()
    standing = here.refiner.standing("pattern")
    assert standing.refined is None
    assert standing.ended is not None
    assert standing.ended.why == (UNLOADED if how == "unload" else REPLACED)
    if how == "unload":
        assert here.refiner.current("pattern") is None
        here.slots.reload("pattern")
    assert here.answering.head is None


def test_a_start_with_another_base_drops_what_was_learnt(here: Here) -> None:
    here.promote(head_for(here.version, 1))
    here.again(policy=0.125)
    assert here.answering.policy.threshold == 0.125
    here.again()
    assert here.answering.head is None


def test_what_was_refined_from_something_else_is_refused(here: Here) -> None:
    head = head_for(here.version, 1)
    base = base_of(here.answering)
    here.slots.put(here.plain(0.25), Path())
    with pytest.raises(NotNow, match="no longer there"):
        here.refiner.promote("pattern", base, policy_with(here.version, head), write_head(head), 1, 1)
    assert here.answering.head is None


def test_a_head_that_does_not_fit_changes_nothing(here: Here) -> None:
    head, other = head_for(here.version, 1), head_for(here.version, 2)
    here.promote(head)
    before = here.answering
    with pytest.raises(ModelInvalid):
        here.refiner.promote(
            "pattern",
            base_of(here.slots.given("pattern") or before),
            policy_with(here.version, other),
            write_head(head_for(here.version, 3)),
            1,
            4,
        )
    assert here.answering is before


def test_the_alarm_of_a_refined_pair_brings_back_its_base(here: Here) -> None:
    base = here.answering
    here.promote(head_for(here.version, 1))
    watch = here.answering.watch
    assert watch is not None
    here.refiner.look()
    assert here.answering is not base
    watch.alarmed = True
    here.refiner.look()
    assert here.answering is base
    ended = here.refiner.standing("pattern").ended
    assert ended is not None
    assert ended.why == ALARM


def test_the_alarm_of_a_pair_does_not_end_the_one_that_was_promoted_while_it_was_looked_at(here: Here) -> None:
    here.promote(head_for(here.version, 1))
    next_one = head_for(here.version, 2)
    promotes = threading.Thread(target=here.promote, args=(next_one,))

    class Rings:
        @property
        def alarmed(self) -> bool:
            promotes.start()
            promotes.join(0.3)
            return True

    here.answering.watch = Rings()  # type: ignore[assignment]  # it rings just when another is promoted
    here.refiner.look()
    promotes.join(120)
    refined = here.refiner.standing("pattern").refined
    assert refined is not None, "the next one answers, and goes by audits of its own"
    assert here.answering.policy.document.head == digest_of(write_head(next_one))


def test_a_pair_whose_alarm_has_rung_does_not_answer_again(here: Here) -> None:
    head = head_for(here.version, 1)
    here.promote(head)
    here.rings.add(here.answering.policy.digest)
    here.again()
    assert here.answering.head is None, "the process ended between the alarm and the way back"
    with pytest.raises(NotNow, match="alarm"):
        here.promote(head)
    assert here.answering.head is None
    predicted(here.answering)


def test_a_disk_that_fails_keeps_the_pair_that_answers(here: Here) -> None:
    here.promote(head_for(here.version, 1))
    before = here.answering
    (here.folder / "state/.refined.json.new").mkdir()
    with pytest.raises(DiskTrouble):
        here.promote(head_for(here.version, 2))
    assert here.answering is before
    assert here.refiner.revert("pattern", "no"), "going back needs no disk"
    assert here.answering.head is None


@pytest.mark.parametrize("damage", ["{", '{"format": 2}', '{"format": 1, "models": {"pattern": {}}}', "[]"])
def test_a_damaged_record_is_no_record(here: Here, damage: str) -> None:
    here.promote(head_for(here.version, 1))
    (here.folder / "state/refined.json").write_text(damage)
    here.again()
    assert here.answering.head is None


def test_a_head_that_is_damaged_on_disk_is_not_used(here: Here) -> None:
    head = head_for(here.version, 1)
    here.promote(head)
    digest = policy_with(here.version, head).head.removeprefix("sha256:")
    (here.folder / "state/heads" / digest).write_bytes(b"upriver-head 1\n{}\n")
    here.again()
    assert here.answering.head is None
    ended = here.refiner.standing("pattern").ended
    assert ended is not None
    assert "damaged" in ended.why


def test_heads_that_nobody_names_go_but_for_the_newest(here: Here) -> None:
    first = head_for(here.version, 0)
    here.promote(first)
    for seed in range(1, SPARE + 4):
        here.heads.put(write_head(head_for(here.version, seed)))
    here.heads.prune()
    assert len(here.heads.all()) == SPARE + 1
    assert policy_with(here.version, first).head in here.heads.all()


def test_the_record_is_whole_at_any_time(here: Here) -> None:
    for seed in range(3):
        here.promote(head_for(here.version, seed))
        kept = json.loads((here.folder / "state/refined.json").read_text())
        document = kept["models"]["pattern"]["refined"]["document"]
        assert json.loads(document)["head"] in here.heads.all()


def test_a_process_that_ends_between_two_writes_leaves_the_old_pair_or_the_new_one(here: Here) -> None:
    first, second = head_for(here.version, 1), head_for(here.version, 2)
    here.promote(first)
    kept = here.refiner.standing("pattern")
    assert kept.refined is not None
    state = here.folder / "state"

    here.heads.put(write_head(second))  # the head is kept, and nobody speaks of it yet
    (state / "heads/.new").write_bytes(b"upriver-head 1\n{")
    (state / ".refined.json.new").write_text('{"format": 1, "mod')
    here.again()
    assert here.answering.policy.document.head == policy_with(here.version, first).head

    newer = replace(kept.refined, document=write_policy(policy_with(here.version, second)), attempt=9)
    save(state / "refined.json", {"pattern": replace(kept, refined=newer)})  # kept, and not yet answering
    here.again()
    assert here.answering.policy.document.head == policy_with(here.version, second).head
    assert here.refiner.standing("pattern").refined == newer
    here.promote(first)
    assert here.answering.policy.document.head == policy_with(here.version, first).head


def test_pairs_of_one_version_share_its_interpreters_until_the_last_is_closed(here: Here) -> None:
    one, other = here.plain(0.25), here.plain(0.75)
    assert one.interpreters is other.interpreters
    one.close()
    one.close()
    assert other.interpreters.join(), "one is in use"
    other.interpreters.leave()
    predicted(other)
    predicted(one)
    assert count(other).executions == 1, "each counts its own"
    assert make_policy(one.policy.document).digest != other.policy.digest


def test_interpreters_that_are_closed_are_not_shared(tmp_path: Path) -> None:
    version, loader = version_with_embedding(tmp_path), loader_in(tmp_path)
    first = loader.warm(version, REPORT)
    first.close()
    second = loader.warm(version, REPORT)
    assert second.interpreters is not first.interpreters
    with pytest.raises(NotNow):
        loader.refined(first, policy_with(version, head_for(version, 1)), head_for(version, 1))
