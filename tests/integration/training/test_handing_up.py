"""Lessons go from a device over a tier between to the control plane, each of which is killed on the way."""

import sqlite3
from collections import Counter
from contextlib import closing

import grpc
import numpy as np
import pyarrow.dataset as ds

from tests.agent_process import running, until, write_config
from tests.control_plane_process import control_plane
from tests.versions import make_version
from upriver import Client
from upriver.cli.root import run
from upriver.lessons import SERVICE
from upriver.services import Stub
from upriver.v1 import lesson_pb2 as pb

LADDER = ["device", "cloud"]
NEVER, ALWAYS = 2.0, 0.0
SHARES = """
[cascade]
trust = "network"
[learning]
trust = "network"
access = "network"
keep_inputs = true
share = "inputs"
holdout = 0.1
"""
WAIT_S = 60
RNG = np.random.default_rng(4)


def consented(agent):
    """Ids of the lessons that an agent keeps with their inputs."""
    with grpc.insecure_channel(agent.address) as channel:
        found = Stub(channel, SERVICE).ListLessons(pb.ListLessonsRequest(page_size=500), timeout=WAIT_S).lessons
    return {one.id for one in found if one.consent}


def waiting(folder, name):
    with closing(sqlite3.connect(folder / name / "lessons.db")) as connection:
        return dict(connection.execute("SELECT id, forgotten FROM handing").fetchall())


def put_out(folder, name, id_):
    """A lesson leaves an agent's journal, as where that is full."""
    with closing(sqlite3.connect(folder / name / "lessons.db", timeout=WAIT_S)) as connection, connection:
        connection.execute("DELETE FROM lesson WHERE question || '.' || row = ?", (id_,))


def landed(plane):
    """The ids in the files of lessons, as any engine finds them."""
    folder = plane.state / "lessons"
    if not list(folder.rglob("part-*.parquet")):
        return Counter()
    found = ds.dataset(str(folder), format="parquet", partitioning="hive").to_table(columns=["id"])
    return Counter(found["id"].to_pylist())


def ask(agent, rows):
    with Client(agent.address) as client:
        client.infer("pattern", RNG.random((rows, 14, 14, 1), dtype=np.float32), learn=True)


def test_lessons_land_once_whoever_is_killed_and_forgotten_ones_are_taken_out(tmp_path):
    with control_plane(tmp_path / "plane") as plane:
        plane.kill()  # for now: what comes up waits
        joined = f'[control_plane]\njoin = "{plane.join}"\n{SHARES}'
        versions = [make_version(tmp_path, tier, answers) for tier, answers in (("cloud", ALWAYS), ("device", NEVER))]
        config = write_config(tmp_path, "cloud-1", "cloud", LADDER, versions[:1], joined)
        with running(config, "cloud-1", "cloud") as cloud:
            at = cloud.address
            device = write_config(tmp_path, "device-1", "device", LADDER, versions[1:], SHARES, [cloud])
            with running(device, "device-1") as agent:
                ask(agent, 30)
                first = until(lambda: len(found := consented(agent)) > 10 and found, WAIT_S, "lessons")
                until(lambda: waiting(tmp_path, "cloud-1").keys() >= first, WAIT_S, "what is handed up")
                cloud.kill()
                agent.kill()
        plane.start()
        config = write_config(tmp_path, "cloud-1", "cloud", LADDER, versions[:1], joined, listen=at)
        with running(config, "cloud-1", "cloud") as cloud, running(device, "device-1") as agent:
            ask(agent, 20)
            kept = until(lambda: len(found := consented(agent)) > len(first) and found, WAIT_S, "more lessons")
            until(lambda: landed(plane).keys() >= kept, WAIT_S, "lessons in files")
            plane.kill()
            plane.start()
            gone = sorted(first)[:2]
            put_out(tmp_path, "device-1", gone[0])
            for one in reversed(gone):
                assert run(["lessons", "forget", one, "--agent", agent.address, "--yes"]) == 0
            wanted = Counter(consented(agent))
            assert wanted.keys() == kept - set(gone)

            def told():
                with closing(sqlite3.connect(plane.state / "control.db")) as connection:
                    here = {id_ for (id_,) in connection.execute("SELECT id FROM lessons")}
                return here == wanted.keys()

            until(told, WAIT_S, "what was forgotten is gone")
            assert set(landed(plane).values()) == {1}
            until(lambda: not waiting(tmp_path, "cloud-1"), WAIT_S, "nothing waits")
