"""The whole calibration: scores and path on the tuning split, the certificate on the calibration split."""

from upriver_control.calibration.inputs import CalibrationInput, Progress, check, silent
from upriver_control.calibration.outcome import Calibration


def calibrate(given: CalibrationInput, progress: Progress = silent) -> Calibration:
    """Makes policies for the tiers below the top; raises InvalidInput with everything that is wrong with the input.

    Too few questions are no error: the policies then always escalate and say how many are missing.
    """
    check(given)
    raise NotImplementedError
