"""Two control-plane processes that tell each other of their agents through one database."""

import asyncio
from dataclasses import replace

from tests.unit.control_plane.fleet_facts import OLD, active, agent
from upriver.v1 import sync_pb2
from upriver_control.observed import SlotState
from upriver_control.reconcile.exchange import Exchange
from upriver_control.reconcile.threaded import ThreadedAgents
from upriver_control.sessions.sessions import Sessions
from upriver_control.store.agents import AgentTable
from upriver_control.store.database import open_database


def process(database, name, now):
    sessions = Sessions(lambda _: {}, lambda _: False, lambda: now[0])
    kept = ThreadedAgents(AgentTable(database, lambda: now[0]))
    return sessions, Exchange(kept, sessions, name)


def test_what_one_process_knows_of_its_agents_the_other_learns(database_url):
    database, now = open_database(database_url), [1000.0]

    async def run():
        here, exchange_here = process(database, "here", now)
        there, exchange_there = process(database, "there", now)
        session = here.attach(replace(agent(1, active(OLD)), tiers=("device", "cloud")), {})
        await exchange_here.once()
        await exchange_there.once()
        assert there.agent("a00001") == here.agent("a00001")
        here.heard(session, sync_pb2.Status(load=0.5))
        await exchange_here.once()
        await exchange_there.once()
        assert there.agent("a00001").load == 0.5
        moved = there.attach(replace(agent(1, active(OLD)), load=0.25, tiers=("device", "cloud")), {})
        here.detach(session)
        await exchange_there.once()
        await exchange_here.once()
        await exchange_there.once()
        assert here.agent("a00001").connected
        assert there.agent("a00001") is moved.facts
        assert moved.facts.slots["digits"].state is SlotState.ACTIVE

    try:
        asyncio.run(run())
    finally:
        database.close()


def test_a_process_that_ends_says_that_its_agents_have_gone(database_url):
    database, now = open_database(database_url), [1000.0]

    async def run():
        here, exchange_here = process(database, "here", now)
        there, exchange_there = process(database, "there", now)
        here.attach(replace(agent(1, active(OLD)), tiers=("device", "cloud")), {})
        job = asyncio.create_task(exchange_here.run())
        async with asyncio.timeout(20):
            while there.agent("a00001") is None:
                await exchange_there.once()
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await exchange_there.once()
        assert not there.agent("a00001").connected

    try:
        asyncio.run(run())
    finally:
        database.close()
