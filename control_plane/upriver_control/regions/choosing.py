"""Which of the heads that passed a region gets, and when it goes back to none. Methods block."""

from collections.abc import Sequence
from dataclasses import replace

from upriver_control.regional.model import RegionTrial, TrialState
from upriver_control.regional.standing import Standing
from upriver_control.regions.books import Books
from upriver_control.regions.record import CHANGED, MUST_GO, RegionRecord


class HeadChooser:
    """Chooses for all regions."""

    def __init__(self, record: RegionRecord, books: Books, wait_s: float) -> None:
        """A head that passed waits so long for its rivals."""
        self._record = record
        self._books = books
        self._wait_s = wait_s

    def settle(self, standings: Sequence[Standing], now: float) -> None:
        """Ends those of the heads that wait which may not answer any more, or less than another that waits."""
        lines = self._record.lines()
        for standing in standings:
            place = self._record.place(standing, lines)
            waiting = []
            for one in place.waiting:
                if place.must_go(one):
                    self._record.end(one, TrialState.WITHDRAWN, MUST_GO, now)
                elif not place.is_current(one):
                    self._record.end(one, TrialState.WITHDRAWN, CHANGED, now)
                else:
                    waiting.append(one)
            best = place.best_of(waiting, now, self._wait_s)
            for other in waiting if best is not None else ():
                if other is not best:
                    self._record.end(other, TrialState.FAILED, "the other head answers as much or more there", now)

    def pick(self, standings: Sequence[Standing], now: float) -> list[tuple[Standing, RegionTrial]]:
        """Which head each region is to get now, of those that wait, and the tiers that are to get it."""
        found = []
        for standing in standings:
            place = self._record.place(standing, ())
            best = place.best_of(place.waiting, now, self._wait_s)
            if best is not None:
                found.append((standing, replace(best, tiers=standing.tiers)))
        return found

    def to_go(self, standings: Sequence[Standing]) -> list[tuple[Standing, RegionTrial]]:
        """Regions whose head had learnt what must be forgotten, where no other one is tried or has passed since."""
        lines, found = self._record.lines(), []
        for standing in standings:
            place = self._record.place(standing, lines)
            running = place.running
            if running is None or not place.must_go(running):
                continue
            if running.state is TrialState.WITHDRAWN and running.rollouts:  # it is on its way back
                continue
            if all(one.state in (TrialState.FAILED, TrialState.WITHDRAWN) for one in place.since(running)):
                found.append((standing, running))
        return found

    def rolled_out(self, trial: RegionTrial, rollouts: Sequence[str]) -> None:
        """Notes what brings a head to its region."""
        self._record.trials.save(replace(trial, rollouts=tuple(rollouts)))

    def taken_back(self, trial: RegionTrial, rollouts: Sequence[str], now: float) -> None:
        """Notes what takes a head away from its region again, and withdraws it."""
        trial = replace(trial, rollouts=(*trial.rollouts, *rollouts))
        self._record.end(trial, TrialState.WITHDRAWN, MUST_GO, now)

    def base_of(self, trial: RegionTrial) -> str:
        """The name of the policy without a head that a region goes back to; empty for the manifest's."""
        if not trial.base:
            return ""
        return self._books.publish(trial.trial.model, trial.tiers[0], trial.base, "")
