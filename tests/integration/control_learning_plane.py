"""The control plane's part of learning on one folder, for control_learning_crashes: what agents send, and real tables.

What is sent is kept beside, by its mark, so that whoever looks later knows what must be there.
"""

import io
import json
import os
import random
import time
from pathlib import Path

import numpy as np

from tests.handed_lessons import lesson
from tests.unit.control_plane.regional.two_regions import (
    NAME,
    TOPS,
    VERSION,
    World,
    learnt,
    policy,
)
from upriver.head_statistics import write_statistics
from upriver.listing import PRIOR
from upriver.listing import digest as digest_of
from upriver.policies import read_policy
from upriver.pool import Submission
from upriver.pool_sums import PoolPart, part_of
from upriver.pool_wire import read_part, write_part
from upriver.trials import count
from upriver.v1 import pool_pb2
from upriver_control.artifacts import FsspecArtifacts, put_bytes
from upriver_control.lessons.files import LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.policy_publishing import PolicyPublisher
from upriver_control.regional.planning import Pace
from upriver_control.regions.library import Library
from upriver_control.store.database import open_database
from upriver_control.store.heads import HeadTable
from upriver_control.store.lessons import LessonTable
from upriver_control.store.policies import PolicyTable
from upriver_control.store.records import Lineage, NewVersion, Requirements, Validation, VersionFile
from upriver_control.store.registry import RegistryStore
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository
from upriver_control.trust.signing import TrustOptions

PACE = Pace(least_lessons=30.0, wait_s=50.0, give_up_s=4000.0, again_s=500.0)
WORKER_S, TURN_S = 2000.0, 250.0
CHILDREN = {"n0": "north", "n1": "north", "s0": "south", "s1": "south"}
MEMBERS = {"north": ("n5", "n6"), "south": ("s5", "s6")}
LESSONS = (40, 90, 180)
DATE_S = 1_790_000_000.0
BARE = "-"


class Notes:
    """What was begun and what was acknowledged, a line each, that no kill takes away."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lines = path.read_text().splitlines()

    def add(self, *lines: str) -> None:
        os.write(self._file, "".join(f"{line}\n" for line in lines).encode())
        self.lines += lines

    def of(self, word: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{word} ")]


class Plane(World):
    """Everything is opened as a start of the control plane does; `point` numbers the starts."""

    def __init__(self, folder: Path, point: int, seed: int) -> None:
        self.folder, self.notes = folder, Notes(folder / "notes")
        self.database = open_database(f"sqlite:///{folder}/control.db")
        self.registry, self.policies = RegistryStore(self.database), PolicyTable(self.database)
        self.artifacts, self.heads = FsspecArtifacts(str(folder / "artifacts")), HeadTable(self.registry)
        self.signer = Repository(
            FolderMetadataStore(folder / "metadata"), Keys(folder / "keys"), TrustOptions(), time.time
        )
        self.signer.open()
        publisher = PolicyPublisher(
            self.registry, self.artifacts, self.heads, self.policies, self.signer, lambda: self.now
        )
        began = WORKER_S * (point + 1)
        library = Library(self.registry, self.artifacts, self.heads, publisher)
        super().__init__(self.database, PACE, library, began)
        self.now = began
        self.files = LessonFiles(str(folder / "lessons"))
        self.keeper = Keeper(LessonTable(self.database), self.files, Bounds(), lambda: DATE_S)
        self.chance = random.Random(seed)  # noqa: S311 - a test's course, no secret
        self.number = point << 20
        self.offers: dict[str, list[dict]] = {child: [] for child in CHILDREN}
        for line in self.notes.of("offer"):
            told = json.loads(line)
            self.offers[told["child"]].append(told)
        for line in self.notes.of("runs"):
            region, name = line.split()
            self.running[region] = policy() if name == BARE else read_policy(self.policies.get(name).document)
        for region in self.notes.of("forgot"):
            self.forgotten[region] += 1

    def publish_version(self) -> None:
        """What heads are made of: a version with what it was trained on, as sums."""
        arrays = io.BytesIO()
        np.savez(arrays, **write_statistics(learnt("ab", 300, 1)))
        digest = digest_of(arrays.getvalue())
        put_bytes(self.artifacts, digest, arrays.getvalue())
        files = (VersionFile(PRIOR, digest, len(arrays.getvalue())),)
        needs, found = Requirements(1, "1", ()), Validation("r", 1.0, 1, "t", "")
        version = NewVersion("m", NAME.rpartition("/")[2], VERSION, files, Lineage(), needs, found)
        self.registry.claim("m", version.version, VERSION, version.blobs(), 0.0, 1e9)
        self.registry.record(version, 0.0)

    def next(self) -> int:
        self.number += 1
        return self.number

    # What is pooled.

    def parts(self, region: str, agents: int) -> list[PoolPart]:
        """What some agents of a region have learnt and counted by now."""
        labels = self.chance.choice((self.seen[region], self.seen[region], "ab", "d"))
        sums = learnt(labels, self.chance.choice(LESSONS), self.next())
        found = [part_of("m", VERSION, region, sums, agents=agents, forgotten=self.forgotten[region])]
        for one in self.trials.open():
            head = self.books.head(one.trial.head)
            if head is not None and one.region == region:
                counts = count(one.trial, head, self.answers(region))
                found.append(part_of("m", VERSION, region, counts, one.id, agents))
        return found

    def sent(self, mark: str) -> list[PoolPart]:
        """The parts of what was sent."""
        parts = json.loads((self.folder / f"sent-{mark}").read_text())
        return [read_part(pool_pb2.PoolPart.FromString(bytes.fromhex(part))) for part in parts]

    def send_new(self, child: str, members: float) -> None:
        """What is there now, with each agent that may be below it with so much probability."""
        epoch = self.next()
        below = [one for one in MEMBERS[CHILDREN[child]] if self.chance.random() < members]
        roster = {one: self.next() for one in below} | {child: epoch}
        self.send(child, roster, f"{child}.{epoch}", self.parts(CHILDREN[child], len(roster)))

    def send(self, child: str, roster: dict[str, int], mark: str, parts: list[PoolPart]) -> None:
        path = self.folder / f"sent-{mark}"
        if not path.exists():
            path.write_text(json.dumps([write_part(part).SerializeToString().hex() for part in parts]))
        told = {"child": child, "roster": roster, "mark": mark, "now": self.now}
        self.offers[child].append(told)
        self.notes.add(f"offer {json.dumps(told)}")
        answer = self.pools.submit(Submission(child, roster, tuple(parts), mark), self.now)
        self.notes.add(f"took {answer.standing}")

    def pool(self) -> None:
        """A child sends what is new, the same again, what is old, or other sums as an epoch that was there."""
        child, what = self.chance.choice(sorted(CHILDREN)), self.chance.random()
        before = self.offers[child][-4:]
        if what < 0.5 or not before:
            self.send_new(child, 0.5)
        elif what < 0.65:
            last = before[-1]
            self.notes.add(f"offer {json.dumps(last | {'mark': '', 'now': self.now})}")
            answer = self.pools.unchanged(child, last["roster"][child], self.now)
            self.notes.add(f"took {answer.standing}")
        elif what < 0.9:
            one = before[-1] if what < 0.8 else before[0]
            if one["mark"]:
                self.send(child, one["roster"], one["mark"], self.sent(one["mark"]))
        else:
            other = self.parts(CHILDREN[child], len(before[-1]["roster"]))
            self.send(child, before[-1]["roster"], f"{child}.{self.next()}.other", other)

    # What is handed up.

    def hand_up(self) -> None:
        """Lessons come, some of them again, and others are forgotten, some of which never came."""
        known = self.notes.of("kept")
        ids = [f"l{self.next()}" for _ in range(4)] + self.chance.sample(known, min(2, len(known)))
        region = self.chance.choice(("north", "south"))
        gone: list[str] = []
        if known and self.chance.random() < 0.4:
            gone = [*self.chance.sample(known, min(3, len(known))), f"never{self.next()}"]
        self.notes.add(*(f"going {one}" for one in gone))
        done = self.keeper.submit([lesson(one, region=region) for one in ids], gone)
        assert set(done.kept) == {*ids, *gone}
        self.notes.add(*(f"kept {one}" for one in ids), *(f"gone {one}" for one in gone))

    def tidy(self) -> None:
        """Files are put together, and what may go of blobs goes."""
        before = len(self.keeper.table.parts())
        self.keeper.tidy()
        if len(self.keeper.table.parts()) < before:
            self.notes.add("merged 1")
        self.registry.sweep(self.now, self.artifacts.delete)

    # Heads.

    def heads_turn(self) -> None:
        """All send, a head is made and judged, and what passed is rolled out."""
        region, what = self.chance.choice(sorted(self.running)), self.chance.random()
        if what < 0.4:
            self.running[region] = policy()
            self.notes.add(f"runs {region} {BARE}")
        elif what < 0.7:
            self.forgotten[region] += 1
            self.notes.add(f"forgot {region}")
        for child in ("n0", "s0"):
            self.send_new(child, 0.0)
        self.maker.fit(self.standings(), TOPS, self.now)
        for child in CHILDREN:
            self.send_new(child, 0.0)
        self.judge.look(self.standings(), self.now)
        self.chooser.settle(self.standings(), self.now)
        for _, one in self.chooser.pick(self.standings(), self.now):
            self._bring(one.region, one.made)
            self.chooser.rolled_out(one, ["rollouts/there"])
        for _, one in self.chooser.to_go(self.standings()):
            self._bring(one.region, self.chooser.base_of(one))
            self.chooser.taken_back(one, ["rollouts/back"], self.now)

    def _bring(self, region: str, name: str) -> None:
        self.running[region] = read_policy(self.policies.get(name).document)
        self.notes.add(f"runs {region} {name}")
