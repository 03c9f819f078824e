"""Whom to ask for open tickets."""

from dataclasses import replace

from tests.unit.control_plane.fleet_facts import active, agent
from upriver_control.calling.choice import MAX_ASKED, MAX_SILENT, reported_by, whom_to_ask


def with_tickets(number, count=None, slot=None, connected=True):
    decisions = {} if count is None else {"tickets_open": count}
    return replace(agent(number, slot, connected), decisions=decisions)


def test_agents_with_most_tickets_come_first_and_some_that_report_none_are_asked_too():
    choice = whom_to_ask([with_tickets(1, 0), with_tickets(2, 3), with_tickets(3), with_tickets(4, 9)])
    assert choice.asked == ("a00004", "a00002", "a00003", "a00001")
    assert choice.left_out == {}


def test_of_many_agents_those_are_asked_that_report_tickets():
    choice = whom_to_ask([with_tickets(number, 0) for number in range(5000)] + [with_tickets(9999, 1)])
    assert choice.asked[0] == "a09999"
    assert len(choice.asked) == 1 + MAX_SILENT
    choice = whom_to_ask(with_tickets(number, 1) for number in range(MAX_ASKED + 2))
    assert len(choice.asked) == MAX_ASKED
    assert len(choice.left_out) == 2
    assert all("name a model" in why for why in choice.left_out.values())


def test_who_is_not_connected_is_told_of_where_tickets_waited_there():
    choice = whom_to_ask([with_tickets(1, 2, connected=False), with_tickets(2, 0, connected=False)])
    assert choice.asked == ()
    assert choice.left_out == {"a00001": "it is not connected; when it was, 2 tickets waited there"}


def test_what_waits_is_what_agents_that_are_connected_report():
    agents = [with_tickets(1, 2), with_tickets(2), with_tickets(3, 40), with_tickets(4, 500, connected=False)]
    assert reported_by(agents) == 42


def test_with_a_model_agents_that_do_not_serve_it_and_report_nothing_are_not_asked():
    agents = [with_tickets(1, 0, active()), with_tickets(2, 1, active()), with_tickets(3, 0)]
    assert whom_to_ask(agents, "other").asked == ("a00002", "a00003")
    assert whom_to_ask(agents, "digits").asked == ("a00002", "a00001", "a00003")
