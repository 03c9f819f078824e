"""Looks at what agents have counted of the heads that are tried, and publishes what passed. Methods block.

A look is counted in the database before it is taken; so this may be killed anywhere, and what is done again is a
further attempt.
"""

from collections.abc import Sequence
from dataclasses import replace

from upriver.errors import InvalidInput, NotFound
from upriver.head_statistics import HeadStatistics
from upriver.listing import digest as digest_of
from upriver.policies import read_policy, write_policy
from upriver.scores import Floats
from upriver.trials import tallies
from upriver_control.regional.model import RegionTrial, TrialState
from upriver_control.regional.places import is_of, shares
from upriver_control.regional.planning import Pace, Step, step
from upriver_control.regional.standing import Standing
from upriver_control.regional.verdict import certified, judge
from upriver_control.regions.books import Books
from upriver_control.regions.record import CHANGED, RegionRecord


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
            of = trial.trial
            counts = next((one for one in lines if one.key.trial == trial.id and one.key.width == of.counts), None)
            sharing = max((one.agents for one in lines if shares(one, of)), default=0)  # of one width
            questions, counted_by = (int(counts.amount), counts.agents) if counts is not None else (0, 0)
            tried = self._record.trials.attempts(of.model, of.version_digest, of.region)
            what = step(trial, questions, counted_by, sharing, tried, now, self._pace)
            here = next((one for one in standings if is_of(one, of)), None)
            if here is None:
                ended.append(self._withdraw(trial, "its version does not run there any more", now))
            elif trial.policy != write_policy(here.policy):
                ended.append(self._withdraw(trial, CHANGED, now))
            elif what is Step.WITHDRAW:
                ended.append(self._withdraw(trial, f"in time only {questions} questions were held out", now))
            elif what is Step.LOOK:
                ended.append(self._judge(replace(trial, counted_by=counted_by), now))
        return ended

    def _judge(self, trial: RegionTrial, now: float) -> RegionTrial:
        of = trial.trial
        attempt = self._record.trials.attempt(of.model, of.version_digest, of.region)
        counts = self._counts(trial)
        try:
            verdict = judge(of, tallies(of, counts), trial.promise, attempt, trial.need)
        except InvalidInput as error:  # an agent counts what can't be: the look is spent all the same
            return self._record.end(trial, TrialState.FAILED, str(error), now)
        trial = replace(trial, verdict=verdict)
        if verdict.why:
            return self._record.end(trial, TrialState.FAILED, verdict.why, now)
        policy = certified(read_policy(trial.policy), of, verdict, trial.promise, digest_of(counts.tobytes()))
        try:
            made = self._books.publish(of.model, trial.tiers[0], write_policy(policy), of.head)
        except (InvalidInput, NotFound) as error:
            return self._record.end(trial, TrialState.FAILED, f"it could not be published: {error}", now)
        return self._record.end(replace(trial, made=made), TrialState.PASSED, "", now)

    def _counts(self, trial: RegionTrial) -> Floats:
        of = trial.trial
        parts = self._record.pools.sums(of.model, of.version_digest, trial.id)
        (found,) = [one.sums for one in parts if one.key.width == of.counts and one.key.region == of.region]
        if isinstance(found, HeadStatistics):
            raise InvalidInput("statistics where counts were expected")
        return found

    def _withdraw(self, trial: RegionTrial, why: str, now: float) -> RegionTrial:
        return self._record.end(trial, TrialState.WITHDRAWN, why, now)
