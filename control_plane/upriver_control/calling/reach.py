"""Which addresses that agents tell may be called. Pure.

Whoever may join can tell any address, so this decides what the control plane can be made to connect to.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from upriver.errors import Unreachable

IpAddress: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SHOWN: Final = 100


def split(told: str) -> tuple[str, int]:
    """Host and port of what an agent told; raises Unreachable for whatever else, also where grpc would take it."""
    found = _ADDRESS.fullmatch(told)
    port = int(found.group(3)) if found is not None else 0
    if found is None or not 0 < port < 65_536:
        raise Unreachable(f"it tells the address {told[:_SHOWN]!r}: expected host:port (agent.advertise there)")
    return found.group(1) or found.group(2), port


def target(ip: IpAddress, port: int) -> str:
    """What grpc is told, so that it looks no name up: the very address that was judged is called."""
    return f"ipv6:[{ip}]:{port}" if ip.version == 6 else f"ipv4:{ip}:{port}"


def why_not(ip: IpAddress, networks: Sequence[Network], at_home: bool) -> str:
    """Why an address is not called; empty when it may be.

    `networks` are those that agents are called in, none for all but those that are nobody's or only one machine's.
    `at_home` says that this control plane itself can be called from its own machine alone: so then can its agents.
    """
    plain = _plain(ip)
    if plain.is_unspecified or plain.is_multicast:
        return f"{ip} is no address of one machine"
    if networks:
        inside = any(plain in network for network in networks if network.version == plain.version)
        return "" if inside else f"{ip} is in none of the networks of calling.networks"
    if plain.is_loopback:
        return "" if at_home else f"{ip} is every machine's own: set agent.advertise there, or calling.networks here"
    if plain.is_link_local or plain.is_reserved:
        return f"{ip} is a reserved or link-local address: to call agents there, add its network to calling.networks"
    return ""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Reads networks, as `10.0.0.0/8`; raises ValueError naming the first that is none."""
    return tuple(ip_network(text) for text in texts)


def is_loopback(host: str) -> bool:
    """Whether a host of a configuration is the machine's own address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(ip: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
