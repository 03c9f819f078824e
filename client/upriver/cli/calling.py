"""Calls of one of an agent's own services, whose failures are told as the agent's."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from upriver.channels import ChannelOptions, TlsFiles, open_channel
from upriver.refusals import error_of
from upriver.services import Stub


@contextmanager
def calling(agent: str, tls: TlsFiles | None, service: ServiceDescriptor) -> Iterator[Stub]:
    """A service of the agent at an address; what calls of it raise inside is an UpriverError that names the agent."""
    with open_channel(agent, ChannelOptions(tls=tls)) as channel:
        try:
            yield Stub(channel, service)
        except grpc.RpcError as failed:
            raise error_of(failed, agent) from failed
