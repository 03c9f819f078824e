"""kill -9 of the control plane at random points: whatever it was at, it comes back with everything whole."""

import itertools
import json
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from io import StringIO

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from tests.agent_process import running, until
from tests.asking import ask
from tests.control_plane_process import Operator, control_plane, following
from tests.fleet_faults import publish
from tests.simulated_agents import simulated
from tests.versions import MIB, make_version, pad
from upriver.errors import Unreachable
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver.v1 import rollout_pb2
from upriver_agent.policy import make_policy
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
from upriver_control.cli.connection import Connection
from upriver_control.cli.publishing import Publication
from upriver_control.cli.publishing import publish as upload

KILLS = 50
PUBLISHING_KILLS = 15
EARLY, EARLY_S, LATE_S = 0.3, 0.9, 0.6
"""Share of kills that come while it starts, within so long; the others come so long after it serves."""
VERSIONS = ("v1", "v2", "v3")
QUICK = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
ENDED = (rollout_pb2.ROLLOUT_STATE_COMPLETED, rollout_pb2.ROLLOUT_STATE_SUPERSEDED)
STRATEGY = rollout_pb2.Strategy(
    rings=[rollout_pb2.Ring(count=1), rollout_pb2.Ring(percent=60), rollout_pb2.Ring(percent=100)],
    soak_time=Duration(nanos=200_000_000),
    failure_limit=1.0,
    min_sample=1,
    progress_deadline=Duration(seconds=600),
)


@contextmanager
def in_the_background(work):
    """Does something on a thread until the event that it is given is set; what it raised is raised at the end."""
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, ended)
        try:
            yield future
        finally:
            ended.set()
        future.result(120)


def kill_soon(plane, chance):
    """Starts the control plane, kills it some time later, and says whether it served then."""
    plane.start(wait=False)
    ready = plane.folder / f"{plane.name}.ready"
    if chance.random() < EARLY:
        pause(plane, chance.uniform(0.0, EARLY_S))
    else:
        until(lambda: ready.exists() or plane.process.poll() is not None, 30, "serving")
        pause(plane, chance.uniform(0.0, LATE_S))
    served = ready.exists()
    assert plane.process.poll() is None, plane.log.read_text()[-4000:]
    plane.kill()
    return served


def pause(plane, seconds):
    try:
        plane.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


class Trusting:
    """What an agent that never saw the control plane makes of its metadata, as it lies on disk."""

    def __init__(self, plane, folder):
        self._metadata = plane.state / "metadata"
        self._fingerprint = plane.join.rpartition("=")[2]
        self._folders = (folder / f"trust-{number}" for number in itertools.count())

    def accepts(self, versions):
        """Raises unless it takes in these versions, by name with their digests."""
        trust = Trust(next(self._folders), FolderMetadata(self._metadata), self._fingerprint)
        trust.refresh()
        for name, digest in versions.items():
            trust.version(name, digest)


def check_database(plane):
    with closing(sqlite3.connect(plane.state / "control.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class Hasty:
    """An operator who starts rollout after rollout, and often does not wait for the end of one.

    Most are for simulated agents only: a real one stays away longer the more often the control plane goes away.
    """

    def __init__(self, plane, chance):
        self._plane, self._chance = plane, chance
        self.made = []

    def work(self, ended):
        with grpc.insecure_channel(self._plane.address, QUICK) as channel:
            operator = Operator(channel, self._plane.token)
            for number in itertools.count():
                if ended.is_set():
                    return
                version = VERSIONS[number % len(VERSIONS)]
                overrides = f'{{"threshold": {number / 1000}}}' if number % 2 else ""
                selector = "" if number % 4 == 3 else "tier=device"
                order = (f"models/pattern/versions/{version}", selector, STRATEGY, f"request-{number}", overrides)
                self.made.append(self._insist(lambda order=order: operator.start(*order)))
                patience = time.monotonic() + self._chance.choice((0.5, 4.0, 15.0))
                while time.monotonic() < patience and not ended.wait(0.1):
                    if self._insist(lambda: operator.rollout(self.made[-1].name)).state in ENDED:
                        break

    def _insist(self, call):
        for _ in range(200):
            try:
                return call()
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
            time.sleep(0.05)
        raise AssertionError("the control plane is not there for long enough")


def test_no_rollout_is_lost_or_half_applied_by_kill_9_at_50_points(tmp_path):
    chance = np.random.default_rng(29)
    with control_plane(tmp_path / "control") as plane, following(tmp_path, plane, "real", "cloud") as agent:
        for version in VERSIONS:
            publish(plane, tmp_path, version, threshold=0.5)
        names = ("sim-1", "sim-2", "sim-3")
        token = plane.join.partition("//")[2].partition("@")[0]
        trusting, hasty = Trusting(plane, tmp_path), Hasty(plane, chance)
        served, began = 0, time.monotonic()
        with simulated(names, [plane.address], token) as simulations:
            with in_the_background(hasty.work):
                plane.kill()
                for _ in range(KILLS):
                    served += kill_soon(plane, chance)
                    trusting.accepts({})
                plane.start()
            took_s = time.monotonic() - began
            agent.kill()
            with running(agent.config, "real") as again, plane.stubs() as operator:
                newest = operator.start(
                    f"models/pattern/versions/{VERSIONS[0]}", "", STRATEGY, overrides='{"threshold": 0.9}'
                )
                made = [*hasty.made, newest]
                ended = until(
                    lambda: (r := operator.rollout(newest.name)).state in ENDED and r, 60, "the newest rollout's end"
                )
                assert ended.state == rollout_pb2.ROLLOUT_STATE_COMPLETED
                assert len({rollout.name for rollout in made}) == len(made)
                kept = {rollout.name: operator.rollout(rollout.name) for rollout in made}
                assert all(rollout.state in ENDED for rollout in kept.values()), kept
                assert [operator.rollout(one.name).pair for one in made] == [one.pair for one in made]
                trusting.accepts({one.pair.version: one.pair.version_digest for one in made})
                until(lambda: all(told.in_sync for told in operator.agents().values()), 30, "all as desired")
                # What each was told is some rollout's whole pair, and never an older one's after a newer one's.
                whole = {rollout.name: rollout.pair for rollout in made}
                for name, simulation in simulations.items():
                    generations = [assignment.generation for assignment in simulation.history]
                    assert generations == sorted(generations), name
                    assert all(whole[told.rollout] == told.pair for told in simulation.history), name
                    assert simulation.active["pattern"].pair == newest.pair, name
                answer = ask(again)
                policy = make_policy(PolicyDocument(newest.pair.version_digest, ScoreKind.MAX_PROBABILITY, 0.9))
                assert answer.model_version == VERSIONS[0]
                assert answer.parameters["upriver.policy"].string_param == policy.digest
        plane.terminate()
        check_database(plane)
        states = [rollout_pb2.RolloutState.Name(one.state).removeprefix("ROLLOUT_STATE_") for one in kept.values()]
        print(f"{KILLS} kills in {took_s:.0f} s, {served} of them while it served; {len(made)} rollouts: "
              f"{states.count('COMPLETED')} completed, {states.count('SUPERSEDED')} superseded")  # fmt: skip
        assert served > KILLS / 2
        assert len(made) > KILLS / 5
        assert "Traceback" not in plane.log.read_text(), plane.log.read_text()[-4000:]


def attempt(plane, folder):
    """Publishes as the command does; the version, or None when the control plane went away meanwhile."""
    order = Publication(folder, "", "", {}, (), None, None, "none", 60.0)
    try:
        with Connection(plane.address, plane.state / "operator-token") as connection:
            version, _, _ = upload(connection, order, Console(file=StringIO()))
    except Unreachable:
        return None
    return version


def children_of(plane):
    """Processes that look a version over for this control plane."""
    told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if str(plane.state / "uploads") in line]


def test_a_version_is_there_whole_or_not_at_all_when_publishing_was_killed(tmp_path):
    chance = np.random.default_rng(31)
    published, killed = {}, 0
    with control_plane(tmp_path / "control") as plane:
        trusting = Trusting(plane, tmp_path)
        folder = None
        while killed < PUBLISHING_KILLS:
            if folder is None:
                version = f"v{len(published)}"
                folder = pad(make_version(tmp_path, version, 0.5), MIB + len(published), len(published))
            done = []
            with in_the_background(
                lambda _, folder=folder, done=done: done.append(attempt(plane, folder))
            ) as publishing:
                wait([publishing], chance.uniform(0.05, 1.2))
                plane.kill()
                killed += 1
            check_database(plane)
            trusting.accepts(published)
            until(lambda: not children_of(plane), 10, "the end of what the control plane had started")
            plane.start()
            if done[0] is not None:
                published[done[0].name] = done[0].digest
                folder = None
        for name, digest in published.items():
            again = attempt(plane, tmp_path / f"version-{name.rpartition('/')[2]}")
            assert (again.name, again.digest) == (name, digest)
        for name in published:
            told = json.loads(
                plane.upriver("model", "show", name.replace("models/", "").replace("versions/", ""), "--json")
            )
            assert told["digest"] == published[name]
        print(f"{killed} kills, {len(published)} versions published")
        assert published
