"""Who trusts whom, in real processes: signatures that run out, wrong roots, TLS, and a control plane without tokens."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.asking import version_of
from tests.certificates import make_certificates
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, refusal, roll_out
from tests.versions import make_version
from upriver.errors import Untrusted
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust

UPRIVER = str(Path(sys.executable).with_name("upriver"))
SHORT_S = 10.0
AT_ONCE = ("--rings", "100%", "--soak", "0s", "--wait")


def test_signatures_that_hold_for_seconds_are_renewed_while_it_runs(tmp_path):
    settings = f"[trust]\ntimestamp_days = {SHORT_S / 86_400}"
    with control_plane(tmp_path / "control", settings) as plane, following(tmp_path, plane, "dev-1") as agent:
        publish(plane, tmp_path, "v1")
        publish(plane, tmp_path, "v2")
        signed = plane.state / "metadata" / "timestamp.json"
        begun, first = time.monotonic(), json.loads(signed.read_text())["signed"]
        plane.upriver("rollout", "start", "pattern/v1", *AT_ONCE)
        until(lambda: time.monotonic() - begun > SHORT_S + 2, SHORT_S + 10, "the end of the first signature's time")
        later = json.loads(signed.read_text())["signed"]
        assert later["version"] > first["version"]
        plane.upriver("rollout", "start", "pattern/v2", *AT_ONCE)
        assert version_of(agent) == "v2"
        fingerprint = plane.join.rpartition("=")[2]
        plane.kill()
        # Nobody renews now: the agent's own rule is what refuses, once the time is over.
        last = datetime.fromisoformat(json.loads(signed.read_text())["signed"]["expires"])
        until(lambda: datetime.now(UTC) > last, SHORT_S + 2, "the end of the last signature's time")
        with pytest.raises(Untrusted, match="expired"):
            Trust(tmp_path / "trust", FolderMetadata(plane.state / "metadata"), fingerprint).refresh()
        assert version_of(agent) == "v2"
        plane.start()
        until(lambda: json.loads(signed.read_text())["signed"]["version"] > later["version"], 10, "signed anew at once")


def test_an_agent_refuses_a_control_plane_with_another_root_and_says_which(tmp_path):
    with control_plane(tmp_path / "control") as plane:
        publish(plane, tmp_path, "v1")
        right = plane.join
        wrong = right[:-64] + "0" * 64
        plane.join = wrong
        with following(tmp_path, plane, "dev-1") as agent, plane.stubs() as operator:
            roll_out(operator, "v1")
            told = until(lambda: refusal(plane, "dev-1", "untrusted"), 30, "the refusal in the fleet")
            assert "wrong fingerprint" in told
            assert version_of(agent) == ""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, ["control"])
    make_certificates(folder, ["other"], authority="strangers")
    return folder


def test_everything_goes_over_tls_and_a_stranger_is_not_talked_to(tmp_path, certificates):
    tls = f'certificate = "{certificates}/control.pem"\nkey = "{certificates}/control.key"\n'
    with control_plane(tmp_path / "control", server=tls) as plane:
        ca = ("--ca", f"{certificates}/ca.pem")
        plane.upriver("model", "publish", str(make_version(tmp_path, "v1", 0.0)), *ca)
        with (
            following(tmp_path, plane, "dev-1", control=f'ca = "{certificates}/ca.pem"') as agent,
            following(tmp_path, plane, "wary", control=f'ca = "{certificates}/strangers.pem"') as wary,
        ):
            plane.upriver("rollout", "start", "pattern/v1", *AT_ONCE, *ca)
            assert version_of(agent) == "v1"
            until(lambda: "UNAVAILABLE" in wary.log.read_text(), 20, "that it did not connect")
            listed = json.loads(plane.upriver("fleet", "list", "--json", *ca))
            assert [one["name"] for one in listed["agents"]] == ["dev-1"]
        for trusting, told in (
            ((), "if it serves over TLS, give its authority: --ca"),
            (("--ca", f"{certificates}/strangers.pem"), "CERTIFICATE_VERIFY_FAILED"),
        ):
            done = subprocess.run(
                [UPRIVER, "fleet", "list", *trusting], env=plane.operator(), capture_output=True, text=True, timeout=30
            )
            assert (done.returncode, done.stdout) == (1, "")
            assert told in done.stderr


def test_without_tokens_anybody_who_reaches_the_port_may_join_and_command(tmp_path):
    with control_plane(tmp_path / "control", "[access]\nrequired = false") as plane:
        assert "@" not in plane.join
        assert not (plane.state / "operator-token").exists()
        publish(plane, tmp_path, "v1")
        with following(tmp_path, plane, "dev-1") as agent:
            plane.upriver("rollout", "start", "pattern/v1", *AT_ONCE)
            assert version_of(agent) == "v1"
