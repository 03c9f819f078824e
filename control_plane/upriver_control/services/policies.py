"""PolicyService: calibrations and what comes out of them. Working on them is the runner's."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput, QueueFull
from upriver.v1 import policy_pb2 as pb
from upriver_control.jobs import Job, Source, Spec, cancelled
from upriver_control.jobs.audited import newest_promise
from upriver_control.policy_wire import (
    read_age,
    read_calibration_name,
    read_parent,
    read_spec,
    write_job,
)
from upriver_control.rollout import RevisionConflict
from upriver_control.services.policy_views import PolicyViews
from upriver_control.services.question_uploads import QuestionUploads
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.services.tiers import Tiers, checked
from upriver_control.store.calibrations import JobPage
from upriver_control.store.policies import StoredPolicy

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
MAX_WATCHERS: Final = 256
MAX_OPEN: Final = 64
MAX_TEXT: Final = 200
LOOK_S: Final = 0.3
_TRIES: Final = 8


class Jobs(Protocol):
    """Where calibrations and policies are kept. All raise Unreachable or DiskTrouble."""

    async def create(self, job: Job, request_id: str) -> tuple[Job, bool]:
        """Keeps a new calibration, or gives the one that this request has made before."""

    async def get(self, model: str, job: str) -> Job:
        """A calibration; raises NotFound."""

    async def of_request(self, request_id: str) -> Job | None:
        """The calibration that a request has made."""

    async def page(self, model: str, before: int, size: int) -> JobPage:
        """Calibrations, newest first."""

    async def save(self, job: Job, policies: Sequence[StoredPolicy] = ()) -> Job | None:
        """Keeps a changed one; None when it has changed since it was read."""

    async def open_jobs(self) -> Sequence[Job]:
        """All that have not ended."""

    async def policy(self, name: str) -> StoredPolicy:
        """A policy by its name; raises InvalidInput and NotFound."""

    async def documents_of(self, model: str, version_digest: str) -> Sequence[str]:
        """The documents of all policies of a version, oldest first."""

    async def policies(self, model: str, before: int, size: int) -> tuple[tuple[StoredPolicy, ...], int]:
        """Policies, newest first, and where the next page begins."""


class Runs(Protocol):
    """What works on calibrations."""

    def wake(self) -> None:
        """Looks for work at once."""
        ...


Publish = Callable[[str, str, str, bytes], StoredPolicy]
"""Of a model, a tier, the document and the head's file."""


class PolicyServicer:
    """Serves operators."""

    def __init__(
        self,
        jobs: Jobs,
        uploads: QuestionUploads,
        tiers: Tiers,
        views: PolicyViews,
        runner: Runs,
        publish: Publish,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`publish` keeps and signs a policy on the calling thread; see `PolicyPublisher.publish`."""
        self._jobs = jobs
        self._publish = publish
        self._uploads = uploads
        self._tiers = tiers
        self._views = views
        self._runner = runner
        self._clock = clock
        self._watchers = 0

    @refusing
    async def upload_calibration_data(
        self, requests: AsyncIterator[pb.UploadCalibrationDataRequest], _: Context
    ) -> pb.UploadCalibrationDataResponse:
        """Takes a questions file in."""
        kept = await self._uploads.receive(requests)
        expires = Timestamp()
        expires.FromSeconds(int(kept.stored.until))
        return pb.UploadCalibrationDataResponse(
            data_digest=kept.stored.digest,
            questions=kept.stored.questions,
            has_labels=kept.stored.has_labels,
            created=kept.created,
            expire_time=expires,
        )

    @refusing
    async def create_calibration(
        self, request: pb.CreateCalibrationRequest, _: Context
    ) -> pb.CreateCalibrationResponse:
        """Starts a calibration; the same request again gives the one that it made."""
        model, request_id = _model(request.parent), _request_id(request.request_id)
        made = await self._jobs.of_request(request_id)
        if made is None:
            spec = await self._tiers.filled(model, read_spec(request.spec, self._tiers.hop_ms))
            if spec.source is Source.AUDITS:
                checked(spec)
            else:
                data = await asyncio.to_thread(self._uploads.use, spec.data)
                if spec.labels and not data.has_labels:
                    raise InvalidInput("spec: the data has no labels; give each question its label, or ask without")
            made = await self._start(model, spec, request_id)
        return pb.CreateCalibrationResponse(calibration=write_job(made))

    @refusing
    async def get_calibration(self, request: pb.GetCalibrationRequest, _: Context) -> pb.GetCalibrationResponse:
        """Gives a calibration."""
        return pb.GetCalibrationResponse(calibration=write_job(await self._job(request.name)))

    @refusing
    async def list_calibrations(self, request: pb.ListCalibrationsRequest, _: Context) -> pb.ListCalibrationsResponse:
        """Lists calibrations, newest first."""
        size, before = _page(request.page_size, request.page_token)
        page = await self._jobs.page(read_parent(request.parent, "parent"), before, size)
        token = str(page.before) if page.before else ""
        calibrations = [write_job(job, whole=False) for job in page.jobs]
        return pb.ListCalibrationsResponse(calibrations=calibrations, next_page_token=token)

    @refusing_stream
    async def watch_calibration(
        self, request: pb.WatchCalibrationRequest, _: Context
    ) -> AsyncIterator[pb.WatchCalibrationResponse]:
        """Sends a calibration now and whenever it changes, until it has ended."""
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(f"{MAX_WATCHERS} calibrations are watched here already; try again later")
        self._watchers += 1
        try:
            told = 0
            while True:
                job = await self._job(request.name)
                if job.revision != told:
                    told = job.revision
                    yield pb.WatchCalibrationResponse(calibration=write_job(job))
                if job.has_ended:
                    return
                await asyncio.sleep(LOOK_S)
        finally:
            self._watchers -= 1

    @refusing
    async def cancel_calibration(
        self, request: pb.CancelCalibrationRequest, _: Context
    ) -> pb.CancelCalibrationResponse:
        """Ends a calibration that has not ended."""
        for _try in range(_TRIES):
            job = await self._job(request.name)
            changed = cancelled(job, self._clock())
            kept = job if changed is job else await self._jobs.save(changed)
            if kept is not None:
                self._runner.wake()
                return pb.CancelCalibrationResponse(calibration=write_job(kept))
        raise RevisionConflict(f"{request.name} changes too fast to be changed; try again")

    @refusing
    async def get_policy(self, request: pb.GetPolicyRequest, _: Context) -> pb.GetPolicyResponse:
        """Gives a policy."""
        (written,) = await self._views.written((await self._jobs.policy(request.name),))
        return pb.GetPolicyResponse(policy=written)

    @refusing
    async def list_policies(self, request: pb.ListPoliciesRequest, _: Context) -> pb.ListPoliciesResponse:
        """Lists policies, newest first."""
        size, before = _page(request.page_size, request.page_token)
        found, rest = await self._jobs.policies(read_parent(request.parent, "parent"), before, size)
        return pb.ListPoliciesResponse(
            policies=await self._views.written(found), next_page_token=str(rest) if rest else ""
        )

    @refusing
    async def publish_policy(self, request: pb.PublishPolicyRequest, _: Context) -> pb.PublishPolicyResponse:
        """Publishes a policy that no calibration made, with its head."""
        model = _model(request.parent)
        if not request.tier or len(request.tier) > MAX_TEXT:
            raise InvalidInput(f"tier is {request.tier[:MAX_TEXT]!r}; expected the tier that the policy is for")
        stored = await asyncio.to_thread(self._publish, model, request.tier, request.document, request.head)
        (written,) = await self._views.written((stored,))
        return pb.PublishPolicyResponse(policy=written)

    @refusing
    async def recertify_policy(self, request: pb.RecertifyPolicyRequest, _: Context) -> pb.RecertifyPolicyResponse:
        """Starts a calibration from audits of what runs."""
        model, request_id = _model(request.parent), _request_id(request.request_id)
        made = await self._jobs.of_request(request_id)
        if made is None:
            problems = [
                f"{name} is {value:g}; expected 0, or above 0 and below 1"
                for name, value in (("max_loss", request.max_loss), ("confidence", request.confidence))
                if not 0.0 <= value < 1.0
            ]
            age_s = read_age(request.age, problems)
            if problems:
                raise InvalidInput("; ".join(problems))
            made = await self.recertify(model, age_s, request_id, request.tier, request.max_loss, request.confidence)
        return pb.RecertifyPolicyResponse(calibration=write_job(made))

    async def recertify(
        self,
        model: str,
        age_s: float,
        request_id: str,
        tier: str = "",
        max_loss: float = 0.0,
        confidence: float = 0.0,
        *,
        automatic: bool = False,
    ) -> Job:
        """Starts a calibration from the audits of the last `age_s`; raises InvalidInput, NotNow and NotFound."""
        spec = Spec(max_loss, confidence, (), Source.AUDITS, audit_s=age_s, only=tier)
        filled = checked(await self._tiers.filled(model, spec))
        below = [one.tier for one in filled.tiers[:-1]]
        if tier and tier not in below:
            raise InvalidInput(f"tier is {tier!r}; expected one below the top: {', '.join(below)}")
        promises = [newest_promise(await self._jobs.documents_of(model, one.version_digest)) for one in filled.tiers]
        tiers = tuple(replace(one, promise=said) for one, said in zip(filled.tiers, promises, strict=True))
        return await self._start(model, replace(filled, tiers=tiers), request_id, automatic)

    async def calibrate(self, model: str, spec: Spec, request_id: str) -> Job:
        """Starts a calibration from data, for another part of the control plane; raises as Tiers and uploads do."""
        made = await self._jobs.of_request(request_id)
        if made is None:
            filled = await self._tiers.filled(model, spec)
            await asyncio.to_thread(self._uploads.use, spec.data)
            made = await self._start(model, filled, request_id)
        return made

    async def get(self, model: str, job: str) -> Job:
        """A calibration as it is now, for another part of the control plane; raises NotFound."""
        return await self._jobs.get(model, job)

    async def _start(self, model: str, spec: Spec, request_id: str, automatic: bool = False) -> Job:
        open_now = await self._jobs.open_jobs()
        if len(open_now) >= MAX_OPEN:
            raise QueueFull(f"{len(open_now)} calibrations have not ended; wait for them, or cancel some")
        job = Job(uuid.uuid4().hex[:10], model, self._clock(), spec, automatic=automatic)
        made, _ = await self._jobs.create(job, request_id)
        self._runner.wake()
        return made

    async def _job(self, name: str) -> Job:
        return await self._jobs.get(*read_calibration_name(name))


def _model(parent: str) -> str:
    model = read_parent(parent, "parent")
    if not model:
        raise InvalidInput(f"parent is {parent!r}; expected models/MODEL")
    return model


def _request_id(given: str) -> str:
    if len(given) > MAX_TEXT:
        raise InvalidInput(f"request_id has {len(given)} characters; at most {MAX_TEXT}")
    return given or uuid.uuid4().hex


def _page(size: int, token: str) -> tuple[int, int]:
    if size < 0:
        raise InvalidInput(f"page_size is {size}; expected 0 to {MAX_PAGE}")
    if token and not (token.isascii() and token.isdecimal()):
        raise InvalidInput(f"page_token {token[:40]!r} is none of this service's")
    return min(size or DEFAULT_PAGE, MAX_PAGE), int(token or 0)
