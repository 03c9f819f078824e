"""What a control plane sends an agent, composed. Loaded only where `[control_plane]` is configured."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from upriver.discovery.port import AgentRecord
from upriver.errors import DiskTrouble
from upriver.trials import Trial
from upriver.v1 import sync_pb2 as pb
from upriver_agent.installing import device
from upriver_agent.installing.installer import Installer
from upriver_agent.installing.mesh_supply import MeshSupply
from upriver_agent.refinement import Standing
from upriver_agent.relay import Relay, above
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.loader import Loader
from upriver_agent.serving.slots import Slots
from upriver_agent.sync.discovery import ControlPlaneDiscovery
from upriver_agent.sync.session import SyncOptions, SyncSession
from upriver_agent.sync.wire import write_hello, write_slots
from upriver_agent.trust.bundle import TRUST, SideLoadedFirst
from upriver_agent.trust.source import RemoteMetadata
from upriver_agent.trust.trust import Trust
from upriver_agent.versions.head_store import HeadStore

_LOG = logging.getLogger(__name__)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a member needs of the agent that it is in.

    `describe` gives the agent's own record, `load` its share of inflight requests, `draining` whether it ends,
    `decisions` how often each kind of decision was made, `standing` what was refined of a model; `changed` is called
    when another version answers, `fallback` puts a configured version back in a model's slot, `trials` takes heads to
    be tried here, `pooling` says how what is learnt here is pooled, `lessons` how many there were of which model when
    `decisions` was called last.
    """

    describe: Callable[[], AgentRecord]
    load: Callable[[], float]
    draining: Callable[[], bool]
    decisions: Callable[[], Mapping[str, int]]
    standing: Callable[[str], Standing]
    changed: Callable[[], None]
    fallback: Callable[[str], None]
    trials: Callable[[Sequence[Trial]], None]
    pooling: Callable[[], pb.PoolingReport]
    lessons: Callable[[], Mapping[str, int]]


class Member:
    """Follows a control plane: assignments are installed, what the slots hold is reported."""

    def __init__(
        self,
        config: AgentConfig,
        relay: Relay,
        loader: Loader,
        slots: Slots,
        heads: HeadStore,
        discovery: ControlPlaneDiscovery | None,
        around: Surroundings,
        configured: Sequence[str],
    ) -> None:
        """`discovery` takes the upstreams that the control plane tells; `configured` are digests that stay on disk."""
        agent, link = config.agent, above(config)
        self._config = config
        self._relay = relay
        self._around = around
        self._boot = secrets.token_hex(8)
        self._kept_bytes = 0
        self._device = device.look(config.serving.runtime, config.blobs.disk_mib * _MIB)
        trust = Trust(
            agent.state_dir / TRUST,
            RemoteMetadata(tuple(link.addresses), link.channel, link.token),
            config.control_plane.root,
        )
        fetcher = SideLoadedFirst(agent.state_dir, relay.downloader)
        supply = MeshSupply(agent.state_dir, trust, fetcher, self._device, heads, configured)
        relay.pinned = supply.blobs
        self._installer = Installer(agent.state_dir, supply, loader, slots, self._changed, around.fallback)
        self._session = SyncSession(
            SyncOptions(link.addresses, link.channel, link.token),
            self._hello,
            self._status,
            self._installer,
            discovery,
            around.trials,
        )
        relay.downloader.ended = self._session.stirred

    def recover(self) -> frozenset[str]:
        """Loads what was active when the agent last ran; gives the models that answer now."""
        return self._installer.recover()

    def start(self) -> None:
        """Goes on with what was under way, and dials the control plane, in the background."""
        self._installer.start()
        self._session.start()

    def tell(self) -> None:
        """Has a status sent soon; never waits."""
        self._session.changed()

    def close(self) -> None:
        """Ends; what was under way goes on at the next start."""
        self._session.close()
        self._installer.close()

    def _changed(self) -> None:
        self._around.changed()
        self._session.changed()

    def _hello(self) -> pb.Hello:
        config = self._config
        return write_hello(
            self._around.describe(),
            config.agent.tiers,
            config.agent.labels,
            self._device,
            installed_version("upriver"),
            self._boot,
        )

    def _status(self) -> pb.Status:
        traffic = self._relay.downloader.traffic
        return pb.Status(
            slots=write_slots(self._installer.facts(), self._around.standing),
            load=self._around.load(),
            disk_bytes=self._disk_bytes(),
            fetched_control_plane_bytes=traffic.from_control_plane,
            fetched_agent_bytes=traffic.from_agents,
            delta_saved_bytes=traffic.saved_by_deltas,
            draining=self._around.draining(),
            decisions=self._around.decisions(),
            pooling=self._around.pooling(),
            lessons=self._around.lessons(),
        )

    def _disk_bytes(self) -> int:
        # A disk that fails is told by the slots that need it; it must not end the stream that tells.
        try:
            self._kept_bytes = self._relay.store.size_bytes()
        except DiskTrouble as error:
            _LOG.warning("what is kept can't be counted: %s", error)
        return self._kept_bytes
