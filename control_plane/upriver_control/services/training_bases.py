"""What a training goes on from: the base version as it was named or as the fleet runs it, and what is beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from upriver.errors import InvalidInput, NotFound, NotNow
from upriver_control.jobs.ladder import Rung
from upriver_control.jobs.training import Executor, TrainSpec
from upriver_control.store.questions import QuestionTable
from upriver_control.store.records import StoredVersion, read_version_name
from upriver_control.store.registry import RegistryStore
from upriver_control.store.trainings import SourceKind, SourceTable

HOW: Final = "publish it again with its Keras model beside it: upriver model publish PATH --source model.keras"


@dataclass(frozen=True, slots=True)
class TrainingBases:
    """Fills in what a spec leaves open. `rungs` gives a model's ladder as the fleet runs it, on the event loop.

    `ray_address` is the cluster where none is named.
    """

    registry: RegistryStore
    sources: SourceTable
    questions: QuestionTable
    rungs: Callable[[str], tuple[Rung, ...]]
    ray_address: str

    def running(self, model: str) -> str:
        """The version that the lowest tier runs; empty where the fleet tells of none."""
        try:
            return next((rung.pair.version for rung in self.rungs(model)), "")
        except NotNow:
            return ""

    def filled(self, model: str, spec: TrainSpec, running: str) -> TrainSpec:
        """The spec with its base by digest; raises InvalidInput, NotFound, and NotNow without a source. Blocks."""
        version = self._base(model, spec.base or running)
        sources = self.sources.of(version.digest)
        if not spec.code and SourceKind.KERAS not in sources:
            raise NotNow(f"{version.name} has no Keras model to go on from; {HOW}, or train with code of your own")
        replay = spec.replay
        if replay:
            self.questions.get(replay)
        elif SourceKind.REPLAY in sources:
            replay = sources[SourceKind.REPLAY].digest
        address = spec.ray_address or self.ray_address
        if spec.executor is Executor.RAY and not address:
            raise InvalidInput("no Ray cluster is named; give --ray-address, or set training.ray_address")
        return replace(spec, base=version.name, base_digest=version.digest, replay=replay, ray_address=address)

    def _base(self, model: str, named: str) -> StoredVersion:
        if not named:
            newest = self.registry.versions(model, None, 1)
            if not newest:
                raise NotFound(f"models/{model} has no versions; publish one first: upriver model publish")
            return newest[0]
        of, version = read_version_name(named)
        if of != model:
            raise InvalidInput(f"{named} is no version of {model}")
        return self.registry.version(of, version)
