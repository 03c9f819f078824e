"""What an agent takes from a control plane or from agents above, and hands on to those below."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from upriver.channels import ChannelOptions, TlsFiles
from upriver.discovery.port import AgentRecord
from upriver.services import handlers
from upriver_agent.blobs.download import Downloader, DownloadOptions
from upriver_agent.blobs.mesh import Above, MeshSources
from upriver_agent.blobs.servicer import BlobServicer
from upriver_agent.blobs.sources import SERVICE
from upriver_agent.blobs.store import BlobStore
from upriver_agent.place import Place
from upriver_agent.sections import AgentConfig

_MIB: Final = 1 << 20


class Relay:
    """The blobs that are kept here, fetched from above when somebody asks, and served to agents below."""

    def __init__(
        self, config: AgentConfig, place: Place, agents: Callable[[], Sequence[AgentRecord]], channel: ChannelOptions
    ) -> None:
        """`agents` gives the agents that discovery knows, `channel` is how they are called."""
        blobs = config.blobs
        self._max_serving = blobs.max_serving
        self._serve_bytes_per_s = blobs.serve_mib_s * _MIB
        self.sources = MeshSources(place, agents, channel, above(config))
        self.pinned: Callable[[], frozenset[str]] = frozenset
        """Gives the blobs that must not be deleted; set by whoever keeps versions."""
        self.store = BlobStore(config.agent.state_dir / "blobs", blobs.disk_mib * _MIB, lambda: self.pinned())
        self.downloader = Downloader(self.store, self.sources, DownloadOptions(blobs.fetch_mib_s * _MIB))

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """BlobService's handler; `blocking` marks a serving thread as waiting."""
        servicer = BlobServicer(
            self.store, self.downloader, self.sources, blocking, self._max_serving, self._serve_bytes_per_s
        )
        return handlers(SERVICE, servicer)

    def close(self) -> None:
        """Ends what is being fetched."""
        self.sources.close()


def above(config: AgentConfig) -> Above:
    """The control plane that a configuration names, if any."""
    section, tls = config.control_plane, config.tls
    files = None
    if section.ca is not None:
        files = TlsFiles(ca=section.ca, certificate=tls.upstream_certificate, key=tls.upstream_key)
    return Above(section.addresses, ChannelOptions(tls=files, connect_timeout_ms=3_000), section.token)
