"""Calibrations, policies and certificates in words."""

import math
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
