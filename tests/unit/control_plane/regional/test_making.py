"""Heads of two regions from what is pooled to what is certified, on a database and with agents that only count."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from upriver.errors import BlobNotFound, Unreachable
from upriver.head_statistics import HeadStatistics, nothing
from upriver.heads import MAX_LABELS, Head, read_head, write_delta
from upriver.listing import digest as digest_of
from upriver.policies import Basis, Certificate, Form, PolicyDocument, read_policy, rules_digest, write_policy
from upriver.pool import Submission
from upriver.pool_sums import part_of
from upriver.scores import ScoreKind
from upriver.trials import HeldOut, count
from upriver_control.observed import Pair
from upriver_control.regional.model import Need, RegionTrial, Scope, TrialState
from upriver_control.regional.planning import Pace, fitted
from upriver_control.regional.standing import Standing
from upriver_control.regions.choosing import HeadChooser
from upriver_control.regions.judging import HeadJudge
from upriver_control.regions.making import HeadMaker, Terms
from upriver_control.regions.record import RegionRecord
from upriver_control.store.database import open_database
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

    def __init__(self, database, pace: Pace) -> None:
        self.pools, self.trials, self.books = PoolTable(database, 0.0), TrialTable(database), Books()
        record = RegionRecord(self.pools, self.trials)
        self.maker, self.judge = HeadMaker(record, self.books, Terms(pace=pace)), HeadJudge(record, self.books, pace)
        self.chooser = HeadChooser(record, self.books)
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
        """Agents send, the control plane fits, agents count, the control plane looks and rolls out."""
        self.now += 100.0
        self.agents_send()
        self.maker.fit(self.standings(), TOPS, self.now)
        self.agents_send()
        self.judge.look(self.standings(), self.now)
        self.chooser.settle(self.standings(), self.now)
        picked = self.chooser.pick(self.standings())
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


@pytest.fixture
def world(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    yield World(database, Pace(least_lessons=30.0, wait_s=50.0, give_up_s=1000.0, again_s=500.0))
    database.close()


def test_regions_get_heads_that_keep_the_promise_and_escalate_less(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    picked = world.round()
    assert {one.region for one in picked} == {"north", "south"}
    for one in picked:
        assert one.verdict is not None
        certificate = world.running[one.region].certificate
        assert certificate is not None
        assert (certificate.epsilon, certificate.top, certificate.questions) == (0.05, TOP, 600)
        assert certificate.delta == one.verdict.delta < 0.1 * 6 / np.pi**2 / 4 + 1e-12
        assert one.verdict.gained > one.verdict.given_up
        assert one.verdict.coverage > 0.8
    attempts = sorted(one.verdict.attempt for one in world.trials.all("m") if one.verdict is not None)
    assert attempts == [1, 1, 2, 2]  # its own and that of all regions, in each
    assert world.round() == []  # nothing new was learnt


def test_changes_of_a_head_take_less_than_a_kilobyte(world) -> None:
    world.lessons = {"north": 100, "south": 100}
    world.round()
    world.lessons = {"north": 400, "south": 400}
    world.round()
    changed = [one for one in world.trials.all("m") if one.delta_bytes]
    assert changed
    assert all(one.delta_bytes <= 1000 for one in changed)
    for one in changed:  # as agents fetch it: from the head that runs there, whosever lessons it was learnt from
        before = world.books.head(read_policy(one.policy).head)
        assert len(write_delta(before, world.books.head(one.trial.head))) == one.delta_bytes


def test_a_head_that_breaks_the_promise_is_not_rolled_out(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    world.seen = {"north": "d", "south": "d"}  # taught what there is none of, and c is taken for it
    world.sees = {"north": "abc", "south": "abc"}
    before = MEANS["d"].copy()
    MEANS["d"][:] = MEANS["c"]
    try:
        assert world.round() == []
    finally:
        MEANS["d"][:] = before
    assert {one.state for one in world.trials.all("m")} == {TrialState.FAILED}


def test_no_look_is_taken_at_too_few_questions_and_no_attempt_spent(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held = {"north": 20, "south": 0}
    assert world.round() == []
    assert {one.state for one in world.trials.all("m")} == {TrialState.OPEN}
    world.now += 2000.0
    assert world.round() == []
    assert {one.state for one in world.trials.all("m")} <= {TrialState.WITHDRAWN, TrialState.OPEN}
    assert world.trials.attempts("m", VERSION, "north") == 0


def test_what_was_forgotten_leaves_the_head_and_without_another_the_region_goes_back(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    world.round()
    before = world.running["north"].head
    world.lessons["north"], world.forgotten["north"] = 199, 1
    (again,) = [one for one in world.round() if one.region == "north"]
    assert again.need is Need.NOTHING
    assert world.running["north"].head not in ("", before)
    world.lessons["north"], world.forgotten["north"] = 0, 200
    world.held["north"] = 5
    world.round()
    assert world.chooser.to_go(world.standings()) == []
    world.now += 2000.0
    world.round()
    (gone,) = [trial for standing, trial in world.chooser.to_go(world.standings()) if standing.region == "north"]
    assert read_policy(gone.base).head == ""
    world.chooser.taken_back(gone, ["rollouts/back"])
    assert world.chooser.to_go(world.standings()) == []  # it is on its way


def test_of_a_head_that_had_learnt_what_was_forgotten_nothing_is_kept_in_the_next_one(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    world.lessons["north"], world.forgotten["north"] = 150, 50
    (again,) = world.round()
    prior = world.books.prior(VERSION)
    assert world.books.heads[again.trial.head] == fitted(VERSION, prior, learnt("c", 150, 5), None, 1000).data
    assert again.delta_bytes == 0


def test_a_head_that_never_learnt_what_was_forgotten_stays(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    world.lessons["north"] = 250
    world.round()
    world.lessons["north"], world.forgotten["north"] = 200, 50
    for _ in range(2):
        assert world.round() == []
        assert world.chooser.to_go(world.standings()) == []
    (running,) = world.trials.all("m")
    assert (running.forgotten, running.state) == (50, TrialState.PASSED)


def test_a_head_that_was_tried_before_is_tried_again_where_another_one_must_go(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (first,) = world.round()
    world.running["north"] = policy(head=first.trial.head, threshold=np.inf)  # somebody has it ask always
    world.lessons["north"] = 400
    (second,) = world.round()
    world.lessons["north"], world.forgotten["north"] = 200, 200
    world.agents_send()
    world.maker.fit(world.standings(), TOPS, world.now + 1.0)
    (again,) = world.trials.open()
    assert (again.id, again.need) == (first.id, Need.NOTHING)
    assert again.created > second.created
    assert world.chooser.to_go(world.standings()) == []


def test_a_region_goes_back_from_a_head_that_must_go_where_no_other_one_can_be_tried(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (one,) = world.round()
    bare = PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.9, head=one.trial.head)
    world.running["north"] = bare  # nobody has said what another head may lose
    world.forgotten["north"] = 1
    assert world.round() == []
    assert [trial.id for _, trial in world.chooser.to_go(world.standings())] == [one.id]


def test_what_waits_for_an_operator_is_withdrawn_when_it_must_go_and_has_no_rival_that_answers_less(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    for _ in range(2):
        world.agents_send()
        world.maker.fit(world.standings(), TOPS, 1.0)
    world.judge.look(world.standings(), 2.0)
    world.chooser.settle(world.standings(), 3.0)
    passed = {one.region: one for one in world.trials.all("m") if one.state is TrialState.PASSED}
    assert len([one for one in world.trials.all("m") if one.state is TrialState.PASSED]) == len(passed) == 2
    north = passed["north"]
    world.running["north"] = read_policy(world.books.policies[north.made])  # somebody rolls it out
    world.forgotten = {"north": 1, "south": 1}
    world.agents_send()
    world.chooser.settle(world.standings(), 4.0)
    states = {one.region: one.state for one in world.trials.all("m") if one.id in (north.id, passed["south"].id)}
    assert states == {"north": TrialState.PASSED, "south": TrialState.WITHDRAWN}


def test_what_was_held_against_another_policy_than_runs_now_is_withdrawn_and_tried_anew(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.maker.fit(world.standings(), TOPS, 1.0)
    world.agents_send()
    world.maker.fit(world.standings(), TOPS, 1.0)
    (first,) = world.trials.open()
    world.running["north"] = policy(epsilon=0.04)
    (ended,) = world.judge.look(world.standings(), 2.0)
    assert (ended.state, world.trials.attempts("m", VERSION, "north")) == (TrialState.WITHDRAWN, 0)
    world.maker.fit(world.standings(), TOPS, 3.0)
    (again,) = world.trials.open()
    assert (again.id, again.promise.epsilon) == (first.id, 0.04)
    world.agents_send()
    world.judge.look(world.standings(), 4.0)
    world.running["north"] = policy()
    world.chooser.settle(world.standings(), 5.0)
    (passed,) = world.trials.all("m")
    assert (passed.state, passed.made != "") == (TrialState.WITHDRAWN, True)
    assert world.chooser.pick(world.standings()) == []


def test_lessons_that_grow_too_old_one_by_one_spend_no_look_and_withdraw_nothing(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    before = world.running["north"].head
    for lessons in (199, 198, 197):
        world.lessons["north"] = lessons
        assert world.round() == []
    assert world.trials.attempts("m", VERSION, "north") == 1
    assert [one.trial.head for one in world.trials.all("m")] == [before]


def test_a_region_gives_its_own_head_up_for_that_of_all_where_that_answers_as_much(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (own,) = world.round()
    assert (own.region, own.scope) == ("north", Scope.REGION)
    world.lessons["south"], world.seen["south"], world.sees["south"] = 400, "cd", "abcd"
    world.round()
    of_all = next(one for one in world.trials.all("m", "north") if one.scope is Scope.GLOBAL)
    assert (of_all.need, of_all.state) == (Need.AS_FEW, TrialState.PASSED)
    assert of_all.verdict.gained >= of_all.verdict.given_up
    assert world.running["north"].head == of_all.trial.head != own.trial.head


def test_a_region_keeps_its_own_head_where_that_of_all_answers_less(world, monkeypatch) -> None:
    world.lessons = {"north": 200, "south": 0}
    (own,) = world.round()
    monkeypatch.setitem(MEANS, "d", MEANS["c"])  # what is c in the north is called d in the south
    world.lessons["south"] = 400
    world.round()
    of_all = next(one for one in world.trials.all("m", "north") if one.scope is Scope.GLOBAL)
    assert (of_all.need, of_all.state) == (Need.AS_FEW, TrialState.FAILED)
    assert of_all.verdict.given_up > of_all.verdict.gained
    assert world.running["north"].head == own.trial.head


def test_a_look_that_was_broken_off_is_spent_and_the_next_one_is_stricter(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    save, world.trials.save = world.trials.save, killed
    with pytest.raises(KeyboardInterrupt):
        world.round()
    assert {one.state for one in world.trials.all("m")} == {TrialState.OPEN}
    world.trials.save = save
    (one,) = world.round()
    assert one.verdict is not None
    assert one.verdict.attempt == world.trials.attempts("m", VERSION, "north") == 2


def test_what_was_proven_is_published_later_where_it_can_t_be_now_and_not_looked_at_again(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    publish, world.books.publish = world.books.publish, unreachable
    for _ in range(3):
        with suppress(Unreachable):
            world.round()
    (still,) = world.trials.open()
    assert still.verdict is not None
    world.books.publish = publish
    (one,) = world.round()
    assert (one.verdict, one.proven) == (still.verdict, "")
    assert still.verdict.attempt == world.trials.attempts("m", VERSION, "north") == 1


def test_a_head_that_is_not_here_any_more_when_it_is_published_has_failed(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.books.publish = gone
    assert world.round() == []
    (one,) = world.trials.all("m")
    assert (one.state, one.why) == (TrialState.FAILED, "it could not be published: swept")


def test_counts_of_another_region_and_such_as_went_meanwhile_are_not_looked_at(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held["north"] = 0
    world.round()
    (trial,) = world.trials.open()
    counts = np.zeros(trial.trial.counts)
    counts[0] = 10_000
    for at, (version, region) in enumerate(((VERSION, "elsewhere"), (TOP, "north"))):
        stray = part_of("m", version, region, counts, trial.id)
        world.pools.submit(Submission(f"s{at}", {f"s{at}": 1}, (stray,), "stray"), world.now)
    assert world.round() == []
    world.held["north"] = 600
    sums, world.pools.sums = world.pools.sums, lambda *_: []  # who counted has restarted since
    assert world.round() == []
    assert (len(world.trials.open()), world.trials.attempts("m", VERSION, "north")) == (1, 0)
    world.pools.sums = sums
    assert [one.region for one in world.round()] == ["north"]


def test_one_that_makes_labels_up_keeps_no_head_back_and_no_label_of_the_version_out(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    strange = tuple(f"{number:04}" for number in range(MAX_LABELS))
    lie = HeadStatistics(strange, np.eye(WIDTH + 1) * 1e6, np.ones((WIDTH + 1, MAX_LABELS)) * 1e3)
    part = part_of("m", VERSION, "north", lie)
    world.pools.submit(Submission("liar", {"liar": 1}, (part,), "lie"), world.now)
    assert [one.region for one in world.round()] == ["south"]
    for one in world.trials.all("m"):
        labels = read_head(world.books.heads[one.trial.head]).labels
        assert (len(labels) <= MAX_LABELS, {"a", "b"} <= set(labels)) == (True, True)


def test_what_goes_wrong_in_one_region_keeps_no_other_one_back(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    lend, publish = world.books.lend, world.books.publish
    asked: list[bytes] = []

    def lent(data: bytes, now: float, for_s: float) -> str:
        asked.append(data)
        return unreachable() if len(asked) <= 1 else lend(data, now, for_s)

    world.books.lend, world.books.publish = lent, unreachable
    assert world.round() == []
    regions = [one.region for one in world.trials.open() if one.proven]
    assert set(regions) == {"south"}
    world.books.publish = publish
    assert {one.region for one in world.round()} == {"north", "south"}


def test_sums_on_an_embedding_of_another_width_are_not_used(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    other = nothing(WIDTH + 1, ("z",))
    for number in range(500):
        other.add(np.random.default_rng(number).normal(size=WIDTH + 1), np.ones(1))
    stray = part_of("m", VERSION, "north", other, forgotten=7)
    world.pools.submit(Submission("stray", {"stray": 1}, (stray,), "stray"), world.now)
    (one,) = world.round()
    assert one.lessons == 200.0
    assert read_head(world.books.heads[one.trial.head]).labels == ("a", "b", "c")
    world.round()
    assert world.chooser.to_go(world.standings()) == []


def test_trials_of_what_does_not_run_any_more_end(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held = {"north": 0, "south": 0}
    world.round()
    (ended,) = world.judge.look([], world.now)
    assert (ended.state, ended.why) == (TrialState.WITHDRAWN, "its version does not run there any more")
    assert world.trials.open() == []
