"""The monitors of the pairs that answer here: kept over restarts, and what they decide put into effect.

A pair is known by its policy's digest, which names its version too. One that comes back has the alarm that it had.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from upriver.errors import UpriverError
from upriver.scores import Floats
from upriver_agent.auditing import store
from upriver_agent.auditing.case import Verdict
from upriver_agent.auditing.store import Kept, Told
from upriver_agent.journal import Journal
from upriver_agent.monitoring.monitor import Monitor
from upriver_agent.monitoring.nulls import Nulls, nulls_of
from upriver_agent.monitoring.settings import AuditsSection
from upriver_agent.policy import Policy
from upriver_agent.serving.watch import Noticed, Watch, WatchFacts

_LOG = logging.getLogger(__name__)
_LOOKS: Final = 512
_SAVE_S: Final = 300.0
"""How often what signs of drift are looked for in is kept: it is some kilobytes, and flash wears out."""
_MOST: Final = 128


class Guarded:
    """One pair's monitor, and the watch that it steers. Safe to share between threads."""

    def __init__(
        self, model: str, policy: Policy, monitor: Monitor, watch: Watch, share: Callable[[str], float]
    ) -> None:
        """`share` gives the share of a model's questions that is audited at least."""
        self.model = model
        self._share = share
        self.policy = policy
        self.watch = watch
        self.looks: deque[Floats] = deque(maxlen=_LOOKS)
        self._monitor = monitor
        self._lock = threading.Lock()
        self._dirty = False

    def steer(self, now: float) -> None:
        """Puts the monitor's decisions into effect: the alarm, and how many questions are audited now (a Unix time)."""
        with self._lock:
            self.watch.audit(max(self._monitor.rate(now), self._share(self.model)))
            self.watch.alarmed = self._monitor.alarmed

    def look(self, now: float) -> tuple[str, ...]:
        """Takes in the confidences that were looked at; gives new warnings."""
        warnings: list[str] = []
        threshold = self.policy.threshold
        with self._lock:
            while self.looks:
                for confidence in self.looks.popleft().tolist():
                    passes = confidence >= threshold and confidence > -np.inf
                    warnings += self._monitor.looked(confidence, passes, now)
                    self._dirty = True
        return tuple(warnings)

    def settle(
        self,
        verdicts: Sequence[Verdict],
        now: float,
        write: Callable[["Kept | None"], int],
    ) -> bool:
        """Takes in verdicts and has `write` keep that; all or nothing. Gives whether they made the alarm ring.

        Raises what `write` does.
        """
        with self._lock:
            before, rang = self._monitor.kept(), False
            for verdict in verdicts:
                if verdict.case.passes:
                    rang |= self._monitor.audited(not verdict.agrees, verdict.case.brought, now)
            try:
                write(self._kept())
            except UpriverError:
                self._monitor.restore(before)
                raise
        self.steer(now)
        return rang

    def unsaved(self) -> "Kept | None":
        """The state, when it has changed since it was last asked for or kept."""
        with self._lock:
            dirty, self._dirty = self._dirty, False
            if not dirty:
                return None
            return replace(self._kept(), drift=_json(self._monitor.drift()))

    def facts(self, now: float, waiting: int, dropped: int, trouble: str) -> WatchFacts:
        """What to report; never waits, though the disk may have the lock's holder wait."""
        report = self._monitor.report(now)
        return WatchFacts(replace(report, rate=max(report.rate, self._share(self.model))), waiting, dropped, trouble)

    def _kept(self) -> Kept:
        return Kept(self.model, self.policy.digest, _json(self._monitor.kept()))


class Monitors:
    """All pairs that have answered here since the start."""

    def __init__(
        self,
        journal: Journal,
        settings: AuditsSection,
        take: Callable[[Noticed], None],
        facts: Callable[[Guarded], WatchFacts],
        share: Callable[[str], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`take` gets what is to be audited, `facts` tells of a pair, `share` gives the share of a model's questions
        that is audited at least; `clock` gives Unix times."""
        self._journal = journal
        self._settings = settings
        self._take = take
        self._facts = facts
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._pairs: dict[tuple[str, str], Guarded] = {}
        self._saved_at = clock()

    def guard(self, model: str, policy: Policy, nulls: Nulls) -> Guarded:
        """The pair, with everything that is known of it."""
        key = (model, policy.digest)
        with self._lock:
            found = self._pairs.get(key)
            if found is None:
                found = self._made(model, policy, nulls)
                while len(self._pairs) >= _MOST:
                    del self._pairs[next(iter(self._pairs))]
                self._pairs[key] = found
        found.steer(self._clock())
        return found

    def nulls(self, policy: Policy) -> Nulls:
        """What a policy's audits are tested against."""
        return nulls_of(policy.document, self._settings.target)

    def of(self, model: str, policy_digest: str) -> Guarded | None:
        """A pair that has answered here since the start."""
        return self._pairs.get((model, policy_digest))

    def tick(self) -> None:
        """Looks at confidences, steers, and now and then keeps what has changed."""
        now = self._clock()
        for pair in list(self._pairs.values()):
            for warning in pair.look(now):
                _LOG.warning("%s: %s: more questions are audited for a while", pair.model, warning)
            pair.steer(now)
        if not 0.0 <= now - self._saved_at < _SAVE_S:
            self.save()

    def save(self) -> None:
        """Keeps what has changed; never waits."""
        now = self._saved_at = self._clock()
        for pair in list(self._pairs.values()):
            kept = pair.unsaved()
            if kept is not None:
                self._journal.write(partial(store.save, kept=kept, now=now))

    def settle(
        self,
        model: str,
        policy_digest: str,
        done: Sequence[tuple[str, int]],
        verdicts: Sequence[Verdict],
        told: Sequence[Told],
    ) -> bool:
        """Ends cases with their verdicts, in one transaction; gives whether they made the pair's alarm ring.

        Raises DiskTrouble, QueueFull or Draining, and then nothing has changed.
        """
        now = self._clock()

        def write(kept: Kept | None) -> int:
            change = self._journal.write(lambda connection: store.settle(connection, done, told, kept, now))
            return change.result()  # however slow the disk is: only what is known to be kept may count

        pair = self.of(model, policy_digest)
        if pair is None:
            write(None)
            return False
        return pair.settle(verdicts, now, write)

    def _made(self, model: str, policy: Policy, nulls: Nulls) -> Guarded:
        monitor = Monitor(nulls, self._settings.limits, self._settings.rates)
        try:
            kept = self._journal.read(lambda connection: store.load(connection, model, policy.digest))
            if kept is not None:
                monitor.restore(json.loads(kept.state))
            if kept is not None and kept.drift is not None:
                monitor.restore_drift(json.loads(kept.drift))
        except (UpriverError, ValueError) as error:
            _LOG.error("%s: what was known of its policy is lost, and begins anew: %s", model, error)
        pairs: list[Guarded] = []
        watch = Watch(self._take, lambda looked: pairs[0].looks.append(looked), lambda: self._facts(pairs[0]))
        pairs.append(Guarded(model, policy, monitor, watch, self._share))
        return pairs[0]


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)
