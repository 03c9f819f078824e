"""The auditor: watches the versions that answer, asks the top about the rows that the coin fell for, rings the alarm.

One thread takes in what was noticed, one asks the top, one delivers to the control plane. Callers have their answers
before any of them begins. What waits and what was decided is in one journal, and each step is one transaction of it:
whenever the process ends, every case that was taken in is judged once, and counted once.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, takewhile
from pathlib import Path
from typing import Final

from upriver import logs
from upriver.backoff import full_jitter_s
from upriver.errors import DiskTrouble, InvalidInput, UpriverError
from upriver_agent.auditing import store
from upriver_agent.auditing.asking import Refused, TopAsker, read_own
from upriver_agent.auditing.case import Verdict, judge, read_case
from upriver_agent.auditing.delivery import Delivery, write_verdict
from upriver_agent.auditing.intake import CaseMaker, Inbox, Opened
from upriver_agent.auditing.listening import Listener, Nobody
from upriver_agent.auditing.monitors import Guarded, Monitors
from upriver_agent.auditing.store import Waiting
from upriver_agent.giving_way import giving_way
from upriver_agent.journal import Journal
from upriver_agent.merge import AnswerInvalid
from upriver_agent.monitoring.settings import AuditsSection
from upriver_agent.place import Place
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.watch import Noticed, WatchFacts
from upriver_agent.telemetry import Telemetry

_LOG = logging.getLogger(__name__)
FILE: Final = "audits.db"
OFF: Final = "audits are off: nothing watches the certificate"
TOP: Final = "the top of the ladder: there is nobody to compare with"
FOR_NOBODY: Final = "not certified, and there is no control plane that audits would be for"
_OF_ANY_MODEL: Final = ""
_TICK_S: Final = 1.0
_GATHER_S: Final = 0.25
"""What comes so soon after each other is kept, and the top is asked about it, together: one more row costs little."""
_ENOUGH: Final = 64
"""Requests that are gathered at most before they are taken in."""
_BACKLOG: Final = 200
"""With so many rows of a model waiting no more of its questions are audited than its policy needs."""
_IDLE_S: Final = 30.0
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0
_MIB: Final = 1 << 20

Key = tuple[str, bool]
"""Cases that can be asked or not together: a model, and whether in the region only."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """Until when somebody is not asked, by the steady clock, and after how many failures."""

    until: float = 0.0
    failures: int = 0


class Auditor:
    """Audits what the agent at `place` answers."""

    def __init__(
        self,
        state_dir: Path,
        place: Place,
        settings: AuditsSection,
        top: TopAsker,
        delivery: Callable[[Journal], Delivery] | None,
        telemetry: Telemetry,
        changed: Callable[[], None],
        listener: Listener | None = None,
    ) -> None:
        """`delivery` makes what delivers to a control plane, None where there is none; `changed` is told of alarms,
        `listener` of all verdicts."""
        self._place = place
        self._settings = settings
        self._top = top
        self._telemetry = telemetry
        self._changed = changed
        self._listener = listener or Nobody()
        self.journal = self._journal = Journal(state_dir / FILE, store.SCHEMA, durable=False)
        self._delivery = delivery(self._journal) if delivery is not None else None
        self._inbox = Inbox()
        self._monitors = Monitors(self._journal, settings, self._inbox.put, self._facts, self._share)
        self._maker = CaseMaker(place, top.near)
        self._waiting: dict[str, int] = {}
        self._dropped: Counter[str] = Counter()
        self._trouble = ""
        self._pauses: dict[Key, _Pause] = {}
        self._stirred = threading.Event()
        self._over = threading.Event()
        self._threads = (
            threading.Thread(target=self._take_in, name="upriver-audit-intake", daemon=True),
            threading.Thread(target=self._ask_on, name="upriver-audits", daemon=True),
        )
        self._on = settings.enabled and place.rank < len(place.tiers) - 1

    def open(self) -> None:
        """Opens what was kept; before the first version is watched."""
        if self._on:
            self._journal.start()

    def watch(self, loaded: LoadedVersion) -> None:
        """Has a version watched from now on, as far as there is anything to watch; before it answers."""
        nulls = self._monitors.nulls(loaded.policy)
        wanted = self._listener.wants(loaded)  # asked of every pair: what it says of one is what its share goes by
        if not self._on:
            loaded.unwatched = OFF if not self._settings.enabled else TOP
        elif not nulls.watched and self._delivery is None and not wanted:
            loaded.unwatched = FOR_NOBODY
        else:
            loaded.watch = self._monitors.guard(loaded.model, loaded.policy, nulls).watch

    def start(self) -> None:
        """Begins, in the background."""
        if not self._on:
            return
        for thread in self._threads:
            thread.start()
        if self._delivery is not None:
            self._delivery.start()

    def close(self) -> None:
        """Ends; what waits goes on at the next start."""
        if not self._on:
            return
        self._over.set()
        self._stirred.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2.0)
        if self._delivery is not None:
            self._delivery.close()
        self._monitors.save()
        self._journal.close()

    def bytes_up(self) -> Mapping[str, int]:
        """What audits have sent since the start: questions to the top, and verdicts to the control plane."""
        verdicts = 0 if self._delivery is None else self._delivery.bytes_up
        return {"audit_bytes_up": self._top.bytes_up, "verdict_bytes_up": verdicts}

    def _share(self, model: str) -> float:
        """What the listener wants audited, as long as the top can be asked about it as fast as it comes."""
        return 0.0 if self._waiting.get(model, 0) >= _BACKLOG else self._listener.share(model)

    # What was noticed.

    def _take_in(self) -> None:
        ticked = 0.0
        while True:
            noticed = self._inbox.get(_TICK_S)
            if noticed is not None:
                self._take([noticed, *self._gathered()])
            elif self._over.is_set():
                return
            if time.monotonic() - ticked >= _TICK_S:
                ticked = time.monotonic()
                self._safely(self._monitors.tick)

    def _gathered(self) -> list[Noticed]:
        """What comes soon after: keeping many costs hardly more than keeping one, and answers give way to it less."""
        until = time.monotonic() + _GATHER_S
        while time.monotonic() < until and self._inbox.requests < _ENOUGH and not self._over.is_set():
            self._over.wait(_GATHER_S / 5)
        some: list[Noticed] = []
        while (noticed := self._inbox.get(0.0)) is not None:
            some.append(noticed)
        return some

    def _take(self, some: Sequence[Noticed]) -> None:
        opened: dict[str, list[Opened]] = {}
        for noticed in giving_way(some):
            self._safely(partial(self._open, noticed, opened.setdefault(noticed.loaded.model, [])))
        for model, cases in opened.items():
            self._safely(partial(self._keep, model, cases))

    def _open(self, noticed: Noticed, opened: list[Opened]) -> None:
        watch = noticed.loaded.watch
        opened.append(self._maker.open(noticed, 1.0 if watch is None else watch.rate))

    def _keep(self, model: str, opened: Sequence[Opened]) -> None:
        waiting = [case for one in opened for case in one.waiting]
        if waiting:
            most = self._settings.journal_mib * _MIB
            try:
                kept = self._journal.write(partial(store.add, cases=waiting, most_bytes=most)).result()
            except UpriverError as error:
                self._drop(model, len(waiting), str(error))
            else:
                self._drop(model, kept)
                self._stirred.set()
        verdicts = [verdict for one in opened for verdict in one.verdicts]
        for pair in _by_pair(verdicts):
            try:
                thinned = self._journal.read(store.ceiling)
                self._settle([_at_most(thinned, verdicts[index]) for index in pair], ())
            except UpriverError as error:
                self._drop(model, len(pair), str(error))

    # What waits.

    def _ask_on(self) -> None:
        swept = -3600.0
        interval_s = 1.0 / self._settings.per_s
        while not self._over.is_set():
            if time.monotonic() - swept > 60.0:
                swept = time.monotonic()
                self._safely(self._sweep)
            self._stirred.clear()
            asked = self._safely(self._ask_next)
            if not asked:
                self._stirred.wait(_TICK_S if self._waiting else _IDLE_S)
                self._over.wait(_GATHER_S)
            else:
                self._over.wait(interval_s * asked)

    def _sweep(self) -> int:
        before = time.time() - 3600.0 * self._settings.max_age_h
        gone = self._journal.write(partial(store.expire, before=before)).result()
        if gone:
            hours = self._settings.max_age_h
            _LOG.warning("%d audits were given up: the top could not be asked within %g h", gone, hours)
            self._drop(_OF_ANY_MODEL, gone)
        return 0

    def _ask_next(self) -> int:
        """Asks about what has waited longest; gives how many rows were asked, 0 when none can be."""
        now = time.monotonic()
        without = [key for key, pause in self._pauses.items() if pause.until > now]
        self._waiting = self._journal.read(store.waiting)
        cases = self._journal.read(lambda connection: store.next_call(connection, without))
        self._trouble = ""
        return self._ask_about(cases) if cases else 0

    def _ask_about(self, cases: Sequence[Waiting]) -> int:
        key = (cases[0].model, cases[0].region_only)
        try:
            verdicts = self._judged(cases)
        except (Refused, ValueError, InvalidInput, AnswerInvalid) as error:
            apart = [list(some) for _, some in groupby(cases, lambda one: one.question)]
            if len(apart) > 1:  # it may be for one of them alone
                # Until the top is away: each further one would wait for it in vain.
                return sum(takewhile(bool, map(self._ask_about, apart)))
            about = logs.about(question=cases[0].question)
            _LOG.warning("%s: an audit is given up: %s", cases[0].model, error, extra=about)
            self._end(cases)
            return len(cases)
        if verdicts is None:
            failures, now = self._pauses.get(key, _Pause()).failures + 1, time.monotonic()
            self._pauses[key] = _Pause(now + full_jitter_s(failures, _FIRST_S, _LONGEST_S, random.random), failures)
            return 0
        self._pauses.pop(key, None)
        for pair in _by_pair(verdicts):
            self._settle([verdicts[index] for index in pair], [cases[index] for index in pair])
        return len(cases)

    def _judged(self, cases: Sequence[Waiting]) -> list[Verdict] | None:
        answers = self._top.ask(cases, self._over.is_set)
        if answers is None:
            return None
        rate = self._journal.read(store.ceiling)  # what was dropped meanwhile has made the sample a thinner one
        rows = enumerate(giving_way(cases))
        verdicts = [judge(read_case(one.facts), read_own(one), answers, index) for index, one in rows]
        return [_at_most(rate, verdict) for verdict in verdicts]

    def _end(self, cases: Sequence[Waiting]) -> None:
        done = [(one.question, one.row) for one in cases]
        self._journal.write(lambda connection: store.settle(connection, done, (), None, time.time())).result()
        self._drop(cases[0].model, len(cases))

    # What came of it.

    def _settle(self, verdicts: Sequence[Verdict], cases: Sequence[Waiting]) -> None:
        """Takes in verdicts of one pair, and ends the cases that they are of."""
        case = verdicts[0].case
        top_version = self._top.version_of(verdicts[0].top_agent, case.model)
        told = []
        if self._delivery is not None:
            told = [write_verdict(one, self._place, top_version) for one in giving_way(verdicts)]
        done = [(one.question, one.row) for one in cases]
        rang = self._monitors.settle(case.model, case.policy_digest, done, verdicts, told)
        if self._delivery is not None:
            self._delivery.stir()
        self._listener.judged(verdicts, top_version)
        for one in verdicts:
            if not one.agrees and one.case.passes:
                self._telemetry.disagreement(case.model, one.case.question, case.policy_digest, one.top_agent, rang)
        if rang:
            _LOG.error(
                "%s: ALARM: answers differ from the top's more often than its policy %s certifies; everything goes up "
                "until another policy comes",
                case.model,
                case.policy_digest[:19],
            )
            self._changed()

    def _facts(self, pair: Guarded) -> WatchFacts:
        waiting = self._waiting.get(pair.model, 0)
        dropped = self._dropped[pair.model] + self._dropped[_OF_ANY_MODEL] + self._inbox.dropped
        return pair.facts(time.time(), waiting, dropped, self._trouble or self._journal.trouble)

    def _drop(self, model: str, rows: int, why: str = "") -> None:
        self._dropped[model] += rows
        if why and why != self._trouble:
            _LOG.warning("%s: audits are dropped: %s", model, why)
        self._trouble = why

    def _safely(self, work: Callable[[], int | None]) -> int:
        """Does something whose failure must end neither the thread nor go unseen."""
        try:
            return work() or 0
        except DiskTrouble as error:
            self._trouble = str(error)  # the journal has logged it
        except UpriverError as error:
            _LOG.warning("audits: %s", error)
        except Exception:  # noqa: BLE001 - one question must not end all audits
            _LOG.exception("an audit failed")
        return 0


def _by_pair(verdicts: Sequence[Verdict]) -> list[list[int]]:
    """The verdicts of each pair, by their places."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for index, verdict in enumerate(verdicts):
        pairs.setdefault((verdict.case.policy_digest, verdict.top_agent), []).append(index)
    return list(pairs.values())


def _at_most(rate: float, verdict: Verdict) -> Verdict:
    """A verdict whose sample was thinned to a rate."""
    return verdict if verdict.case.rate <= rate else replace(verdict, case=replace(verdict.case, rate=rate))
