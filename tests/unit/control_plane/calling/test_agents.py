"""How agents are called: at the address that they told, with nothing that anybody could use to be somebody else."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import grpc.aio
import pytest

from tests.unit.control_plane.fleet_facts import agent
from upriver.errors import DeadlineExpired, InvalidInput, NotFound, NotSupported, Unreachable
from upriver.services import handlers
from upriver.v1 import lesson_pb2
from upriver.v1 import ticket_pb2 as pb
from upriver_control.calling.agents import MAX_CHANNELS, Agents, CallingOptions
from upriver_control.calling.methods import LIST_LESSONS, LIST_TICKETS
from upriver_control.calling.reach import networks_of
from upriver_control.services.refusals import refuse

SERVICE = pb.DESCRIPTOR.services_by_name["TicketService"]
HOME = CallingOptions(at_home=True)
WAIT_S = 30.0


class Tickets:
    """Stands where an agent does; notes what calls have with them."""

    def __init__(self):
        self.metadata = []

    async def list_tickets(self, request, context):
        self.metadata.append(dict(context.invocation_metadata()))
        if request.model == "slow":
            await asyncio.sleep(WAIT_S)
        if request.model == "bad":
            await refuse(context, InvalidInput("model 'bad'"))
        if request.model == "closed":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "listing tickets is for callers with a certificate")
        return pb.ListTicketsResponse(counters=pb.TicketCounters(open=7))

    get_ticket = watch_tickets = answer_ticket = delete_ticket = list_tickets


@asynccontextmanager
async def listening():
    """Gives the servicer and its port."""
    server, servicer = grpc.aio.server(), Tickets()
    server.add_generic_rpc_handlers((handlers(SERVICE, servicer),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, port
    finally:
        await server.stop(None)


def told(address, **more):
    return replace(agent(1), address=address, **more)


@asynccontextmanager
async def calling(facts, options=HOME, **more):
    agents = Agents({facts.agent: facts}.get, options, **more)
    try:
        yield agents
    finally:
        await agents.close()


async def listed(agents, model="", timeout_s=WAIT_S):
    return await agents.call("a00001", LIST_TICKETS, pb.ListTicketsRequest(model=model), timeout_s)


def refused(facts, options=HOME, **more):
    """Why an agent is not called."""

    async def run():
        async with calling(facts, options, **more) as agents:
            with pytest.raises(Unreachable) as raised:
                await listed(agents)
            return str(raised.value)

    return asyncio.run(run())


def test_an_agent_is_called_where_it_told_and_gets_no_token():
    async def run():
        async with listening() as (servicer, port), calling(told(f"127.0.0.1:{port}")) as agents:
            assert (await listed(agents)).counters.open == 7
            return servicer.metadata

    (metadata,) = asyncio.run(run())
    assert set(metadata) <= {"user-agent", "grpc-accept-encoding", "accept-encoding"}


def test_a_name_is_looked_up_by_us_and_what_it_stands_for_is_judged():
    async def run():
        async def here(host, port):
            assert host == "edge-1.example"
            return ["169.254.169.254", "127.0.0.1"]

        async with listening() as (_, port), calling(told(f"edge-1.example:{port}"), resolve=here) as agents:
            return await listed(agents)

    assert asyncio.run(run()).counters.open == 7

    async def elsewhere(host, port):
        return ["169.254.169.254"]

    assert "link-local" in refused(told("edge-1.example:80"), resolve=elsewhere)

    async def nowhere(host, port):
        raise OSError("no such name")

    assert "edge-1.example is not known here: no such name" in refused(told("edge-1.example:80"), resolve=nowhere)


@pytest.mark.parametrize(
    ("facts", "options", "why"),
    [
        (told("unix:/run/other.sock"), HOME, "expected host:port"),
        (told("127.0.0.1:1"), CallingOptions(), "every machine's own"),
        (told("127.0.0.1:1"), CallingOptions(at_home=True, networks=networks_of(["10.0.0.0/8"])), "calling.networks"),
        (told("10.0.0.7:1", connected=False), HOME, "not connected"),
        (told(""), HOME, "agent.advertise"),
        (told("10.0.0.7:1"), CallingOptions(tls_only=True), "plain text"),
        (told("127.0.0.1:1"), CallingOptions(enabled=False), "calling.enabled"),
        (told("127.0.0.1:1"), HOME, "address translation or a firewall"),
    ],
)
def test_why_an_agent_is_not_called_is_told_with_what_to_do(facts, options, why):
    assert why in refused(facts, options)


def test_an_agent_that_was_never_here_is_not_found():
    async def run():
        async with calling(told("127.0.0.1:1")) as agents:
            with pytest.raises(NotFound, match="'other' was never connected"):
                await agents.call("other", LIST_TICKETS, pb.ListTicketsRequest(), WAIT_S)

    asyncio.run(run())


def test_what_an_agent_says_is_told_and_a_refusal_names_the_setting_that_it_is_made_by():
    async def run():
        async with listening() as (_, port), calling(told(f"127.0.0.1:{port}")) as agents:
            with pytest.raises(InvalidInput, match="model 'bad'"):
                await listed(agents, "bad")
            with pytest.raises(Unreachable, match=r"tickets\.access.*calling\.certificate"):
                await listed(agents, "closed")
            with pytest.raises(DeadlineExpired, match=r"did not answer within 0\.2 s"):
                await listed(agents, "slow", 0.2)
            with pytest.raises(NotSupported, match="agent a00001"):
                await agents.call("a00001", LIST_LESSONS, lesson_pb2.ListLessonsRequest(), WAIT_S)

    asyncio.run(run())


def test_channels_to_many_agents_are_bounded():
    async def run():
        async with listening() as (_, port):
            count = MAX_CHANNELS + 3
            known = {
                f"a{number}": replace(agent(number), agent=f"a{number}", address=f"127.0.0.{number + 1}:{port}")
                for number in range(count)
            }
            agents = Agents(known.get, HOME)
            try:
                for name in known:
                    try:
                        await agents.call(name, LIST_TICKETS, pb.ListTicketsRequest(), WAIT_S)
                    except Unreachable:  # the server is at the first of these addresses alone
                        assert name != "a0"
                assert len(agents._channels) == MAX_CHANNELS
                return (await agents.call("a0", LIST_TICKETS, pb.ListTicketsRequest(), WAIT_S)).counters.open
            finally:
                await agents.close()

    assert asyncio.run(run()) == 7
