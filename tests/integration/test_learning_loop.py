"""The loop of learning as it runs: a device that knows five digits, and a cloud that knows ten."""

import os
import time

import pytest

from bench.learning_mesh import Pair, asking
from demo.asking import make_request, read
from demo.digits import Digits, DigitsMissing, load_all
from demo.streams import REGIONS, streams
from upriver.channels import ChannelOptions, open_channel
from upriver.services import Stub
from upriver.v1 import head_pb2

SERVICE = head_pb2.DESCRIPTOR.services_by_name["HeadService"]
MOST, AFTER = 2_500, 150
NEARLY_NOTHING = 0.9999
"""A confidence that a few of the known digits reach."""


@pytest.fixture(scope="module")
def digits():
    try:
        every = load_all()
    except DigitsMissing as missing:
        if os.environ.get("UPRIVER_REQUIRE_REAL") == "1":
            raise
        pytest.skip(str(missing))
    rows = streams(every.labels, REGIONS["west"], MOST + AFTER, 7).asked
    return Digits(every.images[rows], every.labels[rows])


def ask(asker, digits, index):
    return read(asker.ask(make_request(digits.images[index : index + 1])), 0.0)


def test_a_device_learns_what_it_had_to_ask_and_answers_it_once_that_is_certified(tmp_path, digits):
    pair = Pair(tmp_path)
    try:
        pair.start_top()
        pair.start_device("pupil", True, 0.4, NEARLY_NOTHING, max_loss=0.05)
        pair.wait_found("pupil", digits)
        channel = open_channel(pair.addresses["pupil"], ChannelOptions())
        heads = Stub(channel, SERVICE)
        with asking(pair.addresses["pupil"]) as asker:
            first = [ask(asker, digits, index) for index in range(100)]
            after = answered(asker, digits, promoted(asker, heads, digits, len(first)))
        trial = next(one for one in heads.ListHeads(head_pb2.ListHeadsRequest()).models[0].trials if one.promoted)
        channel.close()
    finally:
        pair.stop()
    assert sum(one.tier == "cloud" for one in first) > 80
    assert trial.p_loss <= trial.delta < 0.05
    assert trial.losses <= 0.05 * trial.questions
    new = {one.label for one in after if one.tier == "device"} & {"5", "6", "7"}
    assert new, "it answers digits that its version does not know"


def promoted(asker, heads, digits, asked):
    """Asks until a head that was learnt answers; gives how many were asked. Who has enough lessons looks at them once a
    second: from there on questions come so slowly that time runs out before they do."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and asked < MOST:
        for _ in range(20):
            ask(asker, digits, asked)
            asked += 1
        learning = heads.ListHeads(head_pb2.ListHeadsRequest()).models[0]
        if any(trial.answers for trial in learning.trials):
            return asked
        time.sleep(1.0 if learning.lessons >= 200 else 0.02)
    raise AssertionError(f"no head answers after {asked} questions")


def answered(asker, digits, asked):
    """Asks until fewer than six of ten go up, for the first head may know little; gives those answers."""
    while asked <= MOST:
        found = [ask(asker, digits, index) for index in range(asked, asked + AFTER)]
        if sum(one.tier == "cloud" for one in found) < 0.6 * AFTER:
            return found
        asked += AFTER
        time.sleep(1.0)  # for a head that knows more
    raise AssertionError(f"it still asks above after {asked} questions")
