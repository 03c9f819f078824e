"""Looks at what agents have counted of the heads that are tried, and publishes what passed. Methods block.

A look is counted in the database before it is taken, and what it said is kept before it is published. So this may be
killed anywhere: a look that was broken off is spent, and the next one is stricter; one that is over is not taken again.
"""

from collections.abc import Sequence
from dataclasses import replace

from upriver.errors import BlobNotFound, InvalidInput, ManifestError, NotFound
from upriver.head_statistics import HeadStatistics
from upriver.listing import digest as digest_of
from upriver.policies import read_policy, write_policy
from upriver.pool_sums import PoolKey, PoolLine
from upriver.trials import tallies
from upriver_control.regional.model import RegionTrial, TrialState
from upriver_control.regional.places import is_of, shares
from upriver_control.regional.planning import Pace, Step, step
from upriver_control.regional.standing import Standing
from upriver_control.regional.verdict import certified, judge
from upriver_control.regions.apart import apart
from upriver_control.regions.books import Books
from upriver_control.regions.record import CHANGED, MUST_GO, RegionRecord


class HeadJudge:
    """Judges the heads of all regions."""

    def __init__(self, record: RegionRecord, books: Books, pace: Pace) -> None:
        self._record = record
        self._books = books
        self._pace = pace

    def look(self, standings: Sequence[Standing], now: float) -> list[RegionTrial]:
        """Looks at the counts that are ready; gives the trials that ended."""
        lines = self._record.pools.lines()
        ended = []
        for trial in self._record.trials.open():
            with apart(f"the {trial.scope} head of {trial.trial.model} that is tried in {trial.region}"):
                found = self._look_at(trial, standings, lines, now)
                ended += [found] if found is not None else []
        return ended

    def _look_at(
        self, trial: RegionTrial, standings: Sequence[Standing], lines: Sequence[PoolLine], now: float
    ) -> RegionTrial | None:
        of = trial.trial
        here = next((one for one in standings if is_of(one, of)), None)
        if here is None:
            return self._withdraw(trial, "its version does not run there any more", now)
        if trial.policy != write_policy(here.policy):
            return self._withdraw(trial, CHANGED, now)
        if self._record.place(here, [one for one in lines if not one.key.trial]).must_go(trial):
            return self._withdraw(trial, MUST_GO, now)
        if trial.proven:
            return self._publish(trial, now)
        counts = next((one for one in lines if one.key == _key(trial)), None)
        sharing = max((one.agents for one in lines if shares(one, of)), default=0)  # of one width
        questions, counted_by = (int(counts.amount), counts.agents) if counts is not None else (0, 0)
        tried = self._record.trials.attempts(of.model, of.version_digest, of.region)
        what = step(trial, questions, counted_by, sharing, tried, now, self._pace)
        if what is Step.WITHDRAW:
            return self._withdraw(trial, f"in time only {questions} questions were held out", now)
        return self._judge(trial, questions, now) if what is Step.LOOK else None

    def _judge(self, trial: RegionTrial, least: int, now: float) -> RegionTrial | None:
        """Takes a look at `least` questions or more; None where they have become fewer since they were counted."""
        of = trial.trial
        part = next(
            (one for one in self._record.pools.sums(*_version(trial), trial.id) if one.key == _key(trial)), None
        )
        if part is None or isinstance(part.sums, HeadStatistics) or part.sums[0] < least:
            return None
        attempt = self._record.trials.attempt(*_version(trial), of.region)
        trial = replace(trial, counted_by=part.agents)
        try:
            verdict = judge(of, tallies(of, part.sums), trial.promise, attempt, trial.need)
            trial = replace(trial, verdict=verdict)
            if verdict.why:
                return self._record.end(trial, TrialState.FAILED, verdict.why, now)
            data = digest_of(part.sums.tobytes())
            proven = write_policy(certified(read_policy(trial.policy), of, verdict, trial.promise, data))
        except (InvalidInput, ManifestError) as error:  # agents count what can't be: the look is spent all the same
            return self._record.end(trial, TrialState.FAILED, str(error), now)
        trial = replace(trial, proven=proven)
        self._record.trials.save(trial)
        return self._publish(trial, now)

    def _publish(self, trial: RegionTrial, now: float) -> RegionTrial:
        of = trial.trial
        try:
            made = self._books.publish(of.model, trial.tiers[0], trial.proven, of.head)
        except (InvalidInput, NotFound, BlobNotFound) as error:
            return self._record.end(trial, TrialState.FAILED, f"it could not be published: {error}", now)
        return self._record.end(replace(trial, made=made, proven=""), TrialState.PASSED, "", now)

    def _withdraw(self, trial: RegionTrial, why: str, now: float) -> RegionTrial:
        return self._record.end(trial, TrialState.WITHDRAWN, why, now)


def _version(trial: RegionTrial) -> tuple[str, str]:
    return trial.trial.model, trial.trial.version_digest


def _key(trial: RegionTrial) -> PoolKey:
    """Of its counts."""
    return PoolKey(*_version(trial), trial.region, trial.id, trial.trial.counts)
