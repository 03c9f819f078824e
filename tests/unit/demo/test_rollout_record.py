"""What the demo tells of a rollout: bytes between two looks at the fleet, and a device's state in words."""

import pytest

from demo.rollouts import device_row, record, strategy
from upriver.v1 import fleet_pb2, rollout_pb2, sync_pb2
from upriver_control.wire import read_strategy

VERSION = "models/digits/versions/better"


def agent(name, control=0, agents=0, saved=0, **slot):
    made = fleet_pb2.Agent(
        name=f"agents/{name}",
        tier=name.rpartition("-")[0],
        fetched_control_plane_bytes=control,
        fetched_agent_bytes=agents,
        delta_saved_bytes=saved,
    )
    if slot:
        made.slots.add(model="digits", reported=sync_pb2.SlotReport(model="digits", **slot))
    return made


def rollout(state, reason=""):
    ring = rollout_pb2.RingStatus(agents=1, active=1)
    return rollout_pb2.Rollout(name="rollouts/digits-1", state=state, reason=reason, rings=[ring])


def test_bytes_are_those_between_two_looks_and_the_ratio_is_of_devices_that_were_sent_a_delta():
    before = {"cloud-1": agent("cloud-1", 5_000), "device-1": agent("device-1", 0, 1_000)}
    after = {
        "cloud-1": agent("cloud-1", 5_600),
        "device-1": agent("device-1", 0, 1_600, 1_500),
        "device-2": agent("device-2", 0, 600, 1_500),
        "device-3": agent("device-3", 0, 2_100),
    }
    told = record(rollout(rollout_pb2.ROLLOUT_STATE_COMPLETED, "every ring has moved"), 0, before, after, 2_000)
    assert (told["bytes_from_control_plane"], told["bytes_from_agents"]) == (600, 600 + 600 + 2_100)
    assert told["delta_ratio"] == 0.25
    assert (told["state"], told["rolled_back"], told["failed_requests"]) == ("completed", False, 0)
    assert told["rings"] == [{"agents": 1, "active": 1, "failed": 0, "offline": 0}]


def test_without_a_delta_there_is_no_ratio():
    told = record(rollout(rollout_pb2.ROLLOUT_STATE_ROLLED_BACK, "worse"), 2, {}, {"device-1": agent("device-1")}, 10)
    assert told["delta_ratio"] is None
    assert (told["rolled_back"], told["reason"], told["failed_requests"]) == (True, "worse", 2)


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        ({"state": sync_pb2.SLOT_STATE_ACTIVE}, ""),
        ({"state": sync_pb2.SLOT_STATE_STAGING, "candidate": {"version": VERSION}}, "better staging"),
        (
            {
                "state": sync_pb2.SLOT_STATE_WARMED,
                "candidate": {"version": VERSION},
                "shadow": {"rows": 8, "agreed": 6},
            },
            "better shadows: agrees on 75% of 8 rows",
        ),
        (
            {"state": sync_pb2.SLOT_STATE_FAILED, "candidate": {"version": VERSION}, "reason": "too few agreed"},
            "better failed: too few agreed",
        ),
    ],
)
def test_what_is_on_its_way_to_a_device_is_told_in_words(slot, words):
    assert device_row(agent("device-1", **slot)).coming == words


def test_the_strategy_is_one_that_the_control_plane_takes():
    assert [str(ring) for ring in read_strategy(strategy()).rings] == ["1", "2", "100%"]
