"""A stream that drifts half-way: what is asked, and what is told of each part of it."""

import numpy as np

from demo.digits import Digits
from demo.drift import Alarm, drifted, order, phases
from demo.tally import Answered


def test_only_the_second_half_drifts_and_labels_stay():
    images = np.random.default_rng(1).integers(0, 256, (10, 28, 28, 1)).astype(np.uint8)
    digits = Digits(images, np.arange(10))
    changed = drifted(digits, 6, 1)
    assert np.array_equal(changed.images[:6], images[:6])
    assert all(not np.array_equal(changed.images[at], images[at]) for at in range(6, 10))
    assert np.array_equal(changed.labels, digits.labels)
    assert np.array_equal(changed.images, drifted(digits, 6, 1).images)


def test_all_digits_are_asked_once_and_then_the_drifted_ones_over_and_over():
    assert [order(number, 5, 3) for number in range(10)] == [0, 1, 2, 3, 4, 3, 4, 3, 4, 3]


def answered(number, label, tier):
    return Answered(number, number, label, tier)


STREAM = (
    answered(0, "1", "device"),
    answered(1, "1", "far-edge"),
    answered(2, "9", "device"),
    answered(3, "1", "device"),
    answered(4, "9", "far-edge"),
    answered(5, "1", "cloud"),
)
TOP = np.ones(6, np.int64)


def test_phases_are_cut_where_drift_begins_and_at_the_last_alarm():
    alarms = {
        "device-1": Alarm("device-1", 3, 1, 10, 1),
        "far-edge-1": Alarm("far-edge-1", 5, 3, 10, 1),
    }
    before, until, after = phases(STREAM, TOP, 2, alarms)
    assert (before.questions, before.local_share, before.loss) == (2, 1.0, 0.0)
    assert (until.questions, until.local_share, round(until.loss, 3)) == (3, 1.0, 0.667)
    assert (after.questions, after.local_share, after.loss) == (1, 0.0, 0.0)


def test_without_an_alarm_drift_lasts_to_the_end():
    _, until, after = phases(STREAM, TOP, 2, {})
    assert (until.questions, until.loss) == (4, 0.5)
    assert (after.questions, after.loss) == (0, 0.0)
