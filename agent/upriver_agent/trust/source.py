"""Where signed metadata comes from: the control plane, or a folder carried here by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import grpc

from upriver.channels import ChannelOptions, open_channel
from upriver.errors import NotFound, Unreachable, Untrusted
from upriver.services import Stub
from upriver.v1 import blob_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["BlobService"]
TIMEOUT_S = 20.0
MAX_BYTES: Final = 6 << 20
"""A little more than the largest file that the updater takes."""
_TOO_LARGE: Final = "larger than max"


class MetadataSource(Protocol):
    """Gives metadata files by the names that The Update Framework uses: `timestamp.json`, `3.snapshot.json`."""

    def fetch(self, name: str) -> bytes:
        """A file's bytes; raises NotFound when there is none of that name, Unreachable when nobody answers."""
        ...

    def release(self) -> None:
        """Gives back what fetching keeps open; called after every look-up. It may be fetched from again."""
        ...


class FolderMetadata:
    """A folder of metadata files, as a bundle has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, name: str) -> bytes:
        """A file's bytes."""
        if "/" in name or name.startswith("."):
            raise NotFound(f"{name!r} is no metadata file's name")
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"{self._folder} has no {name}") from error
        except OSError as error:
            raise Unreachable(f"can't read {self._folder / name}: {error.strerror or error}") from error

    def release(self) -> None:
        """A folder keeps nothing open."""


class RemoteMetadata:
    """The control plane's metadata, from whichever of its addresses answers."""

    def __init__(self, addresses: tuple[str, ...], options: ChannelOptions, token: str = "") -> None:
        self._addresses = addresses
        self._options = replace(options, max_message_bytes=MAX_BYTES)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channels: dict[str, grpc.Channel] = {}

    def fetch(self, name: str) -> bytes:
        """A file's bytes; raises Untrusted besides when it is larger than any metadata may be."""
        trouble = ""
        for address in self._addresses:
            try:
                reply = self._stub(address).FetchMetadata(
                    pb.FetchMetadataRequest(name=name), timeout=TIMEOUT_S, metadata=self._metadata
                )
            except grpc.RpcError as error:
                if not isinstance(error, grpc.Call):
                    raise
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise NotFound(f"the control plane has no metadata {name!r}") from error
                if _TOO_LARGE in (error.details() or ""):
                    raise Untrusted(f"too large: {address} sent {name!r} with more than {MAX_BYTES} bytes") from error
                trouble = f"{address}: {error.code().name}: {error.details()}"
            else:
                return bytes(reply.data)
        raise Unreachable(f"metadata {name!r} can't be fetched: {trouble or 'no control plane is configured'}")

    def release(self) -> None:
        """Closes the connections: metadata is asked for seldom, and there are many agents."""
        for address in list(self._channels):
            self._channels.pop(address).close()

    def _stub(self, address: str) -> Stub:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(address, self._options)
        return Stub(channel, SERVICE)
