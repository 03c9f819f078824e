"""What versions were made of: parents, trainings with their code, data and lessons, and certificates. Methods block."""

from dataclasses import dataclass
from typing import Final

from upriver.errors import NotFound
from upriver.v1 import train_pb2 as pb
from upriver_control.store.policies import PolicyTable
from upriver_control.store.records import StoredVersion, read_version_name
from upriver_control.store.registry import RegistryStore
from upriver_control.store.trainings import SourceKind, SourceTable, TrainingTable
from upriver_control.train_wire import timestamp, write_training

MAX_ANCESTORS: Final = 200


@dataclass(frozen=True, slots=True)
class Lineages:
    """Follows versions to their parents."""

    registry: RegistryStore
    sources: SourceTable
    trainings: TrainingTable
    policies: PolicyTable

    def of(self, name: str) -> list[pb.Ancestor]:
        """A version and its ancestors as far as they are known; raises InvalidInput and NotFound."""
        version = self.registry.version(*read_version_name(name))
        found, seen = [self._told(version)], {version.name}
        while version.lineage.parent and version.lineage.parent not in seen and len(found) < MAX_ANCESTORS:
            try:
                version = self.registry.version(*read_version_name(version.lineage.parent))
            except NotFound:  # it was deleted
                break
            seen.add(version.name)
            found.append(self._told(version))
        return found

    def _told(self, version: StoredVersion) -> pb.Ancestor:
        sources = self.sources.of(version.digest)
        policies = self.policies.names_of(version.model, version.digest)
        made = pb.Ancestor(
            version=version.name,
            digest=version.digest,
            create_time=timestamp(version.created),
            training_data=version.lineage.training_data,
            metrics=version.lineage.metrics,
            conversion=version.lineage.conversion,
            policies=policies,
            source_digest=sources[SourceKind.KERAS].digest if SourceKind.KERAS in sources else "",
        )
        name = version.lineage.training_data.partition(":")[0].split("/")
        if SourceKind.RESULT in sources and len(name) == 4 and name[2] == "trainings":
            try:
                made.training.CopyFrom(write_training(self.trainings.get(name[1], name[3])))
            except NotFound:
                return made
        return made
