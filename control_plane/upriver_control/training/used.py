"""Which questions taught a version, or a region's head, as far as that is known. Functions block."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from upriver.errors import DiskTrouble
from upriver.policies import read_policy
from upriver_control.artifacts import Artifacts
from upriver_control.lessons.keeper import Keeper
from upriver_control.observed import Pair
from upriver_control.regional.model import RegionTrial, Scope
from upriver_control.store.trainings import SourceKind, SourceTable
from upriver_control.store.trials import TrialTable
from upriver_control.training.origins import Origin

_COLUMNS: Final = ("id", "version_digest", "received", "trace", "span")


def trained_on(sources: SourceTable, artifacts: Artifacts, version_digest: str) -> Iterator[Origin]:
    """Where the questions of lessons were that a version was trained on, the newest first; older files do not say.

    Raises DiskTrouble and Unreachable.
    """
    kept = sources.of(version_digest).get(SourceKind.LESSONS)
    if kept is None:
        return
    from upriver_control.lessons import tables  # here, so that pyarrow is there only when lessons are

    try:
        table = tables.decoded(artifacts.read(kept.digest), ("use", "trace", "span"))
    except tables.DAMAGED as error:
        raise DiskTrouble(f"the lessons of {version_digest} are damaged where they are kept") from error
    if "span" in table.column_names:
        for row in reversed(table.to_pylist()):
            if row["use"] == "train":
                yield Origin(row["trace"], row["span"])


class Lessons:
    """What pairs that are rolled out have learnt from."""

    def __init__(self, sources: SourceTable, artifacts: Artifacts, keeper: Keeper, trials: TrialTable) -> None:
        self._sources = sources
        self._artifacts = artifacts
        self._keeper = keeper
        self._trials = trials

    def of(self, pair: Pair, model: str, most: int) -> tuple[int, list[Origin]]:
        """How many lessons taught a pair, and where questions of the newest were, at most `most`.

        Where it has a region's head, the lessons are that one's, and the questions those whose lessons were handed up:
        of others there are only sums. Raises NotFound for files that went meanwhile, DiskTrouble, Unreachable.
        """
        head = read_policy(pair.policy_document).head if pair.policy_document else ""
        if head:
            trial = next((one for one in self._trials.all(model) if one.trial.head == head), None)
            return (0, []) if trial is None else (round(trial.lessons), list(islice(self._taught(trial), most)))
        found = list(trained_on(self._sources, self._artifacts, pair.version_digest))
        return len(found), found[:most]

    def _taught(self, trial: RegionTrial) -> Iterator[Origin]:
        """The newest first, by file and row."""
        region = trial.region if trial.scope is Scope.REGION else ""
        for part in reversed(self._keeper.table.parts(trial.trial.model, region)):
            for _, table in self._keeper.read([part], _COLUMNS):
                yield from _before(trial, reversed(table.to_pylist()))


def _before(trial: RegionTrial, rows: Iterable[dict[str, Any]]) -> Iterator[Origin]:
    """Those of rows that came before a head was learnt, of questions to its version."""
    for row in rows:
        is_its = row["version_digest"] == trial.trial.version_digest and row["received"].timestamp() <= trial.created
        if is_its and row["trace"] and row["span"]:
            yield Origin(row["trace"], row["span"])
