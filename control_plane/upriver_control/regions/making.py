"""Makes heads of regions: fits those that are due, looks at what was counted, publishes what passed. Methods block.

A look is counted in the database before it is taken, and a trial is kept before it is announced; so this may be killed
anywhere, and what is done again comes out the same or is a further attempt.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from upriver.errors import InvalidInput, NotFound
from upriver.head_statistics import HeadStatistics, merged
from upriver.heads import Head
from upriver.listing import digest as digest_of
from upriver.policies import read_policy, write_policy
from upriver.pool_sums import PoolLine, PoolPart
from upriver.scores import Floats
from upriver.trials import Trial, tallies
from upriver_control.regional.model import RegionTrial, Scope, TrialState
from upriver_control.regional.places import Place, is_of, shares
from upriver_control.regional.planning import Pace, Step, chosen, fitted, is_due, need_of, step
from upriver_control.regional.standing import Standing, promise_of
from upriver_control.regional.verdict import certified, judge
from upriver_control.store.pools import PoolTable
from upriver_control.store.trials import TrialTable

_LOG: Final = logging.getLogger(__name__)
_MUST_GO: Final = "what it was learnt from has to be forgotten"


class Books(Protocol):
    """Priors, heads and policies; see `Library`."""

    def prior(self, version_digest: str) -> HeadStatistics | None:
        """A version's sums over what it was trained on."""
        ...

    def head(self, digest: str) -> Head | None:
        """A head."""
        ...

    def lend(self, data: bytes, now: float, for_s: float) -> str:
        """Keeps a head for a while; gives its digest."""
        ...

    def publish(self, model: str, tier: str, document: str, head: str) -> str:
        """Signs and keeps a policy with its head, if it has one; gives its name."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a head may lose (0: what runs is certified for), how sure that is (0 likewise), how much a change takes."""

    max_loss: float = 0.0
    confidence: float = 0.0
    most_delta: int = 1000
    pace: Pace = field(default_factory=Pace)


class HeadMaker:
    """The heads of all regions."""

    def __init__(self, pools: PoolTable, trials: TrialTable, books: Books, terms: Terms) -> None:
        self._pools = pools
        self._trials = trials
        self._books = books
        self._terms = terms

    def fit(self, standings: Sequence[Standing], tops: Mapping[str, str], now: float) -> int:
        """Fits what is due and opens its trials; gives how many. `tops` has the version on top, by model."""
        lines = self._lines()
        opened = 0
        for model, version in sorted({(one.model, one.pair.version_digest) for one in standings}):
            prior, top = self._books.prior(version), tops.get(model, "")
            if prior is None or not top or top == version:
                continue
            here = [one for one in lines if one.key.width == prior.width and _key(one) == (model, version)]
            sums = _Sums(self._pools, model, version, prior.width)
            several = len({one.key.region for one in here if one.amount > 0.0}) > 1
            for standing in standings:
                if (standing.model, standing.pair.version_digest) == (model, version) and here:
                    place = self._place(standing, here)
                    for scope in (Scope.REGION, Scope.GLOBAL) if several else (Scope.REGION,):
                        opened += self._is_due(place, scope, now) and self._open(place, scope, top, prior, sums, now)
        return opened

    def look(self, standings: Sequence[Standing], now: float) -> list[RegionTrial]:
        """Looks at the counts that are ready; gives the trials that ended."""
        lines = self._pools.lines()
        ended = []
        for trial in self._trials.open():
            of = trial.trial
            counts = next((one for one in lines if one.key.trial == trial.id and one.key.width == of.counts), None)
            sharing = max((one.agents for one in lines if shares(one, of)), default=0)  # of one width
            questions, counted_by = (int(counts.amount), counts.agents) if counts is not None else (0, 0)
            tried = self._trials.attempts(of.model, of.version_digest, of.region)
            what = step(trial, questions, counted_by, sharing, tried, now, self._terms.pace)
            if not any(is_of(one, of) for one in standings):
                ended.append(self._withdraw(trial, "its version does not run there any more", now))
            elif what is Step.WITHDRAW:
                ended.append(self._withdraw(trial, f"in time only {questions} questions were held out", now))
            elif what is Step.LOOK:
                ended.append(self._judge(replace(trial, counted_by=counted_by), now))
        return ended

    def pick(self, standings: Sequence[Standing], now: float) -> list[RegionTrial]:
        """Which head each region is to get now, of those that passed and were not rolled out."""
        lines, found = self._lines(), []
        for standing in standings:
            place = self._place(standing, lines)
            waiting = [one for one in place.trials if one.state is TrialState.PASSED and not one.rollouts]
            for one in [one for one in waiting if place.must_go(one)]:
                self._end(one, TrialState.WITHDRAWN, _MUST_GO, now)
                waiting.remove(one)
            if any(one.state is TrialState.OPEN for one in place.trials):
                continue  # its rival is still tried
            best = chosen(waiting)
            if best is not None:
                found.append(best)
            for other in waiting:
                if other is not best:
                    self._end(other, TrialState.FAILED, "the other head answers as much or more there", now)
        return found

    def to_go(self, standings: Sequence[Standing]) -> list[tuple[Standing, RegionTrial]]:
        """Regions whose head had learnt what must be forgotten, where all that was tried since came to nothing."""
        lines, found = self._lines(), []
        for standing in standings:
            place = self._place(standing, lines)
            running = place.running
            if running is not None and not running.back and place.must_go(running):
                since = place.since(running)
                if since and all(one.state in (TrialState.FAILED, TrialState.WITHDRAWN) for one in since):
                    found.append((standing, running))
        return found

    def rolled_out(self, trial: RegionTrial, rollouts: Sequence[str]) -> None:
        """Notes what brings a head to its region."""
        self._trials.save(replace(trial, rollouts=tuple(rollouts)))

    def taken_back(self, trial: RegionTrial, rollouts: Sequence[str]) -> None:
        """Notes what takes a head away from its region again."""
        self._trials.save(replace(trial, back=tuple(rollouts)))

    def base_of(self, trial: RegionTrial) -> str:
        """The name of the policy without a head that a region goes back to; empty for the manifest's."""
        if not trial.base:
            return ""
        return self._books.publish(trial.trial.model, trial.tiers[0], trial.base, "")

    def _lines(self) -> list[PoolLine]:
        return [line for line in self._pools.lines() if not line.key.trial]

    def _place(self, standing: Standing, lines: Sequence[PoolLine]) -> Place:
        of = (standing.model, standing.pair.version_digest)
        return Place(standing, self._kept(standing), [one for one in lines if _key(one) == of])

    def _kept(self, standing: Standing) -> list[RegionTrial]:
        found = self._trials.all(standing.model, standing.region)
        return [one for one in found if one.trial.version_digest == standing.pair.version_digest]

    def _is_due(self, place: Place, scope: Scope, now: float) -> bool:
        learnt, last, running = place.learnt(scope), place.last(scope), place.running
        if last is not None and last.state is TrialState.OPEN and place.must_go(last):
            self._withdraw(last, _MUST_GO, now)
            return True
        if running is not None and place.must_go(running):
            return last is None or last.created <= running.created or place.must_go(last)
        return is_due(learnt, last, now, self._terms.pace)

    def _open(self, place: Place, scope: Scope, top: str, prior: HeadStatistics, sums: "_Sums", now: float) -> bool:
        one, running, last = place.standing, place.running, place.last(scope)
        promise = promise_of(one.policy, self._terms.max_loss, self._terms.confidence)
        if isinstance(promise, str):  # before anything is read: it is so at every look
            return False
        found = sums.of(one.region, anywhere=scope is Scope.GLOBAL)
        if found is None:
            return False
        before = last.trial.head if last is not None and scope is Scope.GLOBAL else one.policy.head
        old = self._books.head(before) if before else None
        made = fitted(one.pair.version_digest, prior, found, old, self._terms.most_delta)
        if digest_of(made.data) == one.policy.head:
            return False
        pace, learnt = self._terms.pace, place.learnt(scope)
        head = self._books.lend(made.data, now, pace.give_up_s + pace.wait_s)
        trial = RegionTrial(
            trial=Trial(one.model, one.pair.version_digest, one.region, head, top),
            version=one.pair.version,
            scope=scope,
            tiers=one.tiers,
            policy=write_policy(one.policy),
            base=running.base if running is not None else ("" if one.policy.head else one.pair.policy_document),
            promise=promise,
            lessons=learnt.lessons,
            agents=learnt.agents,
            forgotten=learnt.forgotten,
            created=now,
            need=need_of(scope, running, learnt if running is None else place.learnt(running.scope)),
            head_bytes=len(made.data),
            delta_bytes=made.delta_bytes,
        )
        if not self._trials.add(trial):
            return False
        _LOG.info("a %s head of %s is tried in %s: %.0f lessons", scope, one.model, one.region, learnt.lessons)
        return True

    def _judge(self, trial: RegionTrial, now: float) -> RegionTrial:
        of = trial.trial
        attempt = self._trials.attempt(of.model, of.version_digest, of.region)
        counts = self._counts(trial)
        try:
            verdict = judge(of, tallies(of, counts), trial.promise, attempt, trial.need)
        except InvalidInput as error:  # an agent counts what can't be: the look is spent all the same
            return self._end(trial, TrialState.FAILED, str(error), now)
        trial = replace(trial, verdict=verdict)
        if verdict.why:
            return self._end(trial, TrialState.FAILED, verdict.why, now)
        policy = certified(read_policy(trial.policy), of, verdict, trial.promise, digest_of(counts.tobytes()))
        try:
            made = self._books.publish(of.model, trial.tiers[0], write_policy(policy), of.head)
        except (InvalidInput, NotFound) as error:
            return self._end(trial, TrialState.FAILED, f"it could not be published: {error}", now)
        return self._end(replace(trial, made=made), TrialState.PASSED, "", now)

    def _counts(self, trial: RegionTrial) -> Floats:
        of = trial.trial
        parts = self._pools.sums(of.model, of.version_digest, trial.id)
        (found,) = [one.sums for one in parts if one.key.width == of.counts and one.key.region == of.region]
        if isinstance(found, HeadStatistics):
            raise InvalidInput("statistics where counts were expected")
        return found

    def _withdraw(self, trial: RegionTrial, why: str, now: float) -> RegionTrial:
        return self._end(trial, TrialState.WITHDRAWN, why, now)

    def _end(self, trial: RegionTrial, state: TrialState, why: str, now: float) -> RegionTrial:
        ended = replace(trial, state=state, why=why, ended=now)
        self._trials.save(ended)
        told = f": {why}" if why else ""
        _LOG.info("the %s head of %s %s in %s%s", trial.scope, trial.trial.model, state, trial.region, told)
        return ended


class _Sums:
    """The statistics of a version, read when they are first asked for."""

    def __init__(self, pools: PoolTable, model: str, version_digest: str, width: int) -> None:
        self._pools = pools
        self._of = (model, version_digest)
        self._width = width
        self._parts: Sequence[PoolPart] | None = None

    def of(self, region: str, *, anywhere: bool) -> HeadStatistics | None:
        """Those of a region, or of all; None without any."""
        if self._parts is None:
            self._parts = self._pools.sums(*self._of)
        here = [one for one in self._parts if one.key.width == self._width and (anywhere or one.key.region == region)]
        found = [one.sums for one in here if isinstance(one.sums, HeadStatistics)]
        return merged(found) if found else None


def _key(line: PoolLine) -> tuple[str, str]:
    return line.key.model, line.key.version_digest
