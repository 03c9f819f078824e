"""What the demo sends to be calibrated, and what it reads out of the answer."""

import numpy as np

from demo.calibrating import certified, questions_file
from demo.digits import Digits
from upriver.questions import inputs_of, read_index, read_rows
from upriver.v1 import policy_pb2 as pb


def test_digits_become_questions_with_their_labels(tmp_path):
    digits = Digits(np.arange(300 * 784, dtype=np.int64).astype(np.uint8).reshape(300, 28, 28, 1), np.arange(300) % 10)
    file = tmp_path / "digits"
    file.write_bytes(questions_file(digits))
    assert (read_index(file).rows, read_index(file).has_labels) == (300, True)
    groups = list(read_rows(file))
    assert np.array_equal(np.concatenate([inputs_of(group)["image"] for group in groups]), digits.images)
    labels = [label.decode() for group in groups for label in group["labels"]]
    assert labels == [str(label) for label in digits.labels]
    assert questions_file(digits) == file.read_bytes()


def test_policies_are_those_of_the_tiers_that_have_one_and_local_is_device_or_far_edge():
    shipped = pb.OperatingPoint(exit_shares=[0.75, 0.125, 0.0625, 0.0625])
    tiers = [pb.TierResult(tier="device", policy="models/digits/policies/a"), pb.TierResult(tier="cloud")]
    result = pb.CalibrationResult(tiers=tiers, calibrate_questions=5000, losses=16.0, shipped=shipped)
    told = certified(pb.Calibration(spec=pb.CalibrationSpec(max_loss=0.005, confidence=0.95), result=result), 2.5)
    assert told.policies == {"device": "models/digits/policies/a"}
    assert (told.questions, told.losses, told.local_share) == (5000, 16, 0.875)
    assert (told.max_loss, told.confidence, told.seconds) == (0.005, 0.95, 2.5)
