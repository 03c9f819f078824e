"""What terminal and console say of agents."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from upriver.v1 import fleet_pb2, mesh_pb2, sync_pb2
from upriver_control.telling import fleet, mesh
from upriver_control.telling.audits import told as told_audits
from upriver_control.telling.times import moment


def slot(difference: str = "", seconds: int = 0) -> fleet_pb2.AgentSlot:
    made = fleet_pb2.AgentSlot(model="digits", difference=difference)
    made.different_for.seconds = seconds
    return made


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, ""), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_a_span_is_told_in_the_largest_unit_that_there_are_two_of(seconds: int, told: str) -> None:
    assert fleet.span(seconds) == told


def test_the_slot_that_has_differed_longest_says_for_how_long() -> None:
    assert fleet.lasting([slot("it runs v1", 5), slot("it runs v2", 500), slot("", 9000)]) == "8 min"
    assert fleet.lasting([slot("", 9000)]) == ""


def test_a_slot_that_is_empty_runs_nothing_and_wants_nothing() -> None:
    empty = fleet_pb2.AgentSlot(model="digits")
    assert fleet.runs(empty) == "digits -"
    assert fleet.wanted(empty) == "-"
    assert fleet.state(empty.reported) == "empty"
    assert fleet.failure(empty.reported) is None


def test_a_slot_says_what_runs_that_it_was_refined_and_that_its_alarm_rings() -> None:
    report = sync_pb2.SlotReport(active={"version": "models/digits/versions/v3"}, refined={"lessons": 4})
    report.monitor.alarm_time.seconds = 1
    assert fleet.runs(fleet_pb2.AgentSlot(model="digits", reported=report)) == "digits v3 refined ALARM"


def test_audits_are_told_with_what_is_wrong() -> None:
    monitor = sync_pb2.Monitor(watched=True, audits=9, disagreements=2, warnings=["scores moved"], waiting=3, dropped=1)
    assert told_audits(monitor) == "2 of 9 audits differ; scores moved; 3 wait; 1 dropped"
    assert told_audits(sync_pb2.Monitor()) == ""


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_that_an_agent_tells_can_be_said(seconds: int) -> None:
    assert moment(Timestamp(seconds=seconds))


def test_a_time_is_told_to_the_second() -> None:
    assert moment(Timestamp(seconds=1772600767)) == "2026-03-04T05:06:07Z"


def test_what_is_wrong_at_an_agent_is_told_the_worst_first() -> None:
    agent = mesh_pb2.MeshAgent(connected=True, in_sync=False, load=0.95, alarms=["digits"])
    assert mesh.troubles(agent) == ("ALARM digits", "not as desired", "busy: 95% taken")
    assert mesh.is_grave(agent)


def test_of_an_agent_that_is_gone_nothing_is_said_that_may_have_changed_since() -> None:
    gone = mesh_pb2.MeshAgent(connected=False, in_sync=False, load=1.0)
    assert mesh.troubles(gone) == ("not connected",)
    assert mesh.is_grave(gone)


def test_of_an_agent_that_is_well_there_is_nothing_to_say() -> None:
    well = mesh_pb2.MeshAgent(connected=True, in_sync=True, load=0.2, versions=["models/digits/versions/v3"])
    assert mesh.troubles(well) == ()
    assert not mesh.is_grave(well)
    assert mesh.runs(well) == "digits v3"
    assert mesh.runs(mesh_pb2.MeshAgent()) == "nothing"
