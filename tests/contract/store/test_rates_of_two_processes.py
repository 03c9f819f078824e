"""Two control planes on one database: agents go from one to the other and start anew, and each row counts once."""

import asyncio
import random
from dataclasses import replace

import pytest

from tests.unit.control_plane.fleet_facts import NEW, OLD, active, agent
from upriver.errors import Unreachable
from upriver_control.history.recording import History
from upriver_control.spans.rates import RateTable
from upriver_control.spans.store import open_spans

START = 1_750_000_000.0


@pytest.fixture
def database(database_url):
    opened = open_spans(database_url)
    yield opened
    opened.close()


class Played:
    """An agent that counts, and says so to one of two processes, which the other then hears of."""

    def __init__(self, name):
        self.name, self.boot, self.pair = name, 1, OLD
        self.rows = self.asked = 0
        self.since = START

    def facts(self, now):
        slot = active(self.pair, rows=self.rows, escalated=self.rows // 10, active_for_s=now - self.since)
        return replace(agent(1, slot, agent=self.name), agent=self.name, boot=f"boot-{self.boot}", last_seen=now)

    def ask(self, rows):
        self.rows += rows
        self.asked += rows

    def begin_anew(self, now, pair=None):
        self.boot, self.pair = self.boot + (pair is None), pair or self.pair
        self.rows, self.since = 0, now


def test_each_row_counts_once_wherever_agents_report(database):
    clock = [START]
    processes = [History(RateTable(database), dict, lambda: clock[0]) for _ in range(2)]
    chance = random.Random(5)  # noqa: S311 - the same story each time
    agents = [Played(f"a{number}") for number in range(6)]

    async def story():
        for _ in range(40):
            clock[0] += 15
            for each in agents:
                here = chance.randrange(2)
                each.ask(chance.randrange(30))
                facts = each.facts(clock[0])
                processes[here].heard(facts, True)
                processes[1 - here].heard(facts, False)
                if chance.random() < 0.2:  # its first report at the other one, while this one has not recorded yet
                    processes[1 - here].heard(replace(facts, last_seen=clock[0] + 0.1), True)
                if chance.random() < 0.1:
                    await processes[here].once()  # a report is known before what it is followed by is lost
                    each.begin_anew(clock[0], NEW if each.pair is OLD and chance.random() < 0.5 else None)
            for process in chance.sample(processes, chance.randrange(3)):
                await process.once()
        for process in processes:
            await process.once()

    asyncio.run(story())
    found = RateTable(database).between(0, 10**9)
    assert sum(row.rows for row in found) == sum(each.asked for each in agents)
    assert all(0 <= row.escalated_rows <= row.rows for row in found)
    assert {row.version for row in found} == {OLD.version_digest, NEW.version_digest}


class Away:
    """A table whose database is not there."""

    def count(self, observed, now_minute):
        raise Unreachable("the database can't be reached")


def test_what_could_not_be_recorded_is_recorded_when_the_database_is_back(database):
    process = History(Away(), dict, lambda: START)
    played = Played("a")

    async def story():
        for second in (15, 30, 45):
            played.ask(10)
            process.heard(played.facts(START + second), True)
            await process.once()
        played.begin_anew(START + 45)
        played.ask(7)
        process.heard(played.facts(START + 60), True)
        await process.once()
        process._table = RateTable(database)  # it is back
        await process.once()

    asyncio.run(story())
    assert sum(row.rows for row in RateTable(database).between(0, 10**9)) == 37
