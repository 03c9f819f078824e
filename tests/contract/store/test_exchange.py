"""Two control-plane processes that tell each other of their agents through one database."""

import asyncio
from dataclasses import replace

from tests.unit.control_plane.fleet_facts import OLD, active, agent
from upriver.v1 import sync_pb2
from upriver_control.observed import SlotState
from upriver_control.reconcile.exchange import BEAT_S, DEAD_S, Exchange
from upriver_control.reconcile.threaded import ThreadedAgents
from upriver_control.sessions.sessions import Sessions
from upriver_control.store.agents import AgentTable
from upriver_control.store.database import open_database


def process(database, name, now):
    sessions = Sessions(lambda _: {}, lambda _: False, lambda: now[0])
    kept = ThreadedAgents(AgentTable(database, lambda: now[0]))
    return sessions, Exchange(kept, sessions, name, lambda: now[0])


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
        async with asyncio.timeout(60):
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


def one_agent():
    return replace(agent(1, active(OLD)), tiers=("device", "cloud"))


def test_agents_of_a_process_that_was_killed_are_soon_known_to_have_gone(database_url):
    database, now = open_database(database_url), [1000.0]

    async def run():
        here, exchange_here = process(database, "here", now)
        there, exchange_there = process(database, "there", now)
        here.attach(one_agent(), {})
        await exchange_here.beat()
        await exchange_here.once()
        seen = {}
        while now[0] < 1000.0 + DEAD_S + 2 * BEAT_S:  # of `here` nothing is heard any more
            await exchange_there.beat()
            await exchange_there.once()
            seen[now[0]] = there.agent("a00001").connected
            now[0] += BEAT_S
        assert [at - 1000.0 for at, connected in seen.items() if connected] == [0.0, 3.0, 6.0, 9.0, 12.0]
        assert not there.agent("a00001").connected

    try:
        asyncio.run(run())
    finally:
        database.close()


def test_a_process_that_was_only_stopped_tells_of_its_agents_again(database_url):
    database, now = open_database(database_url), [1000.0]

    async def run():
        here, exchange_here = process(database, "here", now)
        there, exchange_there = process(database, "there", now)
        here.attach(one_agent(), {})
        await exchange_here.beat()
        await exchange_here.once()
        for _ in range(8):
            await exchange_there.beat()
            now[0] += BEAT_S
        await exchange_there.once()
        assert not there.agent("a00001").connected
        await exchange_here.beat()
        await exchange_here.once()
        await exchange_there.once()
        assert there.agent("a00001").connected

    try:
        asyncio.run(run())
    finally:
        database.close()


def test_a_database_that_nobody_could_reach_for_long_kills_nobody(database_url):
    database, now = open_database(database_url), [1000.0]

    async def run():
        here, exchange_here = process(database, "here", now)
        there, exchange_there = process(database, "there", now)
        here.attach(one_agent(), {})
        for exchange in (exchange_here, exchange_there):
            await exchange.beat()
        await exchange_here.once()
        now[0] += 10 * DEAD_S
        await exchange_there.beat()
        now[0] += BEAT_S
        await exchange_here.beat()
        await exchange_there.beat()
        await exchange_there.once()
        assert there.agent("a00001").connected

    try:
        asyncio.run(run())
    finally:
        database.close()
