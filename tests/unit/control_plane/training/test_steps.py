"""A training is killed at each step of what follows its work, and goes on where it was: one version, one rollout."""

import asyncio
import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.control_plane_registry import open_registry
from tests.handed_lessons import lesson
from tests.trained_versions import lessons_of, pattern
from tests.versions import LABELS, make_version
from upriver.archive import sums
from upriver.errors import BlobNotFound, InvalidInput, NotFound, QueueFull, Unreachable
from upriver.listing import version_digest
from upriver.questions import RowsWriter
from upriver_control.documents import to_document
from upriver_control.jobs import Job, JobState, Result, Spec, TierResult
from upriver_control.jobs.ladder import Rung
from upriver_control.jobs.training import Evaluation, Executor, Training, TrainResult, TrainSpec, no_better
from upriver_control.lessons.files import TRAININGS, LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.observed import Pair
from upriver_control.store.lessons import LessonTable
from upriver_control.store.questions import QuestionTable
from upriver_control.store.records import Lineage, Requirements, Validation
from upriver_control.store.trainings import SourceKind, SourceTable
from upriver_control.training import finishing
from upriver_control.training.finishing import Following, TrainingBench
from upriver_control.training.order import HOLDOUT, MADE_LESSONS, SOURCE, VERSION, read_order
from upriver_control.training.workshop import TrainingWorkshop
from upriver_control.validation import Verdict
from upriver_control.working.folders import Folders

NOW = 1_790_000_000.0
POLICY = "sha256:" + "7" * 64


class Killed(BaseException):
    """The process ended here."""


class Steps:
    """Ends the process at the step with the number `left`."""

    def __init__(self):
        self.left = None

    def __call__(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class Counting:
    """Something whose calls of some methods are steps, before and after."""

    def __init__(self, inner, steps, *names):
        self._inner, self._steps, self._names = inner, steps, names

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*arguments):
            self._steps()
            made = found(*arguments)
            self._steps()
            return made

        return call


class World:
    """A control plane's parts around a training; `attempts` counts how often it was worked on."""

    def __init__(self, folder, rungs=True):
        self.folder, self.steps, self.attempts = folder, Steps(), 0
        self.threshold, self.missing = 0.7, 0
        self.registry = registry = open_registry(folder / "control")
        self.artifacts = Counting(registry.artifacts, self.steps, "put")
        store = Counting(registry.store, self.steps, "record")
        signer = Counting(registry.repository, self.steps, "publish")
        publisher = replace(
            registry.publisher, store=store, artifacts=self.artifacts, signer=signer, validate=self.validate
        )
        self.publisher = publisher
        self.base, _ = publisher.publish(make_version(folder, "v1", 0.5), "pattern", Lineage())
        self.sources = Counting(SourceTable(registry.store), self.steps, "keep")
        self.keeper = Keeper(
            LessonTable(registry.database), LessonFiles(str(folder / "lessons")), Bounds(), lambda: NOW
        )
        self.told = []
        self.workshop = TrainingWorkshop(
            Folders(folder / "trainings"), publisher, self.artifacts, self.sources, QuestionTable(registry.store),
            self.keeper, clock=lambda: NOW, limits=SimpleNamespace(memory_mib=4096, disk_mib=4096),
            told=self.told.append,
        )  # fmt: skip
        self.calibrations, self.rollouts = {}, {}
        device = Rung("device", Pair(self.base.name, self.base.digest), 1, 1, None)
        cloud = Rung("cloud", Pair("models/pattern/versions/c", "sha256:" + "c" * 64), 1, 1, None)
        self.bench = TrainingBench(
            self.workshop, self, lambda model: (device, cloud) if rungs else (), self.start,
            Following(0.01, 0.99, rollout=True),
        )  # fmt: skip
        self.spec = TrainSpec(self.base.name, self.base.digest, rollout=True)

    def job(self, **more):
        return Training("t1", "pattern", NOW, replace(self.spec, **more))

    def validate(self, folder):
        listed = {path.name: path.read_bytes() for path in folder.iterdir()}
        name = next(line for line in listed["manifest.toml"].decode().splitlines() if line.startswith("version"))
        return Verdict(
            "pattern", name.split('"')[1], "", version_digest(sums(folder)), Requirements(1, "", ()),
            Validation("none", 1.0, 0, "classify", ""),
        )  # fmt: skip

    async def calibrate(self, model, spec: Spec, request_id):
        self.steps()
        assert self.registry.artifacts.has(spec.data)
        made = self.calibrations.setdefault(request_id, Job("c1", model, NOW, spec))
        self.steps()
        return made

    async def get(self, model, job):
        self.steps()
        (made,) = self.calibrations.values()
        tiers = tuple(
            TierResult(tier.tier, tier.version, POLICY if place == 0 else "", self.threshold, missing=self.missing)
            for place, tier in enumerate(made.spec.tiers)
        )
        return replace(made, state=JobState.SUCCEEDED, result=Result(tiers, 10, 10))

    async def start(self, request):
        self.steps()
        made = self.rollouts.setdefault(request.request_id, request)
        self.steps()
        return SimpleNamespace(id=f"r{list(self.rollouts).index(made.request_id)}")

    def work(self, order):
        """What the work would do; it is never the same twice."""
        self.attempts += 1
        made = read_order(order).made
        (made / VERSION).mkdir(parents=True)
        shutil.copytree(make_version(self.folder / f"attempt-{self.attempts}", "new", 0.5), made / VERSION,
                        dirs_exist_ok=True)  # fmt: skip
        manifest = made / VERSION / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('"new"', f'"train-t1-{self.attempts}"'))
        made_of = {"id": ["a", str(self.attempts), "h"], "use": ["train", "train", "holdout"],
                   "trace": ["ab" * 16, "cd" * 16, "ef" * 16], "span": ["", "cd" * 8, "ef" * 8]}  # fmt: skip
        pq.write_table(pa.table(made_of), made / MADE_LESSONS)
        (made / SOURCE).write_bytes(b"keras %d" % self.attempts)
        with (made / HOLDOUT).open("wb") as out, RowsWriter(out) as writer:
            writer.add({"inputs/image": np.full((30, 14, 14, 1), self.attempts, np.float32),
                        "labels": np.asarray(["class-0"] * 30, object)})  # fmt: skip
        result = TrainResult(70, 30, (Evaluation("north", 30, 29, 12),), "sha256:" + "c" * 64, "sha256:" + "d" * 64)
        (made / "result.json").write_text(json.dumps(to_document(result)))

    def go(self, job):
        """One attempt of the runner's."""
        try:
            order = self.bench.prepare(job)
            if order is not None:
                self.work(order)
            return asyncio.run(self.bench.finish(job, lambda doing, share: None))
        finally:
            if self.steps.left is None or self.steps.left >= 0:
                self.bench.clear(job)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.keeper.submit([lesson(f"l{number}", "class-1", model="pattern") for number in range(5)], [])
    yield made
    made.registry.database.close()


def test_what_comes_out_is_published_with_everything_that_it_was_made_of(world):
    result = world.go(world.job())
    version = world.registry.store.version("pattern", result.version.rpartition("/")[2])
    assert version.lineage.parent == world.base.name
    assert "models/pattern/trainings/t1" in version.lineage.training_data
    assert version.lineage.metrics["accuracy/north"] == pytest.approx(29 / 30)
    sources = world.sources.of(version.digest)
    assert set(sources) == {SourceKind.KERAS, SourceKind.LESSONS, SourceKind.RESULT}
    assert sources[SourceKind.LESSONS].digest == result.lessons_digest
    assert (result.calibration, result.rollout) == ("models/pattern/calibrations/c1", "rollouts/r0")
    (note,) = result.notes
    assert "certificate is of held-out lessons" in note
    (spec,) = [job.spec for job in world.calibrations.values()]
    assert (spec.max_loss, spec.confidence) == (0.01, 0.99)  # as is configured, since nothing else was asked for
    assert [tier.version for tier in spec.tiers] == [result.version, "models/pattern/versions/c"]
    (rollout,) = world.rollouts.values()
    assert (rollout.version, rollout.selector) == (result.version, "tier=device")
    assert rollout.policy == "models/pattern/policies/" + "7" * 64
    (told,) = world.told
    assert (told.training, told.model, told.version_digest, told.lessons) == (
        "models/pattern/trainings/t1", "pattern", version.digest, 70,
    )  # fmt: skip
    assert (told.links, told.parts) == ((("cd" * 16, "cd" * 8),), ())  # held-out lessons taught it nothing


def test_what_was_published_before_it_was_killed_is_told_by_who_goes_on(world):
    def dies(trained):
        raise Killed

    bench = world.bench
    world.bench = replace(bench, workshop=replace(world.workshop, told=dies))
    with pytest.raises(Killed):
        world.go(world.job())
    assert len(world.registry.store.versions("pattern", None, 10)) == 2
    assert not world.told
    world.bench = bench
    world.go(world.job())
    assert [told.links for told in world.told] == [(("cd" * 16, "cd" * 8),)]


@pytest.mark.parametrize("step", range(1, 24, 2))
def test_killed_at_any_step_there_is_one_version_in_the_end(world, step):
    world.steps.left = step
    try:
        result = world.go(world.job())
    except Killed:
        world.steps.left = None
        world.workshop.folders.clean()  # as the next process does
        result = world.go(world.job())
    world.steps.left = None
    versions = [one.version for one in world.registry.store.versions("pattern", None, 10)]
    assert versions == [result.version.rpartition("/")[2], "v1"]
    assert len(world.rollouts) == len(world.calibrations) == 1
    assert next(iter(world.rollouts.values())).version == result.version
    version = world.registry.store.version("pattern", versions[0])
    for source in world.sources.of(version.digest).values():
        assert world.registry.artifacts.has(source.digest)
    assert (world.folder / "trainings").exists() is False or not list(world.workshop.folders.own.glob("*/*"))


def test_what_was_never_published_is_let_go_of_with_its_blobs(world):
    world.steps.left = 3  # its sources are kept, and it is not published
    with pytest.raises(Killed):
        world.go(world.job())
    world.steps.left = None
    tables = SourceTable(world.registry.store)
    tables.forget(NOW + 90_000, NOW)
    result = world.go(world.job())
    tables.forget(NOW + 90_000, NOW)
    world.registry.store.sweep(NOW + 200_000, world.registry.artifacts.delete)
    assert world.registry.artifacts.has(result.lessons_digest)
    world.registry.store.delete_version("pattern", result.version.rpartition("/")[2], NOW)
    world.registry.store.sweep(NOW + 200_000, world.registry.artifacts.delete)
    with pytest.raises(BlobNotFound):
        world.registry.artifacts.size(result.lessons_digest)


@pytest.mark.parametrize("step", range(1, 18))
def test_killed_at_any_step_and_never_begun_again_it_leaves_no_blob_that_nothing_holds(world, step):
    before = set(world.registry.artifacts.digests())
    world.steps.left = step
    try:
        result = world.go(world.job())
    except Killed:
        result = None
    world.steps.left = None
    store, later = world.registry.store, NOW + 200_000
    SourceTable(store).forget(later, later)
    QuestionTable(store).forget(later)
    store.sweep(2 * later, world.registry.artifacts.delete)
    left = set(world.registry.artifacts.digests()) - before
    published = [one for one in store.versions("pattern", None, 10) if one.version != "v1"]
    held = {digest for one in published for digest in one.blobs()}
    held |= {source.digest for one in published for source in world.sources.of(one.digest).values()}
    assert left == held
    assert result is None or published


def test_without_a_fleet_it_is_published_and_that_is_said(tmp_path):
    world = World(tmp_path, rungs=False)
    world.keeper.submit([lesson("l", "class-1", model="pattern")], [])
    result = world.go(world.job())
    assert result.version.startswith("models/pattern/versions/train-t1-")
    assert result.notes == (
        f"not calibrated: of the fleet no tier below the top runs {world.base.name}",
        "not rolled out: it was not calibrated, so nothing is certain of it",
    )
    world.registry.database.close()


def test_what_would_always_ask_upstream_is_not_rolled_out(world):
    world.threshold, world.missing = math.inf, 40
    result = world.go(world.job())
    assert (result.rollout, world.rollouts) == ("", {})
    told = "nothing that it answers itself could be certified; 40 more held-out lessons are needed at least"
    assert result.notes[-1] == f"not rolled out: {told}"


class Troubled:
    """Raises an error a few times, and does then what it is in front of."""

    def __init__(self, inner, error, times):
        self.inner, self.error, self.left = inner, error, times

    async def __call__(self, *arguments):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return await self.inner(*arguments)


def test_what_is_published_has_succeeded_whatever_becomes_of_its_calibration_and_rollout(world, monkeypatch):
    monkeypatch.setattr(finishing, "AGAIN_S", 0.0)
    world.bench = replace(world.bench, start=Troubled(world.start, InvalidInput("region is 'a=b'"), 99))
    result = world.go(world.job(region="north"))
    assert (result.version != "", result.calibration != "", result.rollout) == (True, True, "")
    assert result.notes[-1] == "not rolled out: region is 'a=b'"
    world.calibrate = Troubled(world.calibrate, QueueFull("64 calibrations have not ended"), 99)
    result = world.go(world.job(region="north"))
    assert (result.version != "", result.calibration, result.rollout) == (True, "", "")
    assert result.notes[0] == "not calibrated: 64 calibrations have not ended"


def test_a_store_that_is_away_for_a_moment_costs_neither_version_nor_what_follows_it(world, monkeypatch):
    monkeypatch.setattr(finishing, "AGAIN_S", 0.0)
    away = Unreachable("the store is away")
    world.bench = replace(world.bench, start=Troubled(world.start, away, 3))
    world.calibrate, world.get = Troubled(world.calibrate, away, 3), Troubled(world.get, away, 3)
    put, left = world.artifacts.put, [away] * 3
    world.artifacts.put = lambda *given: put(*given) if not left else (_ for _ in ()).throw(left.pop())
    result = world.go(world.job())
    assert (result.rollout, world.attempts, len(world.rollouts)) == ("rollouts/r0", 1, 1)


def test_a_region_s_version_goes_to_that_region(world):
    world.go(world.job(region="north"))
    assert next(iter(world.rollouts.values())).selector == "tier=device,region=north"


def test_a_cluster_reads_the_lessons_at_their_url_and_they_go_afterwards(world):
    job = world.job(executor=Executor.RAY, ray_address="local")
    order = read_order(world.bench.prepare(job))
    table = pq.read_table(order.lessons_url)
    assert sorted(table["id"].to_pylist()) == [f"l{number}" for number in range(5)]
    assert set(table["region"].to_pylist()) == {"north"}
    world.bench.clear(job)
    assert not list((world.folder / "lessons" / TRAININGS).glob("*"))


def test_what_a_cluster_was_given_for_a_training_that_nobody_cleared_goes_when_it_has_ended(world):
    world.workshop.tidy(lambda: pytest.fail("there is nothing to ask about"))
    world.bench.prepare(world.job(executor=Executor.RAY, ray_address="local"))
    world.bench.prepare(replace(world.job(executor=Executor.RAY, ray_address="local"), id="t2"))
    world.workshop.tidy(lambda: {"t2", "t3"})
    assert [path.name for path in (world.folder / "lessons" / TRAININGS).glob("*")] == ["t2"]
    world.workshop.tidy(set)
    world.workshop.tidy(set)
    assert world.keeper.files.trainings() == []


def test_a_store_that_is_away_when_a_training_has_ended_ends_nothing_else(world):
    def away(training):
        raise Unreachable("the store is away")

    job = world.job(executor=Executor.RAY, ray_address="local")
    world.bench.prepare(job)
    world.keeper.files.after_training = away
    world.bench.clear(job)


@pytest.mark.parametrize("executor", Executor)
def test_files_that_are_put_together_while_they_are_read_are_read_anew(world, executor):
    each, tries = world.keeper.each, []

    def interrupted(*wanted):
        tries.append(wanted)
        for found in each(*wanted):
            yield found
            if len(tries) < 3:
                raise NotFound("it was put together with others")

    world.keeper.each = interrupted
    order = read_order(world.bench.prepare(world.job(executor=executor, ray_address="local")))
    read = pq.read_table(order.lessons_url or order.path("lessons"))
    assert (len(tries), sorted(read["id"].to_pylist())) == (3, [f"l{number}" for number in range(5)])


def test_a_base_that_is_gone_is_named(world):
    with pytest.raises(NotFound, match=f"{world.base.name} is not published any more"):
        world.bench.prepare(world.job(base_digest="sha256:" + "0" * 64))


@pytest.mark.parametrize(
    ("evaluations", "told"),
    [
        ((Evaluation("north", 10, 9, 5),), ""),
        ((Evaluation("north", 10, 5, 5),), "it answers 5 of 10 lessons"),
        ((Evaluation("north", 10, 9, 5), Evaluation("", 1000, 985, 1000)), "of what was replayed it answers 98.50%"),
        ((Evaluation("north", 10, 9, 5), Evaluation("", 1000, 996, 1000)), ""),
        ((), "no lessons to hold it against"),
    ],
)
def test_better_is_by_lessons_that_were_never_seen_and_not_at_the_cost_of_what_was_known(evaluations, told):
    assert told in no_better(TrainResult(1, 1, evaluations, "", ""))
    assert bool(told) == bool(no_better(TrainResult(1, 1, evaluations, "", "")))


def test_made_lessons_are_as_a_training_is_given_them():
    table = lessons_of((1, 2), 4, "north")
    assert table["label"].to_pylist() == [LABELS[1], LABELS[2], LABELS[1], LABELS[2]]
    assert pattern(3, np.random.default_rng(0)).shape == (14, 14, 1)
