"""Two regions on a database, whose agents only learn and count, and all that makes heads of what they pool."""

from dataclasses import dataclass, field, replace

import numpy as np

from upriver.errors import BlobNotFound, Unreachable
from upriver.head_statistics import HeadStatistics, nothing
from upriver.heads import Head, read_head
from upriver.listing import digest as digest_of
from upriver.policies import Basis, Certificate, Form, PolicyDocument, read_policy, rules_digest, write_policy
from upriver.pool import Submission
from upriver.pool_sums import part_of
from upriver.scores import ScoreKind
from upriver.trials import HeldOut, count
from upriver_control.observed import Pair
from upriver_control.regional.model import RegionTrial
from upriver_control.regional.planning import Pace
from upriver_control.regional.standing import Standing
from upriver_control.regions.choosing import HeadChooser
from upriver_control.regions.judging import HeadJudge
from upriver_control.regions.making import HeadMaker, Terms
from upriver_control.regions.record import RegionRecord
from upriver_control.store.pools import PoolTable
from upriver_control.store.trials import TrialTable

VERSION, TOP, DATA = (f"sha256:{digit * 64}" for digit in "abc")
NAME = "models/m/versions/1"
WIDTH = 12
MEANS = {label: np.random.default_rng(at).normal(size=WIDTH) * 3.0 for at, label in enumerate("abcd")}
TOPS = {"m": TOP}


def policy(epsilon: float = 0.05, head: str = "", threshold: float = 0.9) -> PolicyDocument:
    bare = PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, threshold, head=head)
    promised = Certificate(Form.PER_TIER, Basis.TOP, epsilon, 0.1, 1000, 1.0, 0.5, 0.5, TOP, rules_digest(bare), DATA)
    return replace(bare, certificate=promised)


def questions(labels: str, number: int, seed: int) -> tuple[np.ndarray, list[str]]:
    chance = np.random.default_rng(seed)
    told = [labels[at] for at in chance.integers(len(labels), size=number)]
    return np.array([MEANS[label] for label in told]).reshape(number, WIDTH) + chance.normal(size=(number, WIDTH)), told


def learnt(labels: str, number: int, seed: int) -> HeadStatistics:
    h, told = questions(labels, number, seed)
    names = tuple(sorted(set(labels)))
    sums = nothing(WIDTH, names)
    for one, label in zip(h, told, strict=True):
        sums.add(one, np.eye(len(names))[names.index(label)])
    return sums


@dataclass
class Books:
    """Fake shelves."""

    heads: dict[str, bytes] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)

    def prior(self, version_digest: str) -> HeadStatistics | None:
        return learnt("ab", 300, 1) if version_digest == VERSION else None

    def head(self, digest: str) -> Head | None:
        return read_head(self.heads[digest]) if digest in self.heads else None

    def lend(self, data: bytes, now: float, for_s: float) -> str:
        self.heads[digest_of(data)] = data
        return digest_of(data)

    def publish(self, model: str, tier: str, document: str, head: str) -> str:
        assert head in self.heads
        name = f"models/{model}/policies/{len(self.policies)}"
        self.policies[name] = document
        return name


class World:
    """Two regions with one agent each; north sees c, south sees d, and both a and b."""

    def __init__(self, database, pace: Pace, books=None, began: float = 0.0) -> None:
        self.pools, self.trials, self.books = PoolTable(database, began), TrialTable(database), books or Books()
        record = RegionRecord(self.pools, self.trials)
        self.maker, self.judge = HeadMaker(record, self.books, Terms(pace=pace)), HeadJudge(record, self.books, pace)
        self.chooser = HeadChooser(record, self.books, pace.wait_s)
        self.sees = {"north": "abc", "south": "abd"}
        self.running = dict.fromkeys(self.sees, policy())
        self.lessons = dict.fromkeys(self.sees, 0)
        self.forgotten = dict.fromkeys(self.sees, 0)
        self.seen: dict[str, str] = {region: labels[2] for region, labels in self.sees.items()}
        self.held = dict.fromkeys(self.sees, 600)
        self.epoch = 0
        self.now = 0.0

    def standings(self) -> list[Standing]:
        return [
            Standing("m", region, Pair(NAME, VERSION, write_policy(one)), one, ("device",), 1)
            for region, one in sorted(self.running.items())
        ]

    def answers(self, region: str) -> HeldOut:
        """What is held out: what answers now keeps what it knows; a head is asked."""
        h, told = questions(self.sees[region], self.held[region], 77)
        running = self.running[region]
        if running.head:
            head = self.books.head(running.head)
            assert head is not None
            z = (h.astype(np.float32) @ head.weights()[:-1] + head.weights()[-1]) / running.temperature
            p = np.exp(z - z.max(axis=1, keepdims=True))
            passes = (p / p.sum(axis=1, keepdims=True)).max(axis=1) >= running.threshold
        else:
            passes = np.array([label in "ab" for label in told])
        return HeldOut(h.astype(np.float32), told, passes, np.ones(len(told), np.bool_))

    def agents_send(self) -> None:
        self.epoch += 1
        opened = self.trials.open()
        for region in self.sees:
            sums = learnt(self.seen[region], self.lessons[region], 5)
            parts = [part_of("m", VERSION, region, sums, forgotten=self.forgotten[region])]
            for one in opened:
                head = self.books.head(one.trial.head)
                assert head is not None
                if one.region == region and self.held[region]:
                    counts = count(one.trial, head, self.answers(region))
                    parts.append(part_of("m", VERSION, region, counts, one.id))
            self.pools.submit(Submission(region, {region: self.epoch}, tuple(parts), str(self.epoch)), self.now)

    def round(self) -> list[RegionTrial]:
        """Agents send, the control plane looks and fits, agents count, the control plane looks again and rolls out."""
        self.now += 100.0
        self.agents_send()
        self.judge.look(self.standings(), self.now)
        self.maker.fit(self.standings(), TOPS, self.now)
        self.agents_send()
        self.judge.look(self.standings(), self.now)
        self.chooser.settle(self.standings(), self.now)
        picked = [one for _, one in self.chooser.pick(self.standings(), self.now)]
        for one in picked:
            self.running[one.region] = read_policy(self.books.policies[one.made])
            self.chooser.rolled_out(one, ["rollouts/r"])
        return picked


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def unreachable(*_: object) -> str:
    raise Unreachable("the artifacts are out of reach")


def gone(*_: object) -> str:
    raise BlobNotFound("swept")
