"""Calibrations and policies as JSON."""

import json
import math
from typing import Any

from upriver.v1 import policy_pb2 as pb
from upriver_control.telling.policies import form_name, state_name, unit
from upriver_control.telling.times import moment


def calibration_document(calibration: pb.Calibration) -> dict[str, Any]:
    """A calibration for programs. Figures that are not known are null; infinite ones are the texts inf and -inf."""
    spec = calibration.spec
    document: dict[str, Any] = {
        "name": calibration.name,
        "state": state_name(calibration),
        "reason": calibration.reason,
        "progress": calibration.progress,
        "max_loss": spec.max_loss,
        "confidence": spec.confidence,
        "form": form_name(spec.form),
        "cost": unit(spec),
        "labels": spec.labels,
        "data": spec.data_digest or "audits",
        "tiers": [{"tier": tier.tier, "version": tier.version} for tier in spec.tiers],
        "created": moment(calibration.create_time),
        "ended": moment(calibration.end_time) if calibration.HasField("end_time") else None,
        "result": _result_document(calibration.result) if calibration.HasField("result") else None,
    }
    return document


def policy_document(policy: pb.Policy) -> dict[str, Any]:
    """A policy for programs."""
    certificate = policy.certificate
    return {
        "name": policy.name,
        "digest": policy.digest,
        "version": policy.version,
        "version_digest": policy.version_digest,
        "tier": policy.tier,
        "threshold": number(policy.threshold),
        "calibration": policy.calibration,
        "created": moment(policy.create_time),
        "agents": policy.agents,
        "stale": policy.stale,
        "certificate": {
            "form": form_name(certificate.form),
            "basis": "labels" if certificate.labels else "top",
            "epsilon": certificate.epsilon,
            "delta": certificate.delta,
            "questions": certificate.questions,
            "losses": certificate.losses,
            "coverage": certificate.coverage,
            "exit_share": certificate.exit_share,
            "top": certificate.top_version or certificate.top_digest,
        }
        if policy.HasField("certificate")
        else None,
        "document": json.loads(policy.document),
    }


def number(value: float) -> float | str | None:
    """A number for JSON, which has none that are infinite."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _result_document(result: pb.CalibrationResult) -> dict[str, Any]:
    return {
        "tiers": [
            {
                "tier": tier.tier,
                "version": tier.version,
                "policy": tier.policy,
                "threshold": number(tier.threshold),
                "epsilon": tier.epsilon,
                "coverage": tier.coverage,
                "exit_share": tier.exit_share,
                "missing": tier.missing,
                "cost": tier.cost,
                "preflight": {
                    "auroc": tier.preflight.auroc,
                    "aurc": tier.preflight.aurc,
                    "caught_in_least_sure_fifth": tier.preflight.caught,
                    "disagreements": tier.preflight.disagreements,
                    "questions": tier.preflight.questions,
                    "fit": tier.preflight.fit,
                }
                if tier.HasField("preflight")
                else None,
            }
            for tier in result.tiers
        ],
        "tune_questions": result.tune_questions,
        "calibrate_questions": result.calibrate_questions,
        "losses": result.losses,
        "certified_loss": result.certified_loss,
        "local_share": sum(list(result.shipped.exit_shares)[:-1]),
        "missing": result.missing,
        "chosen": result.chosen,
        "path": [
            {
                "local_share": point.local_share,
                "exit_shares": list(point.exit_shares),
                "cost": point.cost,
                "losses": point.losses,
                "p_value": point.p_value,
                "certified": point.certified,
                "bound": number(point.bound),
            }
            for point in result.path
        ],
        "shipped": _operating(result.shipped) if result.HasField("shipped") else None,
        "baselines": [_operating(point) for point in result.baselines],
        "what_if": [
            {
                "max_loss": one.max_loss,
                "local_share": one.local_share,
                "cost": one.cost,
                "losses": one.losses,
                "missing": one.missing,
            }
            for one in result.what_if
        ],
        "notes": list(result.notes),
    }


def _operating(point: pb.OperatingPoint) -> dict[str, Any]:
    return {"name": point.name, "risk": point.risk, "cost": point.cost, "exit_shares": list(point.exit_shares)}
