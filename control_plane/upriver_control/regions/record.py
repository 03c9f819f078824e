"""What is pooled and tried in regions, as it is kept. Methods block."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from upriver.pool_sums import PoolLine
from upriver_control.regional.model import RegionTrial, TrialState
from upriver_control.regional.places import Place
from upriver_control.regional.standing import Standing
from upriver_control.store.pools import PoolTable
from upriver_control.store.trials import TrialTable

_LOG: Final = logging.getLogger(__name__)
MUST_GO: Final = "what it was learnt from has to be forgotten"
CHANGED: Final = "what it was held against does not run there any more"


class RegionRecord:
    """Reads `pools` and `trials` together, and ends trials."""

    def __init__(self, pools: PoolTable, trials: TrialTable) -> None:
        self.pools = pools
        self.trials = trials

    def lines(self) -> list[PoolLine]:
        """What is pooled of lessons."""
        return [line for line in self.pools.lines() if not line.key.trial]

    def place(self, standing: Standing, lines: Sequence[PoolLine]) -> Place:
        """One region, of what `lines` had."""
        version = standing.pair.version_digest
        tried = self.trials.all(standing.model, standing.region)
        return Place(
            standing,
            [one for one in tried if one.trial.version_digest == version],
            [one for one in lines if (one.key.model, one.key.version_digest) == (standing.model, version)],
        )

    def end(self, trial: RegionTrial, state: TrialState, why: str, now: float) -> RegionTrial:
        """Ends a trial; gives it as it is then."""
        ended = replace(trial, state=state, why=why, ended=now)
        self.trials.save(ended)
        told = f": {why}" if why else ""
        _LOG.info("the %s head of %s %s in %s%s", trial.scope, trial.trial.model, state, trial.region, told)
        return ended
