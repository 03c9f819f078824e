"""PostgreSQL goes away during a rollout: agents answer on, operators are told why they wait, and all goes on after."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import ROLLOUTS, control_plane, following
from tests.fleet_faults import publish
from tests.freezing import freeze
from tests.postgres_process import real_postgres
from upriver.services import Stub
from upriver.v1 import blob_pb2, rollout_pb2

BLOBS = blob_pb2.DESCRIPTOR.services_by_name["BlobService"]
SHORT_S, LONG_S = 3.0, 16.0
"""Absences that transactions outlive by being repeated, and that they do not."""
GOES_ON_S = 20.0
"""A rollout is under way so soon after the database answers again; some seconds on a quiet machine."""
COMPLETED = rollout_pb2.ROLLOUT_STATE_COMPLETED
SLOW = rollout_pb2.Strategy(
    rings=[rollout_pb2.Ring(count=1), rollout_pb2.Ring(percent=100)],
    soak_time=Duration(seconds=4),
    failure_limit=1.0,
    min_sample=1,
    progress_deadline=Duration(seconds=600),
)

pytestmark = pytest.mark.real_postgresql


@pytest.fixture
def postgres():
    with real_postgres() as process:
        yield process


def test_a_rollout_goes_on_after_postgresql_was_gone_and_nothing_has_ended(postgres, tmp_path):
    settings = f'database = "{postgres.new_database()}"'
    with (
        control_plane(tmp_path / "control", settings) as plane,
        following(tmp_path, plane, "dev-1") as one,
        following(tmp_path, plane, "dev-2") as two,
        plane.stubs() as operator,
    ):
        for version in ("v1", "v2", "v3"):
            publish(plane, tmp_path, version)
        plane.upriver("rollout", "start", "pattern/v1", "--rings", "100%", "--soak", "0s", "--wait")
        for version, away_s in (("v2", SHORT_S), ("v3", LONG_S)):
            rollout = operator.start(f"models/pattern/versions/{version}", "", SLOW)
            until(lambda name=rollout.name: operator.rollout(name).rings[0].active == 1, 30, "the first ring")
            postgres.stop()
            gone = time.monotonic()
            before = {version_of(one), version_of(two)}
            assert len(before) == 2
            if away_s == LONG_S:
                operators_do_not_hold_up_agents(plane)
                refused(plane)
            # Who was told goes on, who was not waits; all that is connected stays so, and can be looked at.
            while time.monotonic() - gone < away_s:
                assert {version_of(one), version_of(two)} == before
                assert all(agent.connected for agent in operator.agents().values())
                time.sleep(0.3)
            postgres.start()
            assert operator.rollout(rollout.name).name == rollout.name
            until(lambda name=rollout.name: operator.rollout(name).state == COMPLETED, 40, f"the end of {version}'s")
            assert {version_of(one), version_of(two)} == {version}
        assert "rollouts are read again" in plane.log.read_text()
        assert "Traceback" not in plane.log.read_text(), plane.log.read_text()[-4000:]
        assert all(process.poll() is None for process in (plane.process, one.process, two.process))


def operators_do_not_hold_up_agents(plane):
    """However many operators wait for the database: what agents fetch comes at once."""
    listing = rollout_pb2.ListRolloutsRequest()
    access = (("authorization", f"Bearer {plane.token}"),)
    with grpc.insecure_channel(plane.address) as channel:
        waiting = [Stub(channel, ROLLOUTS).ListRollouts.future(listing, timeout=20, metadata=access) for _ in range(20)]
        time.sleep(1.0)
        fetched = blob_pb2.FetchMetadataRequest(name="timestamp.json")
        assert Stub(channel, BLOBS).FetchMetadata(fetched, timeout=2, metadata=access).data
        for call in waiting:
            call.cancel()


def refused(plane):
    """What an operator is told meanwhile: within a bounded time, and in one line that names the database."""
    began = time.monotonic()
    for command in (("rollout", "list"), ("rollout", "start", "pattern/v1"), ("model", "list")):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("upriver")), *command],
            env=plane.operator(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        print(f"{' '.join(command)}: {done.returncode}, after {time.monotonic() - began:.1f} s: {done.stderr.strip()}")
        assert done.returncode == 1
        assert "database can't be reached" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@contextmanager
def frozen(postgres):
    """All of the server's processes stand still: connections stay open, and nothing is answered."""
    children = [int(pid) for pid in Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text().split()]
    for pid in (postgres.pid, *children):
        freeze(pid)
    try:
        yield
    finally:
        for pid in (postgres.pid, *children):
            os.kill(pid, signal.SIGCONT)


def test_a_database_that_answers_nothing_holds_up_neither_agents_nor_what_comes_after(postgres, tmp_path):
    settings = f'database = "{postgres.new_database()}"'
    with (
        control_plane(tmp_path / "control", settings) as plane,
        following(tmp_path, plane, "dev-1") as agent,
    ):
        for version in ("v1", "v2"):
            publish(plane, tmp_path, version)
        plane.upriver("rollout", "start", "pattern/v1", "--rings", "100%", "--soak", "0s", "--wait")
        with frozen(postgres):
            began = time.monotonic()
            command = [str(Path(sys.executable).with_name("upriver")), "rollout", "list"]
            done = subprocess.run(command, env=plane.operator(), capture_output=True, text=True, timeout=60)
            assert done.returncode == 1
            assert time.monotonic() - began < 30
            operators_do_not_hold_up_agents(plane)
            assert version_of(agent) == "v1"
            print(f"told after {time.monotonic() - began:.1f} s: {done.stderr.strip()}")
        again = time.monotonic()
        plane.upriver("rollout", "start", "pattern/v2", "--rings", "100%", "--soak", "0s", "--wait")
        print(f"the next rollout took {time.monotonic() - again:.1f} s")
        assert time.monotonic() - again < GOES_ON_S
        assert version_of(agent) == "v2"
        assert plane.process.poll() is None
