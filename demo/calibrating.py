"""Certified thresholds for the demo: uploads digits that nothing was trained on, and has a calibration made of them.

The calls are those of `upriver policy calibrate digits --data DIGITS --max-loss 0.5% --confidence 95%`.
"""

import hashlib
import io
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from demo.digits import Digits
from demo.processes import DemoFailed
from upriver.questions import INPUTS, LABELS, RowsWriter
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli.connection import Connection

MAX_LOSS = 0.005
CONFIDENCE = 0.95
SEED = 11
_PARENT = "models/digits"
_SERVICE = pb.DESCRIPTOR.services_by_name["PolicyService"]
_CHUNK = 1 << 19
_LIMIT_S = 120.0

Progress = Callable[[str, float], None]
"""Told what is being done and the share of it that is behind, 0 to 1."""


@dataclass(frozen=True)
class Certified:
    """What came out: names of policies by tier (the top has none), and what is certain of them.

    At most `max_loss` of questions end with another answer than the top's, with a probability of `confidence`: of
    `questions` that nothing was chosen on, `losses` did. `local_share` of them ended in the two lowest tiers,
    `lowest_share` in the lowest.
    """

    policies: Mapping[str, str]
    max_loss: float
    confidence: float
    questions: int
    losses: int
    local_share: float
    lowest_share: float
    seconds: float


def calibrate(
    connection: Connection,
    versions: Mapping[str, str],
    hops_ms: Mapping[str, float],
    digits: Digits,
    changes: bool,
    progress: Progress,
    max_loss: float = MAX_LOSS,
) -> Certified:
    """Calibrates the versions, by tier from the bottom to the top; `hops_ms` is the time of the hop up to each tier,
    and all that asking it costs: what models take on a machine that does all of this at once would differ every time.

    What is certified is the cascade of exactly these pairs; where some of them are to change, each pair alone.

    Half of the digits, by chance, choose scores and thresholds, the others certify. Raises DemoFailed when no policies
    come of it, and UpriverError.
    """
    started = time.monotonic()
    progress("uploading digits", 0.0)
    costs = accumulate(hops_ms.get(tier, 0.0) for tier in versions)
    tiers = [
        pb.CalibrationTier(tier=tier, version=version, cost=cost)
        for (tier, version), cost in zip(versions.items(), costs, strict=True)
    ]
    spec = pb.CalibrationSpec(
        max_loss=max_loss,
        confidence=CONFIDENCE,
        form=pb.CERTIFICATE_FORM_PER_TIER if changes else pb.CERTIFICATE_FORM_JOINT,
        cost=pb.COST_UNIT_MS,
        tiers=tiers,
        data_digest=_upload(connection, questions_file(digits)),
        seed=SEED,
    )
    request = pb.CreateCalibrationRequest(parent=_PARENT, spec=spec, request_id=uuid.uuid4().hex)
    found = connection.call(_SERVICE, "CreateCalibration", request).calibration
    watch = pb.WatchCalibrationRequest(name=found.name)
    for seen in connection.stream(_SERVICE, "WatchCalibration", watch, _LIMIT_S):
        found = seen.calibration
        progress(found.doing or "calibrating", found.progress)
    if found.state != pb.CALIBRATION_STATE_SUCCEEDED:
        raise DemoFailed(f"the calibration made no policies: {found.reason}")
    return certified(found, time.monotonic() - started)


def certified(calibration: pb.Calibration, seconds: float) -> Certified:
    """What a calibration that has succeeded came to; `seconds` is how long it took."""
    result, spec = calibration.result, calibration.spec
    shares = result.shipped.exit_shares
    return Certified(
        policies={tier.tier: tier.policy for tier in result.tiers if tier.policy},
        max_loss=spec.max_loss,
        confidence=spec.confidence,
        questions=result.calibrate_questions,
        losses=round(result.losses),
        local_share=sum(shares[:2]),
        lowest_share=shares[0],
        seconds=seconds,
    )


def questions_file(digits: Digits) -> bytes:
    """Digits as a questions file, with their labels."""
    out = io.BytesIO()
    labels = np.array([str(label) for label in digits.labels.tolist()], object)
    with RowsWriter(out) as writer:
        writer.add({INPUTS + "image": digits.images, LABELS: labels})
    return out.getvalue()


def _upload(connection: Connection, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    header = pb.CalibrationDataHeader(parent=_PARENT, digest=digest, size_bytes=len(content))

    def parts() -> Iterator[pb.UploadCalibrationDataRequest]:
        yield pb.UploadCalibrationDataRequest(header=header)
        for at in range(0, len(content), _CHUNK):
            yield pb.UploadCalibrationDataRequest(data=content[at : at + _CHUNK])

    return str(connection.call(_SERVICE, "UploadCalibrationData", parts(), 60.0).data_digest)
