"""A region in which heads of a version are tried: what runs there, what was tried before, what is pooled. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from upriver.policies import write_policy
from upriver.pool_sums import PoolLine
from upriver.trials import Trial
from upriver_control.regional.model import RegionTrial, Scope, TrialState
from upriver_control.regional.planning import Learnt, chosen, has_forgotten
from upriver_control.regional.standing import Standing


@dataclass(frozen=True, slots=True)
class Place:
    """One region. `trials` are those of the version there, newest first; `lines` what is pooled of it anywhere."""

    standing: Standing
    trials: Sequence[RegionTrial]
    lines: Sequence[PoolLine]

    @property
    def running(self) -> RegionTrial | None:
        """The trial that what answers came of."""
        head = self.standing.policy.head
        return next((one for one in self.trials if head and one.trial.head == head), None)

    def best_of(self, passed: Sequence[RegionTrial], now: float, wait_s: float) -> RegionTrial | None:
        """Which of the heads that passed the region gets; None while there is none, or a rival of it is tried.

        A rival was open when it passed, and is waited for so long. One that comes later can take its place by its test.
        """
        best = chosen(passed)
        if best is not None and now - best.ended < wait_s:
            ended = best.ended
            if any(one.state is TrialState.OPEN and one.created <= ended for one in self.trials):
                return None
        return best

    @property
    def waiting(self) -> list[RegionTrial]:
        """The heads that passed and that nobody has rolled out."""
        head = self.standing.policy.head
        passed = [one for one in self.trials if one.state is TrialState.PASSED and not one.rollouts]
        return [one for one in passed if one.trial.head != head]

    def is_current(self, trial: RegionTrial) -> bool:
        """Whether what a head was held against is what runs."""
        return trial.policy == write_policy(self.standing.policy)

    def last(self, scope: Scope) -> RegionTrial | None:
        """The newest trial of a scope."""
        return next((one for one in self.trials if one.scope is scope), None)

    def since(self, trial: RegionTrial) -> list[RegionTrial]:
        """The trials after one."""
        return [one for one in self.trials if one.created > trial.created]

    def learnt(self, scope: Scope, width: int = 0) -> Learnt:
        """What is pooled here, or in all regions, on an embedding of one width where that is given."""
        here = [
            one
            for one in self.lines
            if scope is Scope.GLOBAL or one.key.region == self.standing.region
            if width in (0, one.key.width)
        ]
        return Learnt(
            sum(one.amount for one in here), sum(one.agents for one in here), sum(one.forgotten for one in here)
        )

    def must_go(self, trial: RegionTrial) -> bool:
        """Whether a head has learnt what had to be forgotten since."""
        return has_forgotten(self.learnt(trial.scope, trial.width), trial)


def is_of(standing: Standing, trial: Trial) -> bool:
    """Whether a trial is of what runs somewhere."""
    of = (trial.model, trial.version_digest, trial.region)
    return (standing.model, standing.pair.version_digest, standing.region) == of


def shares(line: PoolLine, trial: Trial) -> bool:
    """Whether it is statistics of the agents that a trial is for."""
    key = line.key
    of = (trial.model, trial.version_digest, trial.region)
    return not key.trial and (key.model, key.version_digest, key.region) == of
