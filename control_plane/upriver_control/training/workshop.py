"""What a training is worked on with, and what becomes of it: files in a folder, a version published. Methods block.

What was published is found again by the training's id, so a process that is killed after it does not train once more.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from upriver.errors import DiskTrouble, InvalidInput, NotFound, Unreachable, UpriverError
from upriver.listing import digest as digest_of
from upriver.listing import format_listing
from upriver_control.artifacts import Artifacts, put_bytes
from upriver_control.documents import to_document
from upriver_control.jobs.training import Executor, Training, TrainResult
from upriver_control.lessons.keeper import Keeper
from upriver_control.publishing import Publisher
from upriver_control.store.questions import QuestionTable, StoredQuestions
from upriver_control.store.records import Lineage, StoredVersion
from upriver_control.store.trainings import Source, SourceKind, SourceTable
from upriver_control.training.order import (
    BASE,
    HOLDOUT,
    LESSONS,
    MADE,
    MADE_LESSONS,
    REPLAY,
    RESULT,
    SOURCE,
    VERSION,
    Order,
    read_result,
    write_order,
)
from upriver_control.training.origins import Trained, shared_out
from upriver_control.training.used import trained_on
from upriver_control.working.folders import Folders, bring

if TYPE_CHECKING:
    import pyarrow as pa

_LOG: Final = logging.getLogger(__name__)
_KEEP_HOLDOUT_S: Final = 86_400.0
_PAGE: Final = 200
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What a training may take: memory of its process, and all files in its folder."""

    memory_mib: int = 16_384
    disk_mib: int = 16_384


@dataclass(frozen=True, slots=True)
class Published:
    """A version that a training made, and what came out."""

    version: StoredVersion
    result: TrainResult


@dataclass(frozen=True, slots=True)
class TrainingWorkshop:
    """Gets trainings ready and publishes what they made."""

    folders: Folders
    publisher: Publisher
    artifacts: Artifacts
    sources: SourceTable
    questions: QuestionTable
    keeper: Keeper
    limits: Limits
    clock: Callable[[], float]
    told: Callable[[Trained], None] = lambda _: None
    """Called when a version was published, with the questions that it was made of; must not wait. Called again where
    the process was killed after that."""

    def prepare(self, job: Training) -> Path | None:
        """Makes the job's folder with everything that the work needs; None when its version is published already.

        Raises InvalidInput and NotFound for what is missing, DiskTrouble, Unreachable.
        """
        if self.published(job) is not None:
            return None
        folder = self.folders.of(job)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / BASE).mkdir(parents=True)
            (folder / LESSONS).mkdir()
            self._bring_base(job, folder)
            url = self._bring_lessons(job, folder)
            limits = self.limits
            return write_order(Order(job.spec, str(folder), prefix_of(job), url, limits.memory_mib, limits.disk_mib))
        except OSError as error:
            raise DiskTrouble(f"can't prepare {job.name} in {folder}: {error.strerror or error}") from error

    def publish(self, job: Training) -> Published:
        """Publishes what the work made, with everything that it was made from; or gives what was published before."""
        made = self.folders.of(job) / MADE
        known = self.published(job)
        if known is not None:
            self._tell(job, known)  # it may have been killed before it could
            return known
        try:
            result = read_result((made / RESULT).read_text())
            wanted = {SourceKind.LESSONS: made / MADE_LESSONS}
            if (made / SOURCE).exists():
                wanted[SourceKind.KERAS] = made / SOURCE
            found = {kind: _source_of(path) for kind, path in wanted.items()}
            holdout = _source_of(made / HOLDOUT)
        except OSError as error:
            raise DiskTrouble(f"{job.name}: can't read what it made: {error.strerror or error}") from error
        replay = self.sources.of(job.spec.base_digest).get(SourceKind.REPLAY)
        if replay is not None:
            found[SourceKind.REPLAY] = replay
        result = replace(result, lessons_digest=found[SourceKind.LESSONS].digest, holdout_digest=holdout.digest)
        text = json.dumps(to_document(result), sort_keys=True).encode()
        found[SourceKind.RESULT] = Source(digest_of(text), len(text))
        # First: from here on blobs are held, and let go of when nothing comes of it.
        self.sources.keep(_digest(made / VERSION), found, self.clock())
        self._hold(holdout, result.holdout)
        put_bytes(self.artifacts, digest_of(text), text)
        for source, path in ((holdout, made / HOLDOUT), *((found[kind], path) for kind, path in wanted.items())):
            with path.open("rb") as stream:
                self.artifacts.put(source.digest, stream)
        version = self._publish(job, made, result)
        published = Published(version, replace(result, version=version.name))
        self._tell(job, published)
        return published

    def published(self, job: Training) -> Published | None:
        """What a training has published before; None when nothing."""
        for version in self.publisher.store.versions(job.model, None, _PAGE):
            if not version.version.startswith(f"{prefix_of(job)}-"):
                continue
            source = self.sources.of(version.digest).get(SourceKind.RESULT)
            if source is not None:
                result = read_result(self.artifacts.read(source.digest).decode())
                return Published(version, replace(result, version=version.name))
        return None

    def clear(self, job: Training) -> None:
        """Removes the job's folder, and what a cluster was given to read."""
        self.folders.clear(job)
        if job.spec.executor is not Executor.RAY:
            return
        try:
            self.keeper.files.after_training(job.id)
        except (DiskTrouble, Unreachable) as error:
            _LOG.warning("the lessons that %s was given to read stay where they are: %s", job.name, error)

    def tidy(self, open_trainings: Callable[[], Collection[str]]) -> None:
        """Removes what clusters were given to read for trainings that have ended: nobody did where that was killed.

        `open_trainings` gives the ids of those that have not.
        """
        found = self.keeper.files.trainings()  # before those that are open: what begins now is in neither
        for training in set(found).difference(open_trainings() if found else ()):
            self.keeper.files.after_training(training)

    def _publish(self, job: Training, made: Path, result: TrainResult) -> StoredVersion:
        lineage = Lineage(
            parent=job.spec.base,
            training_data=f"{job.name}: {result.lessons} lessons, {result.data_digest}",
            metrics=_metrics(result),
            conversion=result.conversion,
        )
        with self.publisher.incoming() as incoming:
            for path in (made / VERSION).iterdir():
                shutil.copyfile(path, incoming / path.name)
            version, _ = self.publisher.publish(incoming, job.model, lineage)
        return version

    def _tell(self, job: Training, published: Published) -> None:
        version, result = published.version, published.result
        try:
            links, parts = shared_out(trained_on(self.sources, self.artifacts, version.digest))
        except UpriverError as error:  # it is published all the same
            _LOG.warning("the questions that %s was made of are not told: %s", version.name, error)
            links, parts = (), ()
        trained = Trained(
            training=job.name,
            model=job.model,
            region=job.spec.region,
            version_digest=version.digest,
            lessons=result.lessons,
            links=links,
            parts=parts,
            started=job.created,
            ended=self.clock(),
        )
        self.told(trained)

    def _hold(self, found: Source, rows: int) -> None:
        """Keeps the held-out questions for the calibration that follows, and no longer than it needs."""
        until = self.clock() + _KEEP_HOLDOUT_S
        self.questions.keep(StoredQuestions(found.digest, rows, True, found.size_bytes, until))

    def _bring_base(self, job: Training, folder: Path) -> None:
        spec = job.spec
        try:
            version = self.publisher.store.by_digest(spec.base_digest)
        except NotFound as error:
            raise NotFound(f"{spec.base} is not published any more") from error
        for file in version.files:
            bring(self.artifacts, file.digest, folder / BASE / file.name)
        sources = self.sources.of(spec.base_digest)
        if SourceKind.KERAS in sources:
            bring(self.artifacts, sources[SourceKind.KERAS].digest, folder / SOURCE)
        if spec.replay:
            bring(self.artifacts, spec.replay, folder / REPLAY)

    def _bring_lessons(self, job: Training, folder: Path) -> str:
        """Writes the lessons for the work to read; gives their URL when that is elsewhere."""
        for left in reversed(range(_TRIES)):
            try:
                return self._write_lessons(job, folder)
            except NotFound:  # files were put together while they were read
                shutil.rmtree(folder / LESSONS)
                (folder / LESSONS).mkdir()
                if not left:
                    raise
        raise AssertionError("the loop ends with an answer")

    def _write_lessons(self, job: Training, folder: Path) -> str:
        from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

        spec, count = job.spec, 0

        def of_regions() -> "Iterator[pa.Table]":
            nonlocal count
            for part, table in self.keeper.each(job.model, spec.region, spec.since):
                count += table.num_rows
                yield tables.of_region(table, part.region)

        url = ""
        if spec.executor is Executor.RAY:
            self.keeper.files.after_training(job.id)  # what an interrupted try left
            url = self.keeper.files.for_training(job.id, of_regions())
        else:
            for number, table in enumerate(of_regions()):
                tables.write(table, folder / LESSONS / f"part-{number:05d}.parquet")
        if not count:
            where = f" of region {spec.region}" if spec.region else ""
            raise InvalidInput(f"there are no lessons of {job.model}{where}; see `upriver train data {job.model}`")
        return url


def prefix_of(job: Training) -> str:
    """What names of versions begin with that a training makes."""
    return f"train-{job.id}"


def _metrics(result: TrainResult) -> dict[str, float]:
    found = {"lessons": float(result.lessons)}
    for one in result.evaluations[:40]:
        name = one.region or "replay"
        found |= {f"accuracy/{name}"[:200]: one.accuracy, f"base_accuracy/{name}"[:200]: one.base_accuracy}
    return found


def _source_of(path: Path) -> Source:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(f"sha256:{found}", path.stat().st_size)


def _digest(folder: Path) -> str:
    """What the digest of the version in a folder will be."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    return digest_of(format_listing(files))
