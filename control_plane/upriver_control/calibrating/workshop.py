"""What a calibration is worked on with, and what becomes of it: files in a folder, policies signed. Methods block."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from upriver.errors import BlobNotFound, DiskTrouble, InvalidInput, NotFound
from upriver.listing import digest as digest_of
from upriver.policies import PolicyDocument, read_policy, write_policy
from upriver.scores import Floats, ScoreKind
from upriver_control.artifacts import Artifacts
from upriver_control.calibrating.order import (
    QUESTIONS,
    Made,
    Order,
    audits_of,
    head_of,
    read_made,
    version_of,
    write_order,
)
from upriver_control.jobs import Job, Result, Source, TierSpec
from upriver_control.store.policies import StoredPolicy
from upriver_control.store.registry import RegistryStore
from upriver_control.working.folders import Folders, bring
from upriver_control.working.threads import whole

MAX_AUDITS: Final = 200_000


@dataclass(frozen=True, slots=True)
class AuditSample:
    """Audits of a pair: how sure it was [n] (-inf: never), whether the top agreed [n], and the questions' names."""

    confidence: Floats
    agrees: NDArray[np.bool_]
    questions: Sequence[str]


class AuditLog(Protocol):
    """Audits as agents deliver them."""

    def sample(self, model: str, tier: TierSpec, top: TierSpec, since: float, limit: int) -> AuditSample:
        """Audits of the tier's version with its scores against the top's version, taken at an even rate."""
        ...


class PolicySigner(Protocol):
    """Signs policies, for agents to believe."""

    def publish_policy(self, model: str, document: str) -> None:
        """Signs a policy document for a model; the same again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a calibration may take: time of each version, memory of each process."""

    timeout_s: float = 3600.0
    memory_mib: int = 4096


@dataclass(frozen=True, slots=True)
class Workshop:
    """Gets calibrations ready and finishes them."""

    folders: Folders
    registry: RegistryStore
    artifacts: Artifacts
    signer: PolicySigner
    audits: AuditLog
    limits: Limits
    clock: Callable[[], float]

    def prepare(self, job: Job) -> Path:
        """Makes the job's folder with everything that the work needs; gives the path of its order.

        Raises InvalidInput and NotFound for what is missing, DiskTrouble, Unreachable.
        """
        folder = self.folders.of(job)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if job.spec.source is Source.AUDITS:
                self._bring_audits(job, folder)
            else:
                bring(self.artifacts, job.spec.data, folder / QUESTIONS)
                for place, tier in enumerate(job.spec.tiers):
                    self._bring_version(tier, version_of(folder, place))
                    self._bring_head(tier, head_of(folder, place))
            return write_order(Order(job.spec, str(folder), self.limits.timeout_s, self.limits.memory_mib))
        except OSError as error:
            raise DiskTrouble(f"can't prepare {job.name} in {folder}: {error.strerror or error}") from error

    async def finish(self, job: Job, tell: object) -> tuple[Result, tuple[StoredPolicy, ...]]:
        """Signs the policies that came out, on a thread of its own."""
        return await whole(self.signed, job)

    def signed(self, job: Job) -> tuple[Result, tuple[StoredPolicy, ...]]:
        """Signs the policies that came out, and gives them with the result that names them.

        A policy that is signed and then not kept does no harm: no rollout can name it.
        """
        made = read_made(self.folders.of(job))
        tiers, kept = [], []
        for found, tier, document in zip(made.result.tiers, job.spec.tiers, self._documents(job, made), strict=True):
            if not document:
                tiers.append(found)
                continue
            policy = StoredPolicy(
                job.model, digest_of(document.encode()), tier.version, tier.version_digest, tier.tier, job.id, document,
                self.clock(),
            )  # fmt: skip
            self.signer.publish_policy(job.model, document)
            kept.append(policy)
            tiers.append(replace(found, policy=policy.digest))
        return replace(made.result, tiers=tuple(tiers)), tuple(kept)

    def clear(self, job: Job) -> None:
        """Removes the job's folder."""
        self.folders.clear(job)

    def _documents(self, job: Job, made: Made) -> list[str]:
        """The documents as they are to be signed; each must be of a version that is still published."""
        documents = list(made.documents)
        if job.spec.source is Source.DATA and not documents[-1]:
            documents[-1] = self._of_top(job.spec.tiers[-1])
        for document, tier in zip(documents, job.spec.tiers, strict=True):
            self.registry.by_digest(tier.version_digest)
            if document and read_policy(document).version_digest != tier.version_digest:
                raise InvalidInput(f"the policy for tier {tier.tier} is of another version than {tier.version}")
        return documents

    def _of_top(self, tier: TierSpec) -> str:
        """A policy that always answers, for a top whose version has none; empty where it has one."""
        if self.registry.by_digest(tier.version_digest).validation.policy_document:
            return ""
        return write_policy(PolicyDocument(tier.version_digest, ScoreKind.MAX_PROBABILITY, -math.inf))

    def _bring_version(self, tier: TierSpec, folder: Path) -> None:
        try:
            version = self.registry.by_digest(tier.version_digest)
        except NotFound as error:
            raise NotFound(f"tier {tier.tier}: {tier.version} is not published any more") from error
        folder.mkdir(parents=True)
        for file in version.files:
            bring(self.artifacts, file.digest, folder / file.name)

    def _bring_head(self, tier: TierSpec, path: Path) -> None:
        """The head that the tier's policy names: what answers there is calibrated, not what would without it."""
        head = read_policy(tier.policy_document).head if tier.policy_document else ""
        if not head:
            return
        path.parent.mkdir(exist_ok=True)
        try:
            bring(self.artifacts, head, path)
        except BlobNotFound as error:
            raise NotFound(f"tier {tier.tier}: head {head} is not kept here") from error

    def _bring_audits(self, job: Job, folder: Path) -> None:
        spec, found = job.spec, 0
        for place, tier in enumerate(spec.tiers[:-1]):
            if spec.only and tier.tier != spec.only:
                continue
            sample = self.audits.sample(job.model, tier, spec.tiers[-1], self.clock() - spec.audit_s, MAX_AUDITS)
            arrays: Mapping[str, NDArray[np.generic]] = {
                "confidence": np.asarray(sample.confidence, np.float64),
                "agree": np.asarray(sample.agrees, np.bool_),
                "question": np.asarray(list(sample.questions), np.str_),
            }
            with audits_of(folder, place).open("wb") as out:
                np.savez(out, **arrays)  # type: ignore[arg-type]  # its stubs take every keyword for a flag
            found += 1
        if not found:
            raise InvalidInput(f"there is no tier {spec.only!r} below the top")
