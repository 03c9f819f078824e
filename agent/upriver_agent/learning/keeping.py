"""Keeps the holdout: what audits found of questions that never teach, and how many more of them are wanted."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from upriver.listing import is_digest
from upriver_agent.auditing.case import Verdict
from upriver_agent.journal import Journal
from upriver_agent.learning import holdout
from upriver_agent.sections import LearningSection
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import ALARM, Current

_LOG = logging.getLogger(__name__)


class HoldoutKeeper:
    """An `auditing.listening.Listener`. Safe to share between threads; waits for nothing."""

    def __init__(
        self,
        journal: Journal,
        section: LearningSection,
        cannot: Callable[[LoadedVersion], str],
        audited: Callable[[str, str, bool], None],
        stirred: Callable[[], None],
        putting: Callable[[LoadedVersion], None],
    ) -> None:
        """`cannot` says why a pair can't learn; `audited` is told of each answer by a tier between that the top was
        asked about too (teacher, its pair, whether the top agrees), `stirred` that there is something new, `putting` of
        each pair that is about to answer."""
        self._journal = journal
        self._section = section
        self._cannot = cannot
        self._audited = audited
        self._stirred = stirred
        self._putting = putting
        self.lost = 0
        """Questions that could not be kept since the start: chance decides which, so the others are a fair sample."""
        self._trouble = ""
        self._wanted: dict[str, bool] = {}
        self._full: dict[str, bool] = {}
        self._alarms: dict[str, float] = {}

    def wants(self, loaded: LoadedVersion) -> bool:
        """Whether questions of a pair are held out."""
        wanted = self._section.enabled and self._section.promote and not self._cannot(loaded)
        self._wanted[loaded.model] = wanted
        self._putting(loaded)
        return wanted

    def share(self, model: str) -> float:
        """The share of a model's questions that is to be audited, at least."""
        wanted = self._wanted.get(model, False) and not self._full.get(model, False)
        return self._section.holdout if wanted else 0.0

    def counted(self, model: str, held_out: int) -> None:
        """So many questions of a model are held out and count now."""
        self._full[model] = held_out >= holdout.WANTED

    def after_alarms(self, current: Current) -> None:
        """What was held out before an alarm does not count: what was true then is not any more. Raises DiskTrouble."""
        model, since, ended = current.given.model, 0.0, current.standing.ended
        if ended is not None and ended.why == ALARM:
            since = ended.at
        watch = current.given.watch
        if watch is not None and watch.alarmed:
            since = max(since, watch.facts().report.alarm_since)
        if since > self._alarms.get(model, 0.0):
            self._alarms[model] = since
            self._journal.write(partial(holdout.restart, model=model, since=since)).result()

    def judged(self, verdicts: Sequence[Verdict], top_version: str) -> None:
        """Keeps verdicts of the holdout, and tells who was contradicted."""
        for verdict in verdicts:
            case = verdict.case
            if case.teacher:
                self._audited(case.teacher, case.teacher_policy, case.teacher_answer == verdict.top_answer)
        kept = [
            verdict
            for verdict in verdicts
            if verdict.case.draw < self._section.holdout
            and verdict.embedding is not None
            and is_digest(verdict.top_policy_digest)
        ]
        if kept and self._section.enabled:
            write = self._journal.write(
                partial(holdout.add, verdicts=kept, top_version=top_version, share=self._section.holdout)
            )
            write.add_done_callback(partial(self._written, rows=len(kept)))
            self._stirred()

    def _written(self, write: Future[int], rows: int) -> None:
        error = write.exception()
        told = "" if error is None else str(error)
        if error is not None:
            self.lost += rows
            if told != self._trouble:
                _LOG.warning("questions are not held out: %s", error)
        self._trouble = told
