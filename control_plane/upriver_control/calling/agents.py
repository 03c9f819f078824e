"""Calls agents, at the addresses that they told when they joined, and at no others.

Nothing that proves to somebody who an operator or an agent is goes along: an agent that lies about its address, or
about being another one, gets the call, the control plane's certificate, and no token. Lives on one event loop.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeVar

import grpc
import grpc.aio

from upriver.channels import ChannelOptions, TlsFiles, channel_arguments, credentials
from upriver.errors import (
    ConfigError,
    DeadlineExpired,
    Draining,
    NotAllowed,
    NotFound,
    NotSupported,
    Unreachable,
    UpriverError,
)
from upriver.refusals import error_of, remade
from upriver_control.calling.methods import Method
from upriver_control.calling.reach import IpAddress, Network, split, target, why_not
from upriver_control.observed import AgentFacts

Q = TypeVar("Q")
R = TypeVar("R")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Metadata = Sequence[tuple[str, str]]
MAX_CHANNELS: Final = 64
AT_ONCE: Final = 32
"""Calls at a time; each may take MAX_MESSAGE of memory."""
MAX_MESSAGE: Final = 4 << 20
_CONNECT_MS: Final = 2000
_RESOLVE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class CallingOptions:
    """How agents are called. `tls` is for agents that told they serve it; with `tls_only` no others are called.

    `networks` and `at_home` are those of `reach.why_not`; `enabled` off calls nobody.
    """

    enabled: bool = True
    tls: TlsFiles = field(default_factory=TlsFiles)
    tls_only: bool = False
    networks: tuple[Network, ...] = ()
    at_home: bool = False


async def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a name; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one agent is called: `name` is what its certificate has to have, empty without TLS."""

    target: str
    name: str


class Agents:
    """Calls the agents that `known` tells of, which are those that proved to have joined."""

    def __init__(
        self, known: Callable[[str], AgentFacts | None], options: CallingOptions, resolve: Resolve = look_up
    ) -> None:
        self._known = known
        self._options = options
        self._resolve = resolve
        self._channels: OrderedDict[_Place, grpc.aio.Channel] = OrderedDict()
        self._users: dict[_Place, int] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def call(self, agent: str, method: Method[Q, R], request: Q, timeout_s: float, metadata: Metadata = ()) -> R:
        """Calls an agent and gives its answer.

        Raises NotFound for an agent that was never here, Unreachable with why it can't be called and what to do about
        it, DeadlineExpired for one that is too slow, and what the agent itself says is wrong with the request.
        """
        async with self._turns:
            facts = self._facts(agent)
            place = await self._place(facts)
            channel = self._open(place)
            self._users[place] = self._users.get(place, 0) + 1
            try:
                ask = channel.unary_unary(method.path, method.write, method.read)
                answer: R = await ask(request, timeout=timeout_s, metadata=metadata)
            except grpc.RpcError as failed:
                raise _told(
                    error_of(failed, facts.address), agent, facts.address, method.setting, timeout_s
                ) from failed
            finally:
                self._users[place] -= 1
                await self._let_go()
            return answer

    async def close(self) -> None:
        """Closes all channels; calls under way end."""
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await channel.close(None)

    def _facts(self, agent: str) -> AgentFacts:
        facts = self._known(agent)
        if facts is None:
            raise NotFound(f"agent {agent[:100]!r} was never connected here")
        if not self._options.enabled:
            raise Unreachable("agents are not called: calling.enabled is false in the control plane's configuration")
        if not facts.connected:
            raise Unreachable(f"agent {agent} is not connected, so nobody says where it is now")
        if not facts.address:
            raise Unreachable(f"agent {agent} tells no address to be called at: set agent.advertise there")
        if self._options.tls_only and not facts.tls:
            raise Unreachable(
                f"agent {agent} serves without TLS and is not called in plain text while calling.ca or "
                "calling.certificate is set: set tls.certificate and tls.key there"
            )
        return facts

    async def _place(self, facts: AgentFacts) -> _Place:
        try:
            host, port = split(facts.address)
            ips = await self._ips(host, port)
        except Unreachable as error:
            raise Unreachable(f"agent {facts.agent}: {error}") from error
        problems = [why_not(ip, self._options.networks, self._options.at_home) for ip in ips]
        good = [ip for ip, problem in zip(ips, problems, strict=True) if not problem]
        if not good:
            raise Unreachable(f"agent {facts.agent} is not called at {facts.address}: {problems[0]}")
        return _Place(target(good[0], port), host if facts.tls else "")

    async def _ips(self, host: str, port: int) -> Sequence[IpAddress]:
        try:
            return [ip_address(host)]
        except ValueError:  # a name
            pass
        try:
            found = await asyncio.wait_for(self._resolve(host, port), _RESOLVE_S)
        except TimeoutError as error:
            raise Unreachable(f"its host {host} was not found within {_RESOLVE_S:g} s") from error
        except (OSError, UnicodeError) as error:  # the latter for names that can be none, as of empty labels
            raise Unreachable(f"its host {host} is not known here: {error}; set agent.advertise there") from error
        return [ip_address(text.partition("%")[0]) for text in found]

    def _open(self, place: _Place) -> grpc.aio.Channel:
        channel = self._channels.get(place)
        if channel is None:
            tls = self._options.tls
            named = TlsFiles(tls.ca, tls.certificate, tls.key, place.name) if place.name else None
            options = ChannelOptions(max_message_bytes=MAX_MESSAGE, connect_timeout_ms=_CONNECT_MS, tls=named)
            arguments = [*channel_arguments(options), ("grpc.service_config_disable_resolution", 1)]
            if named is None:
                channel = grpc.aio.insecure_channel(place.target, arguments)
            else:
                channel = grpc.aio.secure_channel(place.target, _read(named), arguments)
            self._channels[place] = channel
        self._channels.move_to_end(place)
        return channel

    async def _let_go(self) -> None:
        """Closes what was not used for longest: there are always more than are in use."""
        while len(self._channels) > MAX_CHANNELS:
            oldest = next(place for place in self._channels if not self._users.get(place))
            self._users.pop(oldest, None)
            await self._channels.pop(oldest).close(None)


def _read(tls: TlsFiles) -> grpc.ChannelCredentials:
    try:
        return credentials(tls)
    except ConfigError as error:
        raise Unreachable(f"agents can't be called over TLS: {'; '.join(error.problems)} ([calling])") from error


def _told(error: UpriverError, agent: str, address: str, setting: str, timeout_s: float) -> UpriverError:
    """What is raised for an error: its own text, and what to do where the agent could not be asked."""
    match error:
        case NotAllowed():
            why = f" (its {setting} decides that)" if setting else ""
            return Unreachable(
                f"agent {agent} does not let the control plane do that{why}: {error}; or give the control plane a "
                "certificate of the authority in tls.client_ca there, by calling.certificate and calling.key"
            )
        case DeadlineExpired():
            return DeadlineExpired(f"agent {agent} at {address} did not answer within {timeout_s:g} s")
        case Draining():
            return Unreachable(f"agent {agent} is shutting down: {error}")
        case Unreachable() if "handshake" in str(error).lower() or "ssl" in str(error).lower():
            return Unreachable(f"agent {agent} and the control plane do not come together over TLS: {error}; {_TLS}")
        case Unreachable():
            return Unreachable(f"agent {agent} can't be called: {error}; {_NETWORK}")
        case NotSupported():
            return remade(NotSupported, f"agent {agent}: {error}")
    return error


_TLS: Final = (
    "its certificate has to be of calling.ca and name that address, and where it asks for one (tls.client_ca) set "
    "calling.certificate and calling.key"
)
_NETWORK: Final = (
    "it is behind address translation or a firewall, or has gone; set agent.advertise there to an address that the "
    "control plane reaches"
)
