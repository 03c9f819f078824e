"""The repository that a configuration describes, for the server and for the operator's commands."""

from collections.abc import Callable

from upriver_control.config import ControlPlaneConfig
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository
from upriver_control.trust.signing import TrustOptions


def repository_of(config: ControlPlaneConfig, clock: Callable[[], float]) -> Repository:
    """The repository in the state folder; `open` makes it at the first start. `clock` is a Unix time.

    Several control-plane processes share it when they share the state folder and the folder of keys.
    """
    trust = config.trust
    options = TrustOptions(
        roots=trust.roots,
        threshold=trust.threshold,
        root_days=trust.root_days,
        targets_days=trust.targets_days,
        snapshot_days=trust.snapshot_days,
        timestamp_days=trust.timestamp_days,
    )
    return Repository(FolderMetadataStore(config.state.folder / "metadata"), Keys(config.keys_folder), options, clock)
