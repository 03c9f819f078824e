"""TrainService: trainings, what they are made from, and what versions were made of. Working on them is the runner's."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from upriver.errors import InvalidInput, QueueFull
from upriver.v1 import train_pb2 as pb
from upriver_control.jobs import cancelled
from upriver_control.jobs.training import Training, TrainSpec
from upriver_control.lessons.keeper import Keeper
from upriver_control.policy_wire import read_parent
from upriver_control.rollout import RevisionConflict
from upriver_control.services.lineage import Lineages
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.services.source_uploads import SourceUploads
from upriver_control.services.training_bases import TrainingBases
from upriver_control.train_wire import read_spec, read_training_name, write_training
from upriver_control.training.threaded import Trainings

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
MAX_WATCHERS: Final = 256
MAX_OPEN: Final = 16
MAX_TEXT: Final = 200
LOOK_S: Final = 0.3
_TRIES: Final = 8


class Runs(Protocol):
    """What works on trainings."""

    def wake(self) -> None:
        """Looks for work at once."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service is made of."""

    trainings: Trainings
    bases: TrainingBases
    uploads: SourceUploads
    keeper: Keeper
    lineages: Lineages
    runner: Runs


class TrainServicer:
    """Serves operators."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix times."""
        self._parts = parts
        self._trainings = parts.trainings
        self._clock = clock
        self._watchers = 0

    @refusing
    async def create_training(self, request: pb.CreateTrainingRequest, _: Context) -> pb.CreateTrainingResponse:
        """Starts a training; the same request again gives the one that it made."""
        if len(request.request_id) > MAX_TEXT:
            raise InvalidInput(f"request_id has {len(request.request_id)} characters; at most {MAX_TEXT}")
        spec = read_spec(request.spec, self._clock())
        made = await self.start(_model(request.parent), spec, request.request_id or uuid.uuid4().hex)
        return pb.CreateTrainingResponse(training=write_training(made))

    async def start(self, model: str, spec: TrainSpec, request_id: str, trigger: str = "") -> Training:
        """The same for other parts of the control plane; raises InvalidInput, NotFound, NotNow, QueueFull."""
        made = await self._trainings.of_request(request_id)
        if made is None:
            bases = self._parts.bases
            filled = await asyncio.to_thread(bases.filled, model, spec, bases.running(model))
            open_now = await self._trainings.open_jobs()
            if len(open_now) >= MAX_OPEN:
                raise QueueFull(f"{len(open_now)} trainings have not ended; wait for them, or cancel some")
            job = Training(uuid.uuid4().hex[:10], model, self._clock(), filled, trigger=trigger)
            made, _ = await self._trainings.create(job, request_id)
            self._parts.runner.wake()
        return made

    @refusing
    async def get_training(self, request: pb.GetTrainingRequest, _: Context) -> pb.GetTrainingResponse:
        """Gives a training."""
        return pb.GetTrainingResponse(training=write_training(await self._job(request.name)))

    @refusing
    async def list_trainings(self, request: pb.ListTrainingsRequest, _: Context) -> pb.ListTrainingsResponse:
        """Lists trainings, newest first."""
        if request.page_size < 0:
            raise InvalidInput(f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}")
        token = request.page_token
        if token and not (token.isascii() and token.isdecimal()):
            raise InvalidInput(f"page_token {token[:40]!r} is none of this service's")
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        page = await self._trainings.page(read_parent(request.parent, "parent"), int(token or 0), size)
        return pb.ListTrainingsResponse(
            trainings=[write_training(job, whole=False) for job in page.jobs],
            next_page_token=str(page.before) if page.before else "",
        )

    @refusing_stream
    async def watch_training(
        self, request: pb.WatchTrainingRequest, _: Context
    ) -> AsyncIterator[pb.WatchTrainingResponse]:
        """Sends a training now and whenever it changes, until it has ended."""
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(f"{MAX_WATCHERS} trainings are watched here already; try again later")
        self._watchers += 1
        try:
            told = lines = 0
            while True:
                job = await self._job(request.name)
                if job.revision != told:
                    told = job.revision
                    new = job.log[max(0, len(job.log) - max(0, job.logged - lines)) :] if request.log else ()
                    lines = job.logged
                    yield pb.WatchTrainingResponse(training=write_training(job), log=new)
                if job.has_ended:
                    return
                await asyncio.sleep(LOOK_S)
        finally:
            self._watchers -= 1

    @refusing
    async def cancel_training(self, request: pb.CancelTrainingRequest, _: Context) -> pb.CancelTrainingResponse:
        """Ends a training that has not ended."""
        for _try in range(_TRIES):
            job = await self._job(request.name)
            changed = cancelled(job, self._clock())
            kept = job if changed is job else await self._trainings.save(changed)
            if kept is not None:
                self._parts.runner.wake()
                return pb.CancelTrainingResponse(training=write_training(kept))
        raise RevisionConflict(f"{request.name} changes too fast to be changed; try again")

    @refusing
    async def upload_source(
        self, requests: AsyncIterator[pb.UploadSourceRequest], _: Context
    ) -> pb.UploadSourceResponse:
        """Takes in what a version is trained from."""
        return pb.UploadSourceResponse(created=await self._parts.uploads.receive(requests))

    @refusing
    async def summarize_lessons(self, request: pb.SummarizeLessonsRequest, _: Context) -> pb.SummarizeLessonsResponse:
        """Tells which lessons of a model are here."""
        counted = await asyncio.to_thread(self._parts.keeper.table.counted, _model(request.parent))
        places: dict[tuple[str, str], pb.LessonSummary] = {}
        for part, count in counted:
            one = places.setdefault((part.region, part.date), pb.LessonSummary(region=part.region, date=part.date))
            one.lessons += count
            one.files += 1
            one.size_bytes += part.size_bytes
            for label, count in part.labels.items():
                one.labels[label] += count
        return pb.SummarizeLessonsResponse(
            summaries=[places[key] for key in sorted(places)], url=self._parts.keeper.files.url
        )

    @refusing
    async def get_lineage(self, request: pb.GetLineageRequest, _: Context) -> pb.GetLineageResponse:
        """Tells what a version was made of."""
        found = await asyncio.to_thread(self._parts.lineages.of, request.name)
        return pb.GetLineageResponse(ancestors=found)

    async def _job(self, name: str) -> Training:
        return await self._trainings.get(*read_training_name(name))


def _model(parent: str) -> str:
    model = read_parent(parent, "parent")
    if not model:
        raise InvalidInput(f"parent is {parent!r}; expected models/MODEL")
    return model
