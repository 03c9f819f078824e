"""gRPC channels to agents, plain or with TLS, with the bounds and keepalive that Upriver uses everywhere."""

from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from upriver.errors import ConfigError

DEFAULT_MESSAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `ca` verifies the agent (none: the system's authorities); `certificate` and `key` prove who we are.

    `server_name` is what the agent's certificate must name when that is not the address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How channels are opened; `tls` None is plain text.

    `connect_timeout_ms` bounds one attempt to connect, handshakes included: an address behind which nobody answers
    fails after it instead of using up the caller's deadline.
    """

    max_message_bytes: int = DEFAULT_MESSAGE_BYTES
    connect_timeout_ms: int = 1_000
    max_reconnect_backoff_ms: int = 5_000
    keepalive_ms: int = 30_000
    tls: TlsFiles | None = None


def channel_arguments(options: ChannelOptions) -> list[tuple[str, int | str]]:
    """Gives grpc's channel arguments, the same for sync and aio."""
    arguments: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", options.connect_timeout_ms),  # in spite of its name
        ("grpc.max_reconnect_backoff_ms", options.max_reconnect_backoff_ms),
        ("grpc.keepalive_time_ms", options.keepalive_ms),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_http_proxy", 0),
    ]
    if options.tls is not None and options.tls.server_name:
        arguments.append(("grpc.ssl_target_name_override", options.tls.server_name))
    return arguments


def credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    """Reads the files; raises ConfigError naming each that can't be read, and a certificate without its key."""
    problems: list[str] = []
    if (tls.certificate is None) != (tls.key is None):
        problems.append("a TLS certificate and its key go together: one of them is missing")
    contents: dict[str, bytes | None] = {}
    for what, path in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        try:
            contents[what] = None if path is None else path.read_bytes()
        except OSError as error:
            problems.append(f"TLS {what} {str(path)!r}: {error.strerror}; expected a PEM file")
    if problems:
        raise ConfigError("can't open a TLS channel", problems)
    return grpc.ssl_channel_credentials(contents["ca"], contents["key"], contents["certificate"])


def open_channel(address: str, options: ChannelOptions) -> grpc.Channel:
    """Opens a channel to host:port; it connects when it is first used. Raises ConfigError for TLS files."""
    arguments = channel_arguments(options)
    if options.tls is None:
        return grpc.insecure_channel(address, arguments)
    return grpc.secure_channel(address, credentials(options.tls), arguments)


def open_aio_channel(address: str, options: ChannelOptions) -> grpc.aio.Channel:
    """Does what open_channel does, for asyncio; must be called where an event loop runs."""
    arguments = channel_arguments(options)
    if options.tls is None:
        return grpc.aio.insecure_channel(address, arguments)
    return grpc.aio.secure_channel(address, credentials(options.tls), arguments)
