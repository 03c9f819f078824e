"""Makes heads of regions: fits those that are due and opens their trials. Methods block.

A trial is kept before it is announced; so this may be killed anywhere, and what is done again comes out the same.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from upriver.head_statistics import HeadStatistics, merged
from upriver.listing import digest as digest_of
from upriver.policies import write_policy
from upriver.pool_sums import PoolLine, PoolPart
from upriver.trials import Trial
from upriver_control.regional.model import Need, RegionTrial, Scope, TrialState
from upriver_control.regional.places import Place
from upriver_control.regional.planning import Pace, fitted, is_due, need_of
from upriver_control.regional.standing import Standing, promise_of
from upriver_control.regions.apart import apart
from upriver_control.regions.books import Books
from upriver_control.regions.record import RegionRecord
from upriver_control.store.pools import PoolTable

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a head may lose (0: what runs is certified for), how sure that is (0 likewise), how much a change takes."""

    max_loss: float = 0.0
    confidence: float = 0.0
    most_delta: int = 1000
    pace: Pace = field(default_factory=Pace)


class HeadMaker:
    """Makes the heads of all regions."""

    def __init__(self, record: RegionRecord, books: Books, terms: Terms) -> None:
        self._record = record
        self._books = books
        self._terms = terms

    def fit(self, standings: Sequence[Standing], tops: Mapping[str, str], now: float) -> int:
        """Fits what is due and opens its trials; gives how many. `tops` has the version on top, by model."""
        lines = self._record.lines()
        opened = 0
        for model, version in sorted({(one.model, one.pair.version_digest) for one in standings}):
            found = [one for one in standings if (one.model, one.pair.version_digest) == (model, version)]
            if tops.get(model, version) != version:
                with apart(f"making heads of {model}, {version[:19]}"):
                    opened += self._fit(found, tops[model], lines, now)
        return opened

    def _fit(self, standings: Sequence[Standing], top: str, lines: Sequence[PoolLine], now: float) -> int:
        """The same for a version, wherever it runs."""
        model, version = standings[0].model, standings[0].pair.version_digest
        prior = self._books.prior(version)
        if prior is None:
            return 0
        here = [one for one in lines if one.key.width == prior.width and _key(one) == (model, version)]
        sums = _Sums(self._record.pools, model, version, prior.width)
        several = len({one.key.region for one in here if one.amount > 0.0}) > 1
        opened = 0
        for standing in standings if here else ():
            with apart(f"making heads of {model} for {standing.region}"):
                place = self._record.place(standing, here)
                for scope in (Scope.REGION, Scope.GLOBAL) if several else (Scope.REGION,):
                    opened += self._is_due(place, scope, now) and self._open(place, scope, top, prior, sums, now)
        return opened

    def _is_due(self, place: Place, scope: Scope, now: float) -> bool:
        learnt, last, running = place.learnt(scope), place.last(scope), place.running
        if last is not None and last.state is TrialState.OPEN:
            return False  # if it must go, the judge ends it
        if (
            last is not None
            and last.state is TrialState.WITHDRAWN
            and (place.must_go(last) or not place.is_current(last))
        ):
            last = None  # of what may be learnt from now, against what runs there now, it was never tried
        is_first = last is None or running is None or last.created <= running.created or place.must_go(last)
        if running is not None and place.must_go(running) and is_first:
            return True  # its successor, however few lessons there are
        return is_due(learnt, last, now, self._terms.pace)

    def _open(self, place: Place, scope: Scope, top: str, prior: HeadStatistics, sums: "_Sums", now: float) -> bool:
        one, running = place.standing, place.running
        promise = promise_of(one.policy, self._terms.max_loss, self._terms.confidence)
        if isinstance(promise, str):  # before anything is read: it is so at every look
            return False
        found, learnt = sums.of(one.region, anywhere=scope is Scope.GLOBAL), place.learnt(scope)
        if found is None:
            return False
        need = need_of(scope, running, learnt if running is None else place.learnt(running.scope))
        # Of a head that has learnt what must be forgotten nothing is kept, as a small change would.
        old = self._books.head(one.policy.head) if one.policy.head and need is not Need.NOTHING else None
        made = fitted(one.pair.version_digest, prior, found, old, self._terms.most_delta)
        if digest_of(made.data) == one.policy.head:
            if need is Need.NOTHING and running is not None:  # what was forgotten had come after it
                self._record.trials.save(replace(running, forgotten=place.learnt(running.scope).forgotten))
            return False
        pace = self._terms.pace
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
            width=prior.width,
            created=now,
            need=need,
            head_bytes=len(made.data),
            delta_bytes=made.delta_bytes,
        )
        if not self._record.trials.add(trial):
            return False
        _LOG.info("a %s head of %s is tried in %s: %.0f lessons", scope, one.model, one.region, learnt.lessons)
        return True


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
