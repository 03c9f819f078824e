"""Messages of PolicyService, to and from the control plane's own values."""

import math
import re
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.policies import Basis, Form, read_policy
from upriver.v1 import policy_pb2 as pb
from upriver_control.jobs import CostUnit, Fitness, Job, JobState, Operating, Result, Source, Spec, TierResult, TierSpec
from upriver_control.jobs.wording import read_agreement
from upriver_control.store.policies import StoredPolicy, policy_name

AUDIT_S: Final = 30 * 86_400.0
MAX_AUDIT_S: Final = 3650 * 86_400.0
MAX_TIERS: Final = 16
MAX_TEXT: Final = 200
_TIER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_STATES: Final = {state: getattr(pb, f"CALIBRATION_STATE_{state.name}") for state in JobState}
_FORMS: Final = {
    pb.CERTIFICATE_FORM_UNSPECIFIED: Form.PER_TIER,
    pb.CERTIFICATE_FORM_PER_TIER: Form.PER_TIER,
    pb.CERTIFICATE_FORM_JOINT: Form.JOINT,
}
_COSTS: Final = {
    pb.COST_UNIT_UNSPECIFIED: CostUnit.MS,
    pb.COST_UNIT_MS: CostUnit.MS,
    pb.COST_UNIT_BYTES: CostUnit.BYTES,
}


def read_spec(message: pb.CalibrationSpec, hop_ms: float) -> Spec:
    """A spec as it was asked for, its tiers still by the names that were given; raises InvalidInput with all problems.

    `hop_ms` is the time of a hop where nothing is said of it.
    """
    problems = [
        f"{name} is {value:g}; expected above 0 and below 1"
        for name, value in (("max_loss", message.max_loss), ("confidence", message.confidence))
        if not 0.0 < value < 1.0
    ]
    share = message.tune_share or 0.5
    if not 0.0 < share < 1.0:
        problems.append(f"tune_share is {share:g}; expected above 0 and below 1")
    if message.form not in _FORMS or message.cost not in _COSTS:
        problems.append("form or cost is unknown")
    if message.agreement:
        try:
            read_agreement(message.agreement)
        except InvalidInput as error:
            problems.append(str(error))
    audits = message.HasField("audits")
    if audits == bool(message.data_digest):
        problems.append("expected either data_digest or audits")
    if audits and (message.labels or message.form == pb.CERTIFICATE_FORM_JOINT):
        problems.append("audits have no labels and certify each tier by itself: expected form per tier without labels")
    audit_s = read_age(message.audits.age, problems) if audits else 0.0
    problems += _tier_problems(message)
    if problems:
        raise InvalidInput(f"spec: {'; '.join(problems)}")
    return Spec(
        max_loss=message.max_loss,
        confidence=message.confidence,
        tiers=tuple(_read_tier(tier, hop_ms) for tier in message.tiers),
        source=Source.AUDITS if audits else Source.DATA,
        form=_FORMS[message.form],
        cost=_COSTS[message.cost],
        labels=message.labels,
        data=message.data_digest,
        audit_s=audit_s,
        seed=message.seed,
        tune_share=share,
        agreement=message.agreement,
        fuse=message.fuse,
    )


def read_age(age: Duration, problems: list[str]) -> float:
    """How far back audits count, in seconds; what is wrong goes to `problems`."""
    seconds = age.seconds + age.nanos / 1e9 or AUDIT_S
    if not 0.0 < seconds <= MAX_AUDIT_S:
        problems.append(f"age is {seconds:g} s; expected above 0 and at most {MAX_AUDIT_S:g}")
    return seconds


def write_job(job: Job, whole: bool = True) -> pb.Calibration:
    """A calibration; without its result unless it is to be `whole`."""
    message = pb.Calibration(
        name=job.name,
        spec=_write_spec(job.spec),
        state=_STATES[job.state],
        reason=job.reason,
        doing=job.doing,
        progress=job.progress,
        create_time=_time(job.created),
        update_time=_time(job.updated or job.created),
        revision=job.revision,
    )
    if job.ended is not None:
        message.end_time.CopyFrom(_time(job.ended))
    if whole and job.result is not None:
        message.result.CopyFrom(_write_result(job.model, job.result))
    return message


def write_stored(policy: StoredPolicy, agents: int, stale: str, top_version: str) -> pb.Policy:
    """A policy; `agents` run it, `stale` says why its certificate says nothing of what runs now."""
    document = read_policy(policy.document)
    message = pb.Policy(
        name=policy.name,
        digest=policy.digest,
        version=policy.version,
        version_digest=policy.version_digest,
        tier=policy.tier,
        document=policy.document,
        calibration=f"models/{policy.model}/calibrations/{policy.calibration}" if policy.calibration else "",
        create_time=_time(policy.created),
        stale=stale,
        agents=agents,
        threshold=document.threshold,
    )
    if (found := document.certificate) is not None:
        joint = found.form is Form.JOINT
        message.certificate.CopyFrom(
            pb.Certificate(
                form=pb.CERTIFICATE_FORM_JOINT if joint else pb.CERTIFICATE_FORM_PER_TIER,
                labels=found.basis is Basis.LABELS,
                epsilon=found.epsilon,
                delta=found.delta,
                questions=found.questions,
                losses=found.losses,
                coverage=found.coverage,
                exit_share=found.exit_share,
                top_digest=found.top,
                top_version=top_version,
            )
        )
    return message


def read_calibration_name(name: str) -> tuple[str, str]:
    """The ids in `models/{model}/calibrations/{calibration}`; raises InvalidInput."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "models" or parts[2] != "calibrations" or not all(parts) or len(name) > MAX_TEXT:
        raise InvalidInput(f"name is {name[:MAX_TEXT]!r}; expected models/MODEL/calibrations/CALIBRATION")
    return parts[1], parts[3]


def read_parent(parent: str, what: str) -> str:
    """The model in `models/{model}`, empty for `models/-`; raises InvalidInput."""
    model = parent.removeprefix("models/")
    if not parent.startswith("models/") or not model or "/" in model:
        raise InvalidInput(f"{what} is {parent[:MAX_TEXT]!r}; expected models/MODEL")
    return "" if model == "-" else model


def _tier_problems(message: pb.CalibrationSpec) -> list[str]:
    tiers = [tier.tier for tier in message.tiers]
    problems = []
    versions = sum(bool(tier.version) for tier in message.tiers)
    if versions == 1 or len(tiers) > MAX_TIERS:
        problems.append(f"{versions or len(tiers)} tiers; expected 2 to {MAX_TIERS}, from the bottom to the top")
    if len(set(tiers)) != len(tiers):
        problems.append(f"tiers are {', '.join(tiers)}; expected each once")
    for tier in message.tiers:
        if _TIER.fullmatch(tier.tier) is None:
            problems.append(f"tier {tier.tier[:40]!r}: expected lower-case letters, digits and '-', at most 32")
        for name in ("cost", "hop_ms"):
            value = getattr(tier, name) if tier.HasField(name) else 0.0
            if not 0.0 <= value < math.inf:
                problems.append(f"{name} of tier {tier.tier} is {value:g}; expected a number, 0 or above")
    return problems


def _read_tier(tier: pb.CalibrationTier, hop_ms: float) -> TierSpec:
    return TierSpec(
        tier=tier.tier,
        version=tier.version,
        version_digest="",
        cost=tier.cost if tier.HasField("cost") else None,
        hop_ms=tier.hop_ms if tier.HasField("hop_ms") else hop_ms,
    )


def _write_spec(spec: Spec) -> pb.CalibrationSpec:
    message = pb.CalibrationSpec(
        max_loss=spec.max_loss,
        confidence=spec.confidence,
        form=pb.CERTIFICATE_FORM_JOINT if spec.form is Form.JOINT else pb.CERTIFICATE_FORM_PER_TIER,
        cost=pb.COST_UNIT_BYTES if spec.cost is CostUnit.BYTES else pb.COST_UNIT_MS,
        labels=spec.labels,
        tiers=[
            pb.CalibrationTier(
                tier=tier.tier,
                version=tier.version,
                version_digest=tier.version_digest,
                cost=tier.cost,
                hop_ms=tier.hop_ms,
            )
            for tier in spec.tiers
        ],
        data_digest=spec.data,
        seed=spec.seed,
        tune_share=spec.tune_share,
        agreement=spec.agreement,
        fuse=spec.fuse,
    )
    if spec.source is Source.AUDITS:
        message.audits.age.FromMilliseconds(round(spec.audit_s * 1000))
    return message


def _write_result(model: str, result: Result) -> pb.CalibrationResult:
    message = pb.CalibrationResult(
        tiers=[_write_tier(model, tier) for tier in result.tiers],
        tune_questions=result.tune_questions,
        calibrate_questions=result.calibrate_questions,
        losses=result.losses,
        certified_loss=result.certified_loss,
        missing=result.missing,
        path=[
            pb.PathPoint(
                local_share=sum(point.exit_shares[:-1]),
                exit_shares=point.exit_shares,
                cost=point.cost,
                losses=point.losses,
                p_value=point.p_value,
                certified=point.certified,
                bound=point.bound,
            )
            for point in result.path
        ],
        chosen=result.chosen,
        baselines=map(_write_operating, result.baselines),
        what_if=[
            pb.WhatIf(
                max_loss=one.max_loss,
                local_share=one.local_share,
                cost=one.cost,
                losses=one.losses,
                missing=one.missing,
            )
            for one in result.what_if
        ],
        notes=result.notes,
    )
    if result.shipped is not None:
        message.shipped.CopyFrom(_write_operating(result.shipped))
    return message


def _write_tier(model: str, tier: TierResult) -> pb.TierResult:
    message = pb.TierResult(
        tier=tier.tier,
        version=tier.version,
        policy=policy_name(model, tier.policy) if tier.policy else "",
        threshold=tier.threshold,
        epsilon=tier.epsilon,
        coverage=tier.coverage,
        exit_share=tier.exit_share,
        missing=tier.missing,
        cost=tier.cost,
    )
    if tier.fitness is not None:
        message.preflight.CopyFrom(_write_fitness(tier.fitness))
    return message


def _write_fitness(found: Fitness) -> pb.Preflight:
    return pb.Preflight(
        auroc=found.auroc,
        aurc=found.aurc,
        caught=found.caught,
        disagreements=found.disagreements,
        questions=found.questions,
        fit=found.fit,
    )


def _write_operating(point: Operating) -> pb.OperatingPoint:
    return pb.OperatingPoint(name=point.name, risk=point.risk, cost=point.cost, exit_shares=point.exit_shares)


def _time(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(int(seconds * 1e6) * 1000)
    return made
