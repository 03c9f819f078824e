"""What must be true whenever the control plane starts, for control_learning_crashes: each look fails unless it is."""

import json
import os
from collections import Counter

import numpy as np
import pyarrow.dataset as ds
from sqlalchemy import select

from tests.integration.control_learning_plane import Plane
from upriver.head_statistics import HeadStatistics
from upriver.heads import read_head
from upriver.listing import digest as digest_of
from upriver.policies import read_policy, rules_digest
from upriver.pool import Child, Pool, Submission
from upriver.pool_sums import summed
from upriver.promises import delta_of, p_loss
from upriver_control.lessons.files import STAGING
from upriver_control.regional.model import RegionTrial, TrialState
from upriver_control.store.pools import LIMITS
from upriver_control.store.schema import pool_children, pool_epochs


def look(plane: Plane, every: bool) -> None:
    """Looks at all that was acknowledged; of heads that passed at those that no look saw, or at `every` one."""
    look_at_lessons(plane)
    look_at_pool(plane)
    look_at_heads(plane, every)


def look_at_lessons(plane: Plane) -> None:
    """Each that was acknowledged is there once, or is forgotten and gone; once tidied, each file has its row."""
    kept, going, gone = (set(plane.notes.of(word)) for word in ("kept", "going", "gone"))
    read = _ids(plane)
    assert set(read.values()) <= {1}, "a lesson is read twice"
    assert not gone & read.keys(), "what was forgotten came back"
    assert kept <= going | read.keys(), f"{len(kept - going - read.keys())} lessons are lost"

    for path in (plane.folder / "lessons" / STAGING).glob("*"):
        os.utime(path, (0, 0))  # nobody is about to claim it any more
    for _ in range(2):
        plane.tidy()
    assert _ids(plane) == read, "tidying changed what is read"
    files = {path.stem for path in (plane.folder / "lessons").rglob("*.parquet")}
    assert files == {f"part-{part.name}" for part in plane.keeper.table.parts()}, "files and rows differ"
    if files:
        found = ds.dataset(str(plane.folder / "lessons"), format="parquet", partitioning="hive")
        assert Counter(found.to_table(columns=["id"])["id"].to_pylist()) == read, "an engine reads something else"


def _ids(plane: Plane) -> Counter:
    return Counter(id_ for _, table in plane.keeper.each("digits", "", "") for id_ in table["id"].to_pylist())


def look_at_pool(plane: Plane) -> None:
    """Who counts is who was acknowledged, or the one more that was not; the sums are theirs; notes a new start."""
    has = _kept(plane)
    pool, pending = replayed(plane.notes.lines)
    if pending is not None:
        taken, _ = replayed([*plane.notes.lines, "took"])
        came = has == _state(taken)
        assert came or has == _state(pool), "a submission was taken in by half"
        pool = taken if came else pool
        plane.notes.add("took" if came else "lost ")
    assert has == _state(pool), "what counts is not what was acknowledged"
    assert plane.pools.roster() == pool.roster()

    counted = [child.counted for child in pool.children.values() if child.counted is not None]
    assert max(Counter(agent for one in counted for agent in one.roster).values(), default=1) == 1, "one counts twice"
    wanted = {part.key: part for part in summed(part for one in counted for part in plane.sent(one.mark))}
    lines = {line.key: line for line in plane.pools.lines()}
    assert lines.keys() == wanted.keys()
    for trial in {key.trial for key in wanted}:
        for part in plane.pools.sums("m", next(iter(wanted)).version_digest, trial):
            sums = wanted[part.key].sums
            assert (part.agents, part.forgotten) == (wanted[part.key].agents, wanted[part.key].forgotten)
            assert lines[part.key].agents == part.agents
            if isinstance(part.sums, HeadStatistics):
                np.testing.assert_allclose(part.sums.outer, sums.outer, rtol=1e-9, atol=1e-9)
                assert set(part.sums.labels) == set(sums.labels)
                toward = sums.toward[:, [sums.labels.index(label) for label in part.sums.labels]]
                np.testing.assert_allclose(part.sums.toward, toward, rtol=1e-9, atol=1e-9)
            else:
                np.testing.assert_array_equal(part.sums, sums)
            del wanted[part.key]
    assert not wanted
    plane.notes.add(f"began {plane.now}")


def replayed(lines: list[str]) -> tuple[Pool, dict | None]:
    """Who must count by the notes, in a pool that nobody killed; and what was not acknowledged behind them."""
    pool: Pool = Pool(LIMITS)
    pending = None
    for line in lines:
        word, _, rest = line.partition(" ")
        match word:
            case "began":
                epochs = {agent: (pool.epoch_of(agent), pool.told_at(agent)) for agent in _agents(pool)}
                pool = Pool(LIMITS, pool.children, epochs, float(rest))
            case "offer":
                pending = json.loads(rest)
            case "took":
                one = pending
                if one["mark"]:
                    bare = Submission(one["child"], one["roster"], None, one["mark"])
                    answer = pool.offer(bare, one["now"])
                else:
                    answer = pool.unchanged(one["child"], one["roster"][one["child"]], one["now"])
                assert rest in ("", answer.standing), f"{one['mark']} was told {rest}, but is {answer.standing}"
                pending = None
            case "lost":
                pending = None
    return pool, pending


def _agents(pool: Pool) -> list[str]:
    return [one for one in ("n0", "n1", "n5", "n6", "s0", "s1", "s5", "s6") if pool.epoch_of(one)]


def _state(pool: Pool) -> tuple[dict, dict]:
    def told(one: Submission | None) -> tuple | None:
        return None if one is None else (one.mark, dict(one.roster))

    def both(child: Child) -> tuple:
        return told(child.counted), told(child.staged)

    children = {name: both(child) for name, child in pool.children.items()}
    return children, {agent: pool.epoch_of(agent) for agent in _agents(pool)}


def _kept(plane: Plane) -> tuple[dict, dict]:
    def told(text: str) -> tuple | None:
        return (json.loads(text)["mark"], json.loads(text)["roster"]) if text else None

    children = plane.database.read(lambda connection: connection.execute(select(pool_children)).all())
    epochs = plane.database.read(lambda connection: connection.execute(select(pool_epochs)).all())
    return {row.child: (told(row.counted), told(row.staged)) for row in children}, {
        row.agent: row.epoch for row in epochs
    }


def look_at_heads(plane: Plane, every: bool) -> None:
    """Looks have numbers of their own; what passed is proven and whole, or is made so by the next look."""
    version = plane.standings()[0].pair.version_digest
    _look_at_verdicts(plane, version)
    plane.judge.look(plane.standings(), plane.now)
    assert not any(one.proven for one in plane.trials.open()), "what was proven is not published by the next look"
    _look_at_verdicts(plane, version)
    made = [one for one in plane.trials.all("m") if one.made]
    known, names = set(plane.notes.of("made")), {f"{one.id} {one.created} {one.made}": one for one in made}
    assert known <= names.keys(), "a head that passed is not there any more"
    for name, one in names.items():
        if every or name not in known:
            _look_at_passed(plane, one)
    plane.notes.add(*(f"made {name}" for name in names if name not in known))
    for region, running in plane.running.items():
        if running.head:
            passed = [one for one in made if (one.region, one.trial.head) == (region, running.head)]
            assert passed, "what answers in a region never passed there"
            _look_at_passed(plane, passed[0])
    stamp = plane.signer.read("timestamp.json")
    for one in made[:4]:
        plane.signer.publish_policy("m", plane.policies.get(one.made).document)
    assert plane.signer.read("timestamp.json") == stamp, "a policy was not signed"


def _look_at_verdicts(plane: Plane, version: str) -> None:
    trials = [one for one in plane.trials.all("m") if one.verdict is not None]
    for region in plane.running:
        spent = plane.trials.attempts("m", version, region)
        before = [int(line.split()[1]) for line in plane.notes.of("spent") if line.split()[0] == region]
        assert spent >= max(before, default=0), "attempts fell"
        numbers = dict(line.split()[1:] for line in plane.notes.of("verdict") if line.split()[0] == region)
        found = {f"{one.id}@{one.created}": str(one.verdict.attempt) for one in trials if one.region == region}
        assert all(numbers.get(who, number) == number for who, number in found.items()), "a look was taken again"
        new = {who: number for who, number in found.items() if who not in numbers}
        every = [int(number) for number in (*numbers.values(), *new.values())]
        assert len(set(every)) == len(every), "two looks with one number"
        assert max(every, default=0) <= spent, "a look that was not counted"
        plane.notes.add(f"spent {region} {spent}", *(f"verdict {region} {who} {new[who]}" for who in sorted(new)))


def _look_at_passed(plane: Plane, one: RegionTrial) -> None:
    verdict = one.verdict
    assert one.state is not TrialState.OPEN, "a trial that is over is open"
    assert verdict is not None
    assert not verdict.why
    level = delta_of(one.promise.delta, verdict.attempt) / len(one.trial.temperatures)
    assert p_loss(verdict.losses, verdict.questions, one.promise.epsilon) <= level, "it passed without proof"
    stored = plane.policies.get(one.made)
    policy = read_policy(stored.document)
    certificate = policy.certificate
    assert certificate is not None
    assert stored.digest == digest_of(stored.document.encode())
    assert certificate.rules == rules_digest(policy)
    assert (certificate.epsilon, certificate.delta) == (one.promise.epsilon, level)
    assert (certificate.questions, certificate.losses) == (verdict.questions, verdict.losses)
    assert policy.head == one.trial.head
    assert plane.heads.has(policy.head), "its head may be swept"
    assert read_head(plane.artifacts.read(policy.head)).version_digest == one.trial.version_digest
