"""Where signed metadata comes from: the control plane, or a folder carried here by hand."""

from pathlib import Path
from typing import Protocol

import grpc

from upriver.channels import ChannelOptions, open_channel
from upriver.errors import NotFound, Unreachable
from upriver.services import Stub
from upriver.v1 import blob_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["BlobService"]
TIMEOUT_S = 20.0


class MetadataSource(Protocol):
    """Gives metadata files by the names that The Update Framework uses: `timestamp.json`, `3.snapshot.json`."""

    def fetch(self, name: str) -> bytes:
        """A file's bytes; raises NotFound when there is none of that name, Unreachable when nobody answers."""
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


class RemoteMetadata:
    """The control plane's metadata, from whichever of its addresses answers."""

    def __init__(self, addresses: tuple[str, ...], options: ChannelOptions, token: str = "") -> None:
        self._addresses = addresses
        self._options = options
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def fetch(self, name: str) -> bytes:
        """A file's bytes."""
        trouble = ""
        for address in self._addresses:
            channel = open_channel(address, self._options)
            try:
                reply = Stub(channel, SERVICE).FetchMetadata(
                    pb.FetchMetadataRequest(name=name), timeout=TIMEOUT_S, metadata=self._metadata
                )
            except grpc.RpcError as error:
                if not isinstance(error, grpc.Call):
                    raise
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise NotFound(f"the control plane has no metadata {name!r}") from error
                trouble = f"{address}: {error.code().name}: {error.details()}"
            else:
                return bytes(reply.data)
            finally:
                channel.close()
        raise Unreachable(f"metadata {name!r} can't be fetched: {trouble or 'no control plane is configured'}")
