"""Agents that lie about where they are: what the control plane can be made to connect to, and what goes there."""

import queue
import socket
import threading
from contextlib import contextmanager

import grpc
import pytest

from tests.agent_process import until
from tests.control_plane_sync import SyncServer
from upriver.errors import DeadlineExpired, NotFound, Unreachable
from upriver.services import Stub
from upriver.v1 import sync_pb2 as pb
from upriver.v1 import ticket_pb2
from upriver_control.calling.agents import Agents, CallingOptions
from upriver_control.calling.methods import LIST_TICKETS

SYNC = pb.DESCRIPTOR.services_by_name["SyncService"]
JOIN = "the-join-token-of-all-agents"
WAIT_S = 30.0


@pytest.fixture(scope="module")
def server():
    server = SyncServer(join_token=JOIN)
    server.start()
    yield server
    server.stop()


@contextmanager
def joined(server, name, address, token=JOIN, tls=False):
    """An agent that tells an address, and nothing else."""
    outbox = queue.SimpleQueue()
    hello = pb.Hello(agent=name, tier="device", tiers=["device"], region="eu", boot="1", address=address, tls=tls)
    outbox.put(pb.SyncRequest(hello=hello))
    with grpc.insecure_channel(server.address) as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        stream = Stub(channel, SYNC).Sync(iter(outbox.get, None), metadata=metadata)
        reader = threading.Thread(target=lambda: list(_quietly(stream)))
        reader.start()
        try:
            yield stream
        finally:
            outbox.put(None)
            stream.cancel()
            reader.join(60)


def _quietly(stream):
    try:
        yield from stream
    except grpc.RpcError:
        return


@contextmanager
def somebody_else():
    """A server that is no agent; gives its port and what came."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)

        def listen():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.5)
                try:
                    while data := connection.recv(65536):
                        came.append(data)
                except TimeoutError:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()[1], came
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def call(server, agent, options, timeout_s=2.0):
    async def run():
        agents = Agents(server.sessions.agent, options)
        try:
            return await agents.call(agent, LIST_TICKETS, ticket_pb2.ListTicketsRequest(), timeout_s)
        finally:
            await agents.close()

    return server.on_loop(run)


def known(server, agent):
    return server.on_loop(lambda: (facts := server.sessions.agent(agent)) is not None and facts.connected)


def test_whoever_it_is_made_to_connect_to_gets_no_token(server):
    with somebody_else() as (port, came), joined(server, "liar", f"127.0.0.1:{port}"):
        until(lambda: known(server, "liar"), WAIT_S, "the agent")
        with pytest.raises((Unreachable, DeadlineExpired)):
            call(server, "liar", CallingOptions(at_home=True))
        sent = b"".join(came)
    assert sent.startswith(b"PRI * HTTP/2.0")  # it did connect there
    assert JOIN.encode() not in sent
    assert b"authorization" not in sent.lower()


@pytest.mark.parametrize(
    ("address", "options", "why"),
    [
        ("127.0.0.1:{port}", CallingOptions(), "every machine's own"),
        ("127.0.0.1:{port}", CallingOptions(at_home=True, tls_only=True), "plain text"),
        ("[::ffff:127.0.0.1]:{port}", CallingOptions(), "every machine's own"),
        ("169.254.169.254:80", CallingOptions(at_home=True), "link-local"),
        ("unix:/run/docker.sock", CallingOptions(at_home=True), "expected host:port"),
        ("0.0.0.0:{port}", CallingOptions(at_home=True), "no address of one machine"),
    ],
)
def test_where_it_must_not_it_does_not_connect(server, address, options, why):
    with somebody_else() as (port, came), joined(server, f"liar-{why[:5]}", address.format(port=port)):
        until(lambda: known(server, f"liar-{why[:5]}"), WAIT_S, "the agent")
        with pytest.raises(Unreachable, match=why):
            call(server, f"liar-{why[:5]}", options)
    assert came == []


def test_who_has_not_joined_tells_no_address(server):
    with joined(server, "stranger", "127.0.0.1:1", JOIN[:-1]) as stream:
        assert stream.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(NotFound, match="'stranger' was never connected"):
        call(server, "stranger", CallingOptions(at_home=True))
