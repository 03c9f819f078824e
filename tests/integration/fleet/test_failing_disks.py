"""A device's disk is full, or can't be written to: it answers on with what it has, says so, and goes on with room."""

from contextlib import ExitStack, contextmanager

import pytest

from tests.agent_process import running, until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import limit_files, publish, recorded, refusal, roll_out, shown, small_disk
from tests.versions import MIB

SIZE = 3 * MIB
RETRIES_S = 40
"""A disk is tried again after 2, 4, 8 s and so on, with full jitter."""


@contextmanager
def answering(tmp_path, plane, operator):
    """An agent that answers with v1; what it keeps is below tmp_path/dev-1."""
    with following(tmp_path, plane, "dev-1") as agent:
        roll_out(operator, "v1")
        until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
        yield agent


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "control") as plane:
        for seed, version in enumerate(("v1", "v2")):
            publish(plane, tmp_path, version, SIZE, seed)
        yield plane


def refuses_and_takes_it_later(plane, operator, agent, mend):
    roll_out(operator, "v2")
    told = until(lambda: refusal(plane, "dev-1", "disk"), 30, "the refusal in the fleet")
    assert version_of(agent) == "v1"
    assert shown(plane, "dev-1")["active"].endswith("/v1")
    mend()
    until(lambda: version_of(agent) == "v2", RETRIES_S, "the new version")
    until(lambda: shown(plane, "dev-1")["difference"] == "", 10, "the fleet as desired")
    return told


def test_a_full_disk(tmp_path, plane):
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "dev-1", 16 * MIB))
        operator = stack.enter_context(plane.stubs())
        agent = stack.enter_context(answering(tmp_path, plane, operator))
        disk.fill(but_bytes=MIB)
        told = refuses_and_takes_it_later(plane, operator, agent, disk.free)
        assert "No space left on device" in told


def test_a_disk_without_a_byte_of_room_and_a_restart_on_it(tmp_path, plane):
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "dev-1", 16 * MIB))
        operator = stack.enter_context(plane.stubs())
        agent = stack.enter_context(answering(tmp_path, plane, operator))
        disk.fill(but_bytes=0)
        roll_out(operator, "v2")
        until(lambda: refusal(plane, "dev-1", "disk"), 30, "the refusal in the fleet")
        agent.kill()
        again = stack.enter_context(running(agent.config, "dev-1"))
        assert version_of(again) == "v1"
        until(lambda: refusal(plane, "dev-1", "disk"), 30, "the refusal after the restart")
        disk.free()
        until(lambda: recorded(tmp_path / "dev-1") == "v2", RETRIES_S, "the new version")


def test_a_disk_that_can_only_be_read_and_a_restart_on_it(tmp_path, plane):
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "dev-1", 16 * MIB))
        operator = stack.enter_context(plane.stubs())
        agent = stack.enter_context(answering(tmp_path, plane, operator))
        until(lambda: becomes_read_only(disk), 10, "a moment without a file open for writing")
        roll_out(operator, "v2")
        told = until(lambda: refusal(plane, "dev-1", "disk"), 30, "the refusal in the fleet")
        assert "Read-only file system" in told
        assert version_of(agent) == "v1"
        agent.kill()
        again = stack.enter_context(running(agent.config, "dev-1"))
        assert version_of(again) == "v1"
        until(lambda: refusal(plane, "dev-1", "disk"), 30, "the refusal after the restart")
        disk.read_only(False)
        until(lambda: recorded(tmp_path / "dev-1") == "v2", RETRIES_S, "the new version")


def becomes_read_only(disk):
    try:
        disk.read_only(True)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("most", [0, MIB])
def test_files_that_can_not_grow(tmp_path, plane, most):
    """As a full disk, made by a limit of the process: everywhere, whoever runs the test. 0 is a byte of nothing."""
    with plane.stubs() as operator, answering(tmp_path, plane, operator) as agent:
        limit_files(agent.pid, most)
        told = refuses_and_takes_it_later(plane, operator, agent, lambda: limit_files(agent.pid, 64 * MIB))
        assert "File too large" in told
