"""RolloutService: makes rollouts, shows them, and lets people change them. Moving them on is the reconciler's."""

import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from upriver.errors import InvalidInput, ManifestError, QueueFull
from upriver.policies import read_policy, write_policy
from upriver.scores import ScoreKind
from upriver.v1 import rollout_pb2 as pb
from upriver_control.observed import Pair
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.rollout import RevisionConflict, Rollout, cancel, pause, resume, roll_back
from upriver_control.selector import parse
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.store.rollouts import Page
from upriver_control.wire import read_strategy, write_rollout

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
MAX_WATCHERS: Final = 256
MAX_TEXT: Final = 200
_TRIES: Final = 8
_VERSION: Final = re.compile(r"models/([A-Za-z0-9._-]{1,63})/versions/(@?[A-Za-z0-9._-]{1,63})")
_OVERRIDABLE: Final = ("box_threshold", "score", "temperature", "threshold")


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A version that an alias or a name stands for, and the policy in its manifest as a document."""

    name: str
    digest: str
    policy_document: str


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy by its name, the version that it belongs to by name and digest, and its document."""

    name: str
    version: str
    version_digest: str
    document: str


class Versions(Protocol):
    """What rollouts need of the registry."""

    async def resolve(self, version: str) -> PublishedVersion:
        """The version called `models/{model}/versions/{version or @alias}`; raises NotFound."""

    async def policy(self, name: str) -> NamedPolicy:
        """The policy called `models/{model}/policies/{policy}`; raises InvalidInput and NotFound."""

    async def sign_policy(self, model: str, document: str) -> None:
        """Has a policy document signed, so that agents take it; the same again changes nothing."""


class Rollouts(Protocol):
    """Where rollouts are kept. All raise Unreachable or DiskTrouble."""

    async def create(self, rollout: Rollout, request_id: str) -> tuple[Rollout, bool]:
        """Keeps a new rollout, or gives the one that this request has made before."""

    async def of_request(self, request_id: str) -> Rollout | None:
        """The rollout that a request has made."""

    async def get(self, rollout: str) -> Rollout:
        """A rollout; raises NotFound."""

    async def page(self, model: str, before: int, size: int) -> Page:
        """Rollouts, newest first."""

    async def save(self, rollout: Rollout) -> Rollout:
        """Keeps a changed rollout; raises RevisionConflict."""


def random_id(model: str) -> str:
    """A new rollout's id."""
    return f"{model[:40]}-{uuid.uuid4().hex[:10]}"


class RolloutServicer:
    """Serves operators."""

    def __init__(
        self,
        rollouts: Rollouts,
        versions: Versions,
        mirror: RolloutMirror,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[str], str] = random_id,
    ) -> None:
        """`new_id` gives an id for a rollout of a model."""
        self._rollouts = rollouts
        self._versions = versions
        self._mirror = mirror
        self._clock = clock
        self._new_id = new_id
        self._watchers = 0

    @refusing
    async def create_rollout(self, request: pb.CreateRolloutRequest, context: Context) -> pb.CreateRolloutResponse:
        """Starts a rollout; the same request again gives the one that it made."""
        return pb.CreateRolloutResponse(rollout=write_rollout(await self.start(request)))

    async def start(self, request: pb.CreateRolloutRequest) -> Rollout:
        """The same for other parts of the control plane; raises InvalidInput and NotFound."""
        if len(request.request_id) > MAX_TEXT:
            raise InvalidInput(f"request_id has {len(request.request_id)} characters; at most {MAX_TEXT}")
        request_id = request.request_id or uuid.uuid4().hex
        made = await self._rollouts.of_request(request_id)
        if made is None:
            made, _ = await self._rollouts.create(await self._new(request), request_id)
            self._mirror.take(made)
        return made

    @refusing
    async def get_rollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.GetRolloutResponse:
        """Gives a rollout."""
        return pb.GetRolloutResponse(rollout=write_rollout(await self._rollouts.get(_id(request.name))))

    @refusing
    async def list_rollouts(self, request: pb.ListRolloutsRequest, context: Context) -> pb.ListRolloutsResponse:
        """Lists rollouts, newest first."""
        if request.page_size < 0:
            raise InvalidInput(f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}")
        if request.page_token and not request.page_token.isdecimal():
            raise InvalidInput(f"page_token {request.page_token[:40]!r} is none of this service's")
        if request.model and not request.model.startswith("models/"):
            raise InvalidInput(f"model is {request.model[:80]!r}; expected models/NAME")
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        page = await self._rollouts.page(request.model.removeprefix("models/"), int(request.page_token or 0), size)
        token = str(page.before) if page.before else ""
        return pb.ListRolloutsResponse(rollouts=map(write_rollout, page.rollouts), next_page_token=token)

    @refusing_stream
    async def watch_rollout(
        self, request: pb.WatchRolloutRequest, context: Context
    ) -> AsyncIterator[pb.WatchRolloutResponse]:
        """Sends a rollout now and whenever it changes, until it has ended."""
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(f"{MAX_WATCHERS} rollouts are watched here already; try again later")
        self._watchers += 1
        changed = self._mirror.listen()
        try:
            current = await self._rollouts.get(_id(request.name))
            yield pb.WatchRolloutResponse(rollout=write_rollout(current))
            while not current.has_ended:
                await changed.wait()
                changed.clear()
                known = self._mirror.rollouts.get(current.id, current)
                if known.revision > current.revision:
                    current = known
                    yield pb.WatchRolloutResponse(rollout=write_rollout(current))
        finally:
            self._watchers -= 1
            self._mirror.unlisten(changed)

    @refusing
    async def pause_rollout(self, request: pb.PauseRolloutRequest, context: Context) -> pb.PauseRolloutResponse:
        """Moves no further agents until it is resumed."""
        return pb.PauseRolloutResponse(rollout=await self._change(request.name, pause))

    @refusing
    async def resume_rollout(self, request: pb.ResumeRolloutRequest, context: Context) -> pb.ResumeRolloutResponse:
        """Goes on."""
        return pb.ResumeRolloutResponse(rollout=await self._change(request.name, resume))

    @refusing
    async def cancel_rollout(self, request: pb.CancelRolloutRequest, context: Context) -> pb.CancelRolloutResponse:
        """Ends it where it is."""
        return pb.CancelRolloutResponse(rollout=await self._change(request.name, cancel))

    @refusing
    async def roll_back_rollout(
        self, request: pb.RollBackRolloutRequest, context: Context
    ) -> pb.RollBackRolloutResponse:
        """Ends it and moves its agents back."""
        reason = request.reason[:MAX_TEXT]
        changed = await self._change(request.name, lambda rollout, now: roll_back(rollout, reason, now))
        return pb.RollBackRolloutResponse(rollout=changed)

    async def _change(self, name: str, change: Callable[[Rollout, float], Rollout]) -> pb.Rollout:
        for _ in range(_TRIES):
            current = await self._rollouts.get(_id(name))
            changed = change(current, self._clock())
            if changed is current:
                return write_rollout(current)
            try:
                kept = await self._rollouts.save(changed)
            except RevisionConflict:  # the reconciler was faster: what it made of it is looked at anew
                continue
            self._mirror.take(kept)
            return write_rollout(kept)
        raise RevisionConflict(f"{name} changes too fast to be changed; try again")

    async def _new(self, request: pb.CreateRolloutRequest) -> Rollout:
        named = _VERSION.fullmatch(request.version)
        if named is None:
            raise InvalidInput(
                f"version is {request.version[:200]!r}; expected models/MODEL/versions/VERSION or .../versions/@ALIAS"
            )
        selector, strategy = str(parse(request.selector)), read_strategy(request.strategy)
        model = named.group(1)
        version = await self._versions.resolve(request.version)
        document = await self._document(request, version)
        if document:
            await self._versions.sign_policy(model, document)
        return Rollout(
            id=self._new_id(model),
            pair=Pair(version.name, version.digest, document),
            model=model,
            created=self._clock(),
            selector=selector,
            strategy=strategy,
            updated=self._clock(),
        )

    async def _document(self, request: pb.CreateRolloutRequest, version: PublishedVersion) -> str:
        """The policy that the pair is to have; empty for the manifest's."""
        if not request.policy:
            return _overridden(version, request.policy_overrides)
        if request.policy_overrides.strip():
            raise InvalidInput("give policy or policy_overrides, not both: a policy that was changed is not certified")
        policy = await self._versions.policy(request.policy)
        if policy.version_digest != version.digest:
            raise InvalidInput(
                f"{policy.name} belongs to {policy.version} ({policy.version_digest}); it can't be rolled out with"
                f" {version.name} ({version.digest})"
            )
        return policy.document


def _id(name: str) -> str:
    rollout = name.removeprefix("rollouts/")
    if not name.startswith("rollouts/") or not rollout or len(name) > MAX_TEXT:
        raise InvalidInput(f"name is {name[:MAX_TEXT]!r}; expected rollouts/ROLLOUT")
    return rollout


def _overridden(version: PublishedVersion, overrides: str) -> str:
    """The document of the version's policy with some fields replaced; empty when nothing is to differ."""
    if not overrides.strip():
        return ""
    try:
        wanted = json.loads(overrides)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"policy_overrides is no JSON: {error}") from error
    if not isinstance(wanted, dict) or not set(wanted) <= set(_OVERRIDABLE):
        raise InvalidInput(f"policy_overrides: expected a JSON object with some of {', '.join(_OVERRIDABLE)}")
    if not version.policy_document:
        raise InvalidInput(f"policy_overrides: {version.name} has no policy of which fields could be replaced")
    try:
        known = replace(read_policy(version.policy_document), version_digest=version.digest, certificate=None)
        document = write_policy(replace(known, **{name: _field(name, value) for name, value in wanted.items()}))
        return "" if document == write_policy(known) else document
    except ManifestError as error:
        raise InvalidInput(f"policy_overrides: {'; '.join(error.problems)}") from error


def _field(name: str, value: object) -> Any:
    if name == "score":
        if value not in list(ScoreKind):
            raise InvalidInput(f"policy_overrides: score is {value!r}; expected one of: {', '.join(ScoreKind)}")
        return ScoreKind(str(value))
    if name == "threshold" and value in ("inf", "-inf"):
        return float(str(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"policy_overrides: {name} is {value!r}; expected a number")
    return float(value)
