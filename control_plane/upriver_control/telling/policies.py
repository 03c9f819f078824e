"""Calibrations, policies and certificates in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from upriver.v1 import policy_pb2 as pb


def state_name(calibration: pb.Calibration) -> str:
    """`running`, `succeeded` and so on."""
    return pb.CalibrationState.Name(calibration.state).removeprefix("CALIBRATION_STATE_").lower()


def form_name(form: pb.CertificateForm) -> str:
    """`joint` or `per-tier`."""
    return "joint" if form == pb.CERTIFICATE_FORM_JOINT else "per-tier"


def unit(spec: pb.CalibrationSpec) -> str:
    """What costs are counted in."""
    return "bytes" if spec.cost == pb.COST_UNIT_BYTES else "ms"


def percent(share: float) -> str:
    """A share for people: as many digits as tell small ones apart."""
    if not math.isfinite(share):
        return "-"
    value = 100 * share
    return f"{value:.3g} %" if abs(value) < 10 else f"{round(value, 1):g} %"


def threshold(value: float) -> str:
    """A threshold for people."""
    if value == math.inf:
        return "always escalates"
    return "always answers" if value == -math.inf else f"{value:.6g}"


def agreement(document: dict[str, Any]) -> str:
    """When an answer counts as the top's, of a policy's document: `NAME` or `NAME:setting=number,...`."""
    stated = dict(document.get("agreement", {"name": "same_label"}))
    name = str(stated.pop("name"))
    settings = ",".join(f"{key}={value:g}" for key, value in sorted(stated.items()))
    return f"{name}:{settings}" if settings else name


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence and whether it is good news, worth a warning, or neither: `good`, `warn` or empty."""

    words: str
    tone: str = ""


def promise(policy: pb.Policy) -> Sequence[str]:
    """What is certified of a policy, sentence by sentence; nothing where nothing is."""
    found = policy.certificate
    if not policy.HasField("certificate"):
        return ()
    basis = "labels" if found.labels else "the top"
    shares = f"{percent(found.coverage)} pass, {percent(found.exit_share)} end here"
    return (
        f"at most {percent(found.epsilon)} lost with {percent(1 - found.delta)} confidence",
        f"{form_name(found.form)}, by {basis}: {found.losses:g} of {found.questions:,} questions lost, {shares}",
        f"held against {found.top_version or found.top_digest}",
    )


def outcome(calibration: pb.Calibration) -> Sequence[Said]:
    """What came out of a calibration, in a few sentences."""
    result, spec = calibration.result, calibration.spec
    asked = Said(f"{result.tune_questions:,} questions tuned, {result.calibrate_questions:,} others certify")
    answering = [tier for tier in list(result.tiers)[:-1] if tier.policy and tier.threshold != math.inf]
    if result.missing and not answering:
        whole = math.ceil(result.missing / max(1e-9, 1.0 - spec.tune_share))
        short = f"at least {whole:,} more questions are needed, {result.missing:,} to certify"
        return (asked, Said(f"every tier escalates always: {short}", "warn"))
    if not answering:
        return (asked, Said("no tier may answer by itself: everything goes to the top", "warn"))
    if not result.path:
        return (asked, *(Said(_tier(tier), "good") for tier in answering))
    local = sum(list(result.shipped.exit_shares)[:-1])
    certain = f"at most {percent(result.certified_loss)} lost with {percent(spec.confidence)} confidence"
    lost = f"here {result.losses:g} of {result.calibrate_questions:,} lost"
    return (
        asked,
        Said(f"{certain}, {percent(local)} answered below the top", "good"),
        Said(f"{lost}, {result.shipped.cost:.4g} {unit(spec)} a question"),
    )


def what_if(one: pb.WhatIf, spec: pb.CalibrationSpec) -> str:
    """What another target would have given, in a sentence: seen in the calibration's data, certified by none of it."""
    seen = f"{percent(one.local_share)} would be answered below the top, {one.losses:g} questions lost here"
    short = f"; to certify it, {one.missing:,} more questions are needed" if one.missing else ""
    return f"If {percent(one.max_loss)} may be lost: {seen}, {one.cost:.4g} {unit(spec)} a question{short}"


def _tier(tier: pb.TierResult) -> str:
    return f"{tier.tier}: at most {percent(tier.epsilon)} lost; {percent(tier.coverage)} pass"
