"""Audits where there is a control plane: operators see the alarm, the records arrive once, and a new pair ends it."""

import grpc

from tests.agent_process import until
from tests.asking import question
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import roll_out
from tests.integration.audits.test_audits import Journal, ask
from tests.versions import LABELS, make_version
from upriver.services import Stub
from upriver.v1 import audit_pb2

AUDITS = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]
EVERYTHING = "[audits]\nrate = 1.0\nmax_rate = 1.0\nper_s = 10000\ntarget = 0.005\n"


def summaries(plane):
    with grpc.insecure_channel(plane.address) as channel:
        request = audit_pb2.SummarizeAuditsRequest(parent="models/pattern")
        token = (("authorization", f"Bearer {plane.token}"),)
        return Stub(channel, AUDITS).SummarizeAudits(request, metadata=token, timeout=20).summaries


def reported(operator, agent):
    """What an agent reports of its one slot, once it has one."""
    slots = operator.agents()[agent].slots
    return slots[0].reported if slots else None


def runs(operator, agent, version):
    told = reported(operator, agent)
    return told is not None and told.active.version.endswith(f"/{version}")


def test_operators_see_an_alarm_with_its_audits_and_a_new_pair_ends_it(tmp_path):
    with (
        control_plane(tmp_path / "control") as plane,
        following(tmp_path, plane, "cloud-1", "cloud"),
        following(tmp_path, plane, "dev-1", more=EVERYTHING) as device,
        plane.stubs() as operator,
    ):
        plane.upriver("model", "publish", str(make_version(tmp_path, "right", 0.0)))
        plane.upriver("model", "publish", str(make_version(tmp_path, "wrong", 0.0, labels=LABELS[::-1])))
        roll_out(operator, "right", "tier=cloud")
        roll_out(operator, "wrong", "tier=device")
        until(lambda: runs(operator, "cloud-1", "right") and runs(operator, "dev-1", "wrong"), 60, "two versions")
        until(lambda: ask(device, question())["reason"] == "alarm", 60, "the alarm")
        told = ask(device, question())
        assert (told["agent"], told["reason"], told["resolved"]) == ("cloud-1", "alarm", True)
        until(lambda: reported(operator, "dev-1").monitor.HasField("alarm_time"), 30, "the alarm in the status")
        monitor = reported(operator, "dev-1").monitor
        assert monitor.watched
        assert monitor.note.startswith("not certified: watched against")
        assert monitor.disagreements > 0
        assert "ALARM since" in plane.upriver("fleet", "show", "dev-1")

        journal = Journal(tmp_path, "dev-1")
        until(lambda: not journal.waiting(), 30, "all verdicts")
        counted = journal.judged()
        until(lambda: sum(one.audits for one in summaries(plane)) == counted[0], 60, "the records")
        (summary,) = summaries(plane)
        assert (summary.agent, summary.tier) == ("dev-1", "device")
        assert (summary.passed, summary.disagreements) == counted
        assert "dev-1" in plane.upriver("fleet", "audits", "pattern")

        roll_out(operator, "right", "tier=device")
        until(lambda: runs(operator, "dev-1", "right"), 60, "the new pair")
        assert ask(device, question())["reason"] == "confident"
        until(lambda: not reported(operator, "dev-1").monitor.HasField("alarm_time"), 30, "the end of the alarm")
        top = reported(operator, "cloud-1").monitor
        assert not top.watched
        assert "top of the ladder" in top.note
