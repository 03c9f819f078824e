"""Rollouts and agents in SQLite and in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.unit.control_plane.fleet_facts import active, agent, rollout
from upriver.errors import NotFound
from upriver_control.rollout import RevisionConflict, pause
from upriver_control.store.agents import AgentTable
from upriver_control.store.database import open_database
from upriver_control.store.rollouts import RolloutTable


@pytest.fixture
def database(database_url):
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def table(database):
    return RolloutTable(database)


def test_a_request_makes_one_rollout_however_often_it_comes(table):
    first, created = table.create(rollout(id="one"), "request")
    again, created_again = table.create(rollout(id="two"), "request")
    assert (created, created_again) == (True, False)
    assert again == first
    assert table.of_request("request") == first
    assert table.of_request("other") is None
    with pytest.raises(NotFound, match="rollouts/two"):
        table.get("two")


def test_a_newer_rollout_has_a_higher_generation(table):
    made = [table.create(rollout(id=str(number)), f"r{number}")[0] for number in range(5)]
    assert [one.generation for one in made] == sorted({one.generation for one in made})
    assert [table.get(one.id) for one in made] == made


def test_only_who_saw_the_newest_revision_may_change_it(table):
    made, _ = table.create(rollout(), "request")
    paused = table.save(pause(made, 1.0))
    assert paused.revision > made.revision
    assert table.get(made.id) == paused
    with pytest.raises(RevisionConflict, match="rollouts/r1"):
        table.save(replace(made, ring=1))
    assert table.get(made.id) == paused


def test_pages_are_newest_first_and_by_model(table):
    for number in range(5):
        table.create(rollout(id=str(number), model="digits" if number % 2 else "other"), f"r{number}")
    page = table.page(size=2)
    assert [one.id for one in page.rollouts] == ["4", "3"]
    page = table.page(before=page.before, size=10)
    assert [one.id for one in page.rollouts] == ["2", "1", "0"]
    assert page.before == 0
    assert [one.id for one in table.page(model="digits").rollouts] == ["3", "1"]


def test_nobody_misses_a_change_that_many_write_at_once(table):
    made = [table.create(rollout(id=str(number)), f"r{number}")[0] for number in range(4)]

    def change(one):
        for ring in range(20):
            one = table.save(replace(one, ring=ring))
        return one

    seen, known = {}, 0
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(change, one) for one in made]
        while True:
            done = all(future.done() for future in work)
            for one in table.changed_since(known):
                assert one.revision > known
                known, seen[one.id] = one.revision, one
            if done:
                break
    assert seen == {future.result().id: future.result() for future in work}


def test_agents_read_back_as_they_were_last_written(database):
    now = [100.0]
    table = AgentTable(database, lambda: now[0])
    many = [agent(number, active()) for number in range(1203)]
    table.write("p1", many)
    assert [row.facts for row in table.all()] == many
    assert table.changed_since(0.0, not_by="p1") == []
    newest = table.changed_since(0.0)[-1].updated
    now[0] = 50.0  # a clock that was set back
    table.write("p2", [many[3], replace(many[4], load=0.5)])
    changed = table.changed_since(newest)
    assert {row.facts.agent for row in changed} == {"a00003", "a00004"}
    assert {row.process for row in changed} == {"p2"}


def test_that_an_agent_left_a_process_does_not_undo_that_it_came_to_another(database):
    table = AgentTable(database, lambda: 1.0)
    one = agent(1)
    table.write("p1", [one])
    table.write("p2", [one])
    table.write("p1", [replace(one, connected=False)])
    assert [row.facts.connected for row in table.all()] == [True]
    assert not table.delete("a00001")
    table.write("p2", [replace(one, connected=False)])
    assert [row.facts.connected for row in table.all()] == [False]
    assert table.delete("a00001")
    assert not table.delete("a00001")
    assert table.ids() == frozenset()


def test_agents_of_a_process_that_has_died_are_not_connected(database):
    now = [100.0]
    table = AgentTable(database, lambda: now[0])
    table.write("p1", [agent(1), agent(2)])
    table.write("p2", [agent(3)])
    assert table.disconnect("p1") == 2
    assert [row.facts.connected for row in table.all()] == [False, False, True]
    now[0] = 200.0
    assert table.disconnect_silent(60.0) == 1
    assert [row.facts.connected for row in table.all()] == [False, False, False]


def test_a_process_is_buried_by_whoever_has_seen_its_last_beat(database):
    table = AgentTable(database, lambda: 100.0)
    table.write("p1", [agent(1), agent(2)])
    table.write("p2", [agent(3)])
    assert not table.beat("p1"), "nobody knew of it"
    assert table.beat("p1")
    assert not table.beat("p2")
    assert table.beats() == {"p1": 1, "p2": 0}
    assert table.bury("p1", 0) is None, "it has said since then that it runs"
    assert table.bury("p1", 1) == 2
    assert table.bury("p1", 1) is None, "it is buried"
    assert [row.facts.connected for row in table.all()] == [False, False, True]
    assert not table.beat("p1"), "it was taken for dead"
    table.write("p1", [agent(1), agent(2)])
    assert all(row.facts.connected for row in table.all())


def test_a_process_that_ends_is_none_any_more(database):
    table = AgentTable(database, lambda: 100.0)
    for process in ("p1", "p2", "p3"):
        table.beat(process)
    table.disconnect("p1")
    assert set(table.beats()) == {"p2", "p3"}
    table.disconnect("p2", others=True)
    assert set(table.beats()) == {"p2"}


def test_of_many_that_bury_a_process_one_does(database):
    table = AgentTable(database, lambda: 100.0)
    table.write("dead", [agent(number) for number in range(20)])
    table.beat("dead")
    with ThreadPoolExecutor(4) as pool:
        done = [*pool.map(lambda _: table.bury("dead", 0), range(4))]
    assert sorted(done, key=str) == [20, None, None, None]
