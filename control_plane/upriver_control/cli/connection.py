"""How commands reach the control plane: shared options, a channel, the operator's token, errors in one line."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final

import grpc
import typer
from google.protobuf.descriptor import ServiceDescriptor

from upriver.channels import ChannelOptions, TlsFiles, open_channel
from upriver.errors import ConfigError, NotAllowed, Unreachable, UpriverError
from upriver.refusals import error_of
from upriver.services import Stub

DEFAULT: Final = "127.0.0.1:8480"
DEFAULT_TIMEOUT_S: Final = 10.0
_PAGE: Final = 500
_WHO: Final = "control plane"
_HUNG_UP: Final = "Socket closed"  # what a server does that expected TLS

ControlPlane = Annotated[
    str,
    typer.Option(
        "--control-plane", envvar="UPRIVER_CONTROL_PLANE", metavar="HOST:PORT", help="Where the control plane is."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="UPRIVER_TOKEN_FILE", metavar="FILE", help="The operator's token, where one is wanted."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", envvar="UPRIVER_CA", metavar="FILE", help="Use TLS; PEM authorities to check it with."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Connection:
    """A channel to one control plane. A context manager; calls raise the errors that the control plane told."""

    def __init__(self, address: str, token_file: Path | None = None, ca: Path | None = None) -> None:
        """Raises ConfigError when a file can't be read; connects when it is first used."""
        self.address = address
        self._metadata = (("authorization", f"Bearer {_token(token_file)}"),) if token_file is not None else ()
        self._has_ca = ca is not None
        tls = None if ca is None else TlsFiles(ca=ca)
        self._channel = open_channel(address, ChannelOptions(tls=tls, connect_timeout_ms=3_000))

    def call(self, service: ServiceDescriptor, method: str, request: Any, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
        """One answer to a request, or to an iterator of them where the method takes a stream."""
        try:
            return self._method(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as failed:
            raise self._told(failed) from failed

    def stream(
        self, service: ServiceDescriptor, method: str, request: Any, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """The answers of a method that streams them; it is cancelled when they are not read to their end."""
        call = self._method(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as failed:
            raise self._told(failed) from failed
        finally:
            call.cancel()

    def pages(self, service: ServiceDescriptor, method: str, request: Any, field: str, limit: int) -> Iterator[Any]:
        """The pages of a list, with at most `limit` entries of `field` in all; `request` is used for each of them."""
        left = limit
        while left > 0:
            request.page_size = min(_PAGE, left)
            page = self.call(service, method, request)
            yield page
            left -= len(getattr(page, field))
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _method(self, service: ServiceDescriptor, method: str) -> Any:
        return getattr(Stub(self._channel, service), method)

    def _told(self, failed: grpc.RpcError) -> UpriverError:
        error = error_of(failed, self.address, _WHO)
        if isinstance(error, NotAllowed) and not self._metadata:
            return NotAllowed(f"{error}; give the operator's token: --token-file or UPRIVER_TOKEN_FILE")
        if isinstance(error, Unreachable) and not self._has_ca and _HUNG_UP in str(error):
            return Unreachable(f"{error}; if it serves over TLS, give its authority: --ca or UPRIVER_CA")
        return error


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "can't read the token", [f"--token-file {str(path)!r}: {error}; expected one line"]
        ) from error
    if not token or not token.isprintable() or " " in token:
        raise ConfigError("can't read the token", [f"--token-file {str(path)!r}: expected one line without spaces"])
    return token
