"""A device's clock is two days wrong: it goes on answering, and takes nothing that it can't judge."""

import pytest

from tests.agent_process import REPOSITORY, running, until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, recorded, refusal, roll_out, shown

TWO_DAYS_S = 2 * 86_400


def wrong(ahead_s):
    return ("-P", str(REPOSITORY / "tests/afflicted_agent.py"), "--clock-ahead-s", str(ahead_s))


@pytest.fixture
def provisioned(tmp_path):
    """A control plane and an agent that has run v1; v2 is published."""
    with control_plane(tmp_path / "control") as plane:
        for version in ("v1", "v2"):
            publish(plane, tmp_path, version)
        with plane.stubs() as operator, following(tmp_path, plane, "dev-1") as agent:
            roll_out(operator, "v1")
            until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
        yield plane, agent


def test_a_clock_that_is_ahead_refuses_what_has_expired_by_it_says_so_and_answers_on(provisioned):
    plane, agent = provisioned
    with running(agent.config, "dev-1", program=wrong(TWO_DAYS_S)) as ahead, plane.stubs() as operator:
        assert version_of(ahead) == "v1"  # it starts with what it has, whatever the time
        roll_out(operator, "v2")
        told = until(lambda: refusal(plane, "dev-1", "untrusted"), 20, "the refusal in the fleet")
        assert "clock" in told
        assert "date -u" in told
        assert version_of(ahead) == "v1"
        assert shown(plane, "dev-1")["active"].endswith("/v1")
    with running(agent.config, "dev-1") as right:
        until(lambda: version_of(right) == "v2", 20, "the new version, once the clock is right")


def test_a_clock_that_is_behind_takes_what_is_signed_and_goes_on_when_it_jumps(provisioned):
    plane, agent = provisioned
    state = agent.config.with_suffix("")
    with running(agent.config, "dev-1", program=wrong(-TWO_DAYS_S)) as behind, plane.stubs() as operator:
        assert version_of(behind) == "v1"
        roll_out(operator, "v2")
        until(lambda: recorded(state) == "v2", 20, "the new version")
        until(lambda: shown(plane, "dev-1")["difference"] == "", 20, "the fleet as desired")
    with running(agent.config, "dev-1") as right:
        assert version_of(right) == "v2"
