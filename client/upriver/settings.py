"""How a client reaches its agents: checked once, the same for sync and asyncio."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from upriver.channels import ChannelOptions, TlsFiles
from upriver.errors import ConfigError

_ADDRESS = re.compile(r"(?:[a-z-]+:)?\S*[^\s:]:\d{1,5}|unix(?:-abstract)?:\S+")
MAX_RETRIES = 100


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Addresses in order of preference, seconds for a call when it names none, and rounds of retries."""

    addresses: tuple[str, ...]
    timeout_s: float
    retries: int
    channel: ChannelOptions = field(default_factory=ChannelOptions)


def make_settings(
    addresses: str | Sequence[str], tls: TlsFiles | None, timeout_s: float, retries: int, max_message_bytes: int
) -> ClientSettings:
    """Checks what a client was made with; raises ConfigError telling everything that is wrong."""
    wanted = (addresses,) if isinstance(addresses, str) else tuple(dict.fromkeys(addresses))
    problems = [
        f"address {address!r}: expected host:port, such as 127.0.0.1:8470"
        for address in wanted
        if not _ADDRESS.fullmatch(address)
    ]
    if not wanted:
        problems.append("no address of an agent was given")
    if not 0 < timeout_s < math.inf:
        problems.append(f"timeout={timeout_s!r}: expected seconds, more than 0")
    if not 0 <= retries <= MAX_RETRIES:
        problems.append(f"retries={retries!r}: expected 0 to {MAX_RETRIES}")
    if problems:
        raise ConfigError("a client can't be made", problems)
    return ClientSettings(wanted, timeout_s, retries, ChannelOptions(max_message_bytes=max_message_bytes, tls=tls))
