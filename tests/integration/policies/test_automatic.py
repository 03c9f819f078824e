"""A control plane that may certify anew by itself: an alarm, audits since then, and another pair on the device."""

import json
import math

import numpy as np

from tests.agent_process import until
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import roll_out
from tests.policy_commands import policy_json
from tests.versions import LABELS, make_version
from upriver import Client, Reason
from upriver.policies import read_policy

AUTOMATIC = '[policies]\nrecertify = "automatic"\nrecertify_every_h = 0.02\n'
EVERYTHING = "[audits]\nrate = 1.0\nmax_rate = 1.0\nper_s = 10000\n"


def test_after_an_alarm_what_runs_is_certified_anew_and_rolled_out_by_itself(tmp_path):
    with (
        control_plane(tmp_path / "control", AUTOMATIC) as plane,
        following(tmp_path, plane, "cloud-1", "cloud"),
        following(tmp_path, plane, "dev-1", more=EVERYTHING) as device,
        plane.stubs() as operator,
        Client(device.address, timeout=60) as client,
    ):
        images = np.random.default_rng(1).random((1400, 14, 14, 1), np.float32)
        np.savez(tmp_path / "holdout.npz", image=images)
        for version, labels in (("v1", LABELS), ("v2", LABELS), ("turned", LABELS[::-1])):
            plane.upriver("model", "publish", str(make_version(tmp_path, version, 0.0, labels=labels)))

        def running(agent):
            slots = operator.agents()[agent].slots
            return slots[0].reported.active if slots else None

        def runs(agent, version):
            return running(agent) is not None and running(agent).version.endswith(version)

        for version, agent, tier in (("v1", "dev-1", "device"), ("v2", "cloud-1", "cloud")):
            roll_out(operator, version, f"tier={tier}")
            until(
                lambda agent=agent, version=version: running(agent) and running(agent).version.endswith(version),
                60,
                version,
            )
        order = ("--data", str(tmp_path / "holdout.npz"), "--max-loss", "1%")
        policy_json(plane, "calibrate", "pattern", *order, "--rollout", "--rings", "100%", "--soak", "0s")
        certified = until(lambda: running("dev-1").policy_document, 60, "the certified pair")
        assert client.infer("pattern", images[0]).reason is Reason.CONFIDENT

        # The top is another one from now on, which never agrees: the certificate is worth nothing.
        roll_out(operator, "turned", "tier=cloud")
        until(lambda: runs("cloud-1", "turned"), 60, "the other top")
        until(lambda: client.infer("pattern", images[0]).reason is Reason.ALARM, 60, "the alarm")

        def asked():
            client.infer("pattern", images[:250])
            return running("dev-1").policy_document != certified

        until(asked, 120, "another pair")
        assert read_policy(running("dev-1").policy_document).threshold == math.inf
        made = policy_json(plane, "calibrations", "pattern")[0]
        assert made["state"] == "succeeded"
        started = json.loads(plane.upriver("rollout", "list", "--json"))[0]
        assert started["version"].endswith("/v1")
        # It sends everything up because its policy says so; the alarm was of the pair that was.
        told = client.infer("pattern", images[0])
        assert (told.agent, told.reason) == ("cloud-1", Reason.CONFIDENT)
