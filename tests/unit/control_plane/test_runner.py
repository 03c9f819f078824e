"""What becomes of a calibration when its process ends, when somebody cancels it, and when the database goes away."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest

from upriver.errors import InvalidInput, Unreachable
from upriver.policies import PolicyDocument, write_policy
from upriver.scores import ScoreKind
from upriver_control.calibrating.order import Order, write_order
from upriver_control.certifying import WORK
from upriver_control.jobs import Job, JobState, Result, Source, Spec, TierSpec, cancelled, succeeded
from upriver_control.store.policies import StoredPolicy
from upriver_control.working.runner import ATTEMPTS, Rhythm, Runner

A = "sha256:" + "a" * 64
POLICY = write_policy(PolicyDocument(A, ScoreKind.MAX_PROBABILITY, 0.5))
SPEC = Spec(
    0.01, 0.95, (TierSpec("device", "v", A, POLICY), TierSpec("cloud", "w", A, POLICY)), Source.AUDITS, audit_s=9.0
)
FAST = Rhythm(lease_s=5.0, beat_s=0.02, poll_s=0.05)


class Kept:
    """Calibrations in memory; `away` lets every call fail, and a change is told `takes_s` after it was made."""

    def __init__(self, job, takes_s=0.0):
        self.job, self.policies, self.away, self.saved, self.takes_s = job, [], False, [], takes_s

    def _here(self):
        if self.away:
            raise Unreachable("the database is away")

    async def claim(self, owner, now, until):
        self._here()
        free = self.job.state is JobState.PENDING or (self.job.state is JobState.RUNNING and self.job.until <= now)
        if not free:
            return None
        self.job = replace(self.job, state=JobState.RUNNING, owner=owner, until=until, attempt=self.job.attempt + 1,
                           revision=self.job.revision + 1)  # fmt: skip
        return self.job

    async def save(self, job, policies=()):
        self._here()
        if job.revision != self.job.revision:
            return None
        self.job = replace(job, revision=job.revision + 1)
        self.policies += policies
        self.saved.append(self.job.state)
        kept = self.job
        await asyncio.sleep(self.takes_s)
        return kept

    async def succeed(self, job, made, now):
        result, policies = made
        return await self.save(succeeded(job, result, now), policies)


class Bench:
    """A workshop whose work is real and has audits of nothing, or that fails."""

    def __init__(self, folder: Path, error=None, spec=SPEC):
        self.folder, self.error, self.spec = folder, error, spec
        self.prepared, self.cleared = 0, 0

    def prepare(self, job):
        self.prepared += 1
        if self.error is not None:
            raise self.error
        return write_order(Order(self.spec, str(self.folder), 60.0, 4096))

    async def finish(self, job, tell):
        assert "result" in json.loads((self.folder / "result.json").read_text())
        policy = StoredPolicy("m", A, "v", A, "device", job.id, "{}", 1.0)
        return Result((), 0, 0), (policy,)

    def clear(self, job):
        self.cleared += 1


def job(**more):
    return replace(Job("j", "m", 0.0, SPEC), **more)


def run(kept, bench, until, rhythm=FAST, clock=lambda: 100.0):
    """Runs until a condition holds, and cancels then."""

    async def go():
        task = asyncio.create_task(Runner(kept, bench, WORK, "me", clock, rhythm).run())
        for _ in range(30_000):
            await asyncio.sleep(0.02)
            if until() or task.done():
                break
        else:
            pytest.fail("it did not come true")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


def test_what_can_t_be_made_ready_fails_with_the_reason_and_leaves_nothing(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path, InvalidInput("there is no tier 'x' below the top"))
    run(kept, bench, lambda: kept.job.has_ended and bench.cleared)
    assert (kept.job.state, kept.job.reason) == (JobState.FAILED, "there is no tier 'x' below the top")
    assert (kept.job.owner, kept.job.until, bench.cleared, kept.policies) == ("", 0.0, 1, [])


def test_what_the_work_says_is_the_reason(tmp_path):
    kept = Kept(job())
    bench = Bench(tmp_path, spec=replace(SPEC, source=Source.DATA))
    run(kept, bench, lambda: kept.job.has_ended and bench.cleared)
    assert kept.job.state is JobState.FAILED
    assert "questions" in kept.job.reason


def test_what_comes_out_is_kept_with_its_policies_at_once(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path)
    run(kept, bench, lambda: kept.job.has_ended and bench.cleared)
    assert kept.job.state is JobState.SUCCEEDED, kept.job.reason
    assert [policy.calibration for policy in kept.policies] == ["j"]
    assert bench.cleared == 1


@pytest.mark.parametrize("ended_by", ["its work", "the control plane"])
def test_a_change_that_is_being_kept_when_it_ends_does_not_hide_the_end(tmp_path, ended_by):
    kept, bench = Kept(job(), takes_s=0.3), Bench(tmp_path)  # far longer than a beat: one is always under way
    if ended_by == "its work":
        run(kept, bench, lambda: bench.cleared)
        assert (kept.job.state, len(kept.policies)) == (JobState.SUCCEEDED, 1)
    else:
        run(kept, bench, slow(kept))
        assert (kept.job.state, kept.job.owner, kept.job.attempt) == (JobState.PENDING, "", 0)


def test_a_calibration_that_ends_the_control_plane_is_not_begun_for_ever(tmp_path):
    kept, bench = Kept(job(state=JobState.RUNNING, until=50.0, attempt=ATTEMPTS)), Bench(tmp_path)
    run(kept, bench, lambda: kept.job.has_ended and bench.cleared)
    assert kept.job.state is JobState.FAILED
    assert "ended 3 times while it worked on it" in kept.job.reason
    assert bench.prepared == 0


def slow(kept):
    """Whether the work has begun; it is stopped long before it could end."""
    return lambda: kept.job.state is JobState.RUNNING and kept.job.doing.startswith("getting")


def test_a_process_that_ends_gives_back_what_it_worked_on(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path)
    run(kept, bench, slow(kept))
    assert (kept.job.state, kept.job.owner, kept.job.attempt) == (JobState.PENDING, "", 0)
    assert kept.policies == []


@pytest.mark.parametrize("ended_by", ["somebody", "the control plane"])
def test_what_is_being_made_ready_has_ended_before_its_folder_is_cleared(tmp_path, ended_by):
    kept, bench = Kept(job()), Bench(tmp_path)
    begun, go_on, seen = Event(), Event(), []

    def prepare(_):
        begun.set()
        seen.append(go_on.wait(60))
        raise InvalidInput("nobody hears of it")

    def ended():
        if ended_by == "somebody" and begun.is_set() and not kept.job.has_ended:
            kept.job = replace(cancelled(kept.job, 101.0), revision=kept.job.revision + 1)
        if begun.is_set():
            Timer(0.3, go_on.set).start()
        return bench.cleared if ended_by == "somebody" else begun.is_set()

    bench.prepare, bench.clear = prepare, lambda job: (seen.append("cleared"), setattr(bench, "cleared", 1))
    run(kept, bench, ended)
    assert seen == [True, "cleared"]
    assert kept.job.state is (JobState.CANCELLED if ended_by == "somebody" else JobState.PENDING)


def test_a_calibration_that_is_taken_while_the_control_plane_ends_is_given_back(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path)
    claim = kept.claim

    async def slow_claim(*arguments):
        taken = await claim(*arguments)
        await asyncio.sleep(0.3)
        return taken

    kept.claim = slow_claim
    run(kept, bench, lambda: kept.job.state is JobState.RUNNING)
    assert (kept.job.state, kept.job.owner, kept.job.attempt, bench.prepared) == (JobState.PENDING, "", 0, 0)


def test_a_calibration_that_is_cancelled_makes_no_policies(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path)
    begun = slow(kept)

    def cancel():
        if begun():
            kept.job = replace(cancelled(kept.job, 101.0), revision=kept.job.revision + 1)
        return bench.cleared

    run(kept, bench, cancel)
    assert (kept.job.state, kept.policies) == (JobState.CANCELLED, [])


def test_a_calibration_whose_lease_can_t_be_prolonged_is_given_up(tmp_path):
    kept, bench = Kept(job()), Bench(tmp_path)
    now = [100.0]
    begun = slow(kept)

    def go_away():
        if begun():
            kept.away = True
            now[0] = 200.0
        return bench.cleared

    run(kept, bench, go_away, clock=lambda: now[0])
    assert kept.job.state is JobState.RUNNING  # as far as the database knows; its lease has run out there
    assert kept.policies == []
