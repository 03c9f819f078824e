"""Tickets are kept before the answer that names them goes out, asked about, waited for, and closed once."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.unit.agent.tickets.making import ABOVE, LABELS, WAIT_S, answer, fact, issue, opened, request
from upriver.errors import DiskTrouble, Draining, NotFound, NotNow, QueueFull, TicketGone
from upriver.oip.v2 import inference_pb2 as oip
from upriver.parameters import Mode
from upriver.request import parse_response
from upriver_agent.envelope import CallerOptions
from upriver_agent.telemetry import Origin
from upriver_agent.tickets import issuing
from upriver_agent.tickets.issuing import MAX_ROWS
from upriver_agent.tickets.record import read_question, write_row
from upriver_agent.tickets.rules import State
from upriver_agent.tickets.waiting import MAX_WAITING


def stays(_):
    return True


def test_a_question_of_one_row_has_its_own_id_as_ticket_and_the_rows_of_a_batch_their_number_too(tmp_path):
    with opened(tmp_path) as desk:
        assert issue(desk, "q-1") == ("q-1",)
        facts = (fact(), fact(resolved=True), fact())
        assert issue(desk, "q-2", asked=request(3), given=answer(*facts)) == ("q-2.0", "", "q-2.2")
        assert [ticket.id for ticket in desk.listing(0, "", 0, 10)] == ["q-1", "q-2.0", "q-2.2"]
        assert (desk.counters().open, desk.counters().issued, desk.counters().refused) == (3, 3, 0)


@pytest.mark.parametrize("mode", Mode)
def test_what_is_kept_asks_the_same_question_again(tmp_path, mode):
    options = CallerOptions(mode, "cloud", 0.7, True, True)
    with opened(tmp_path) as desk:
        issue(desk, "q-2", asked=request(3, options=options), given=answer(*[fact()] * 3))
        kept = desk.get("q-2.1", with_input=True)
    asked = read_question(kept.request, kept.id)
    assert (asked.model, asked.options, asked.id, asked.version, asked.again) == ("m", options, "id", "", "q-2.1")
    assert asked.inputs["image"].array.tolist() == [[4.0, 5.0, 6.0, 7.0]]
    guess = parse_response(oip.ModelInferResponse.FromString(kept.guess), 1, 0.0)[0]
    assert (guess.label, guess.ticket, guess.resolved, guess.trace_id) == ("two", "q-2.1", False, "ab" * 16)
    assert guess.outputs["e"].tolist() == [2.0, 3.0]


def test_inputs_that_are_too_large_and_rows_that_are_too_many_get_no_ticket_and_are_counted(tmp_path, caplog):
    with opened(tmp_path, max_bytes=1 << 23, max_input_bytes=300) as desk:
        assert issue(desk, "q-1", asked=request(size=100)) == ()
        assert desk.counters().refused == 1
        rows = MAX_ROWS + 5
        tickets = issue(desk, "q-2", rows=rows)
        assert tickets[MAX_ROWS - 1 :] == (f"q-2.{MAX_ROWS - 1}", "", "", "", "", "")
        assert desk.counters().refused == 6
    assert "tickets.max_input_kib" in caplog.text


def test_when_the_disk_refuses_there_is_no_ticket_and_that_is_told_once(tmp_path, caplog):
    (tmp_path / "state").write_text("in the way")
    with opened(tmp_path / "state") as desk:
        assert issue(desk, "q-1") == ("",)
        assert issue(desk, "q-2") == ("",)
        with pytest.raises(DiskTrouble):
            desk.get("q-1")
    assert caplog.text.count("got no ticket") == 1


def test_an_answer_does_not_wait_longer_for_the_disk_than_half_of_its_callers_time(tmp_path):
    with opened(tmp_path) as desk:
        held, go = threading.Event(), threading.Event()

        def hold(_):
            held.set()
            assert go.wait(WAIT_S)

        desk.journal.write(hold)
        assert held.wait(WAIT_S)
        assert issue(desk, "q-1", time_left_s=0.02) == ("",)
        assert issue(desk, "q-2", time_left_s=-1.0) == ("",)
        go.set()
        assert issue(desk, "q-3", time_left_s=WAIT_S) == ("q-3",)
        desk.journal.write(lambda _: None).result(WAIT_S)
        # A ticket that nobody was told of is not kept.
        assert [ticket.id for ticket in desk.listing(0, "", 0, 10)] == ["q-3"]


def test_one_request_does_not_put_out_everybody_elses_tickets(tmp_path):
    with opened(tmp_path, max_bytes=80_000) as desk:
        issue(desk, "q-1")
        tickets = issue(desk, "q-2", asked=request(100, size=100), given=answer(*[fact()] * 100))
        assert 0 < sum(map(bool, tickets)) < 50
        assert desk.get("q-1").state is State.OPEN
        assert desk.counters().refused == tickets.count("")


def test_what_waits_for_a_slow_disk_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(issuing, "MAX_PENDING_BYTES", 1000)
    with opened(tmp_path) as desk:
        held, go = threading.Event(), threading.Event()

        def hold(_):
            held.set()
            assert go.wait(WAIT_S)

        desk.journal.write(hold)
        assert held.wait(WAIT_S)
        first = desk.issue("q-1", request(size=100), answer(fact()), None)
        assert issue(desk, "q-2", asked=request(size=100)) == ()
        go.set()
        assert first.result(WAIT_S) == ("q-1",)
        assert issue(desk, "q-3", asked=request(size=100)) == ("q-3",)
        assert desk.counters().refused == 1


def test_the_file_stays_about_as_large_as_its_bound(tmp_path):
    with opened(tmp_path, max_bytes=1 << 20) as desk:
        for number in range(60):
            issue(desk, f"q-{number}", asked=request(64, size=256), given=answer(*[fact()] * 64))
        assert desk.counters().dropped > 2000
        assert desk.counters().open > 300
    assert (tmp_path / "tickets.db").stat().st_size < 1.5 * (1 << 20)


def test_a_new_ticket_that_is_worth_less_than_all_others_is_not_told(tmp_path):
    with opened(tmp_path, max_bytes=3000) as desk:
        issue(desk, "q-1")
        desk.wait("q-1", 0.0, stays)
        desk.journal.write(lambda _: None).result(WAIT_S)
        assert issue(desk, "q-2") == ("",)
        assert desk.get("q-1").state is State.OPEN


def test_who_waits_gets_the_answer_when_it_comes(tmp_path):
    with opened(tmp_path) as desk:
        issue(desk)
        found = []
        waiting = threading.Thread(target=lambda: found.append(desk.wait("q-1", WAIT_S, stays)))
        waiting.start()
        reply = write_row(answer(fact(**ABOVE)), 0, "q-1")
        assert desk.close_ticket("q-1", reply, "cloud").result(WAIT_S) > 0
        waiting.join(WAIT_S)
        assert (found[0].state, found[0].answer, found[0].answered_by) == (State.ANSWERED, reply, "cloud")


def test_who_has_left_does_not_wait_and_who_waits_too_short_gets_it_as_it_is(tmp_path):
    with opened(tmp_path) as desk:
        issue(desk)
        assert desk.wait("q-1", WAIT_S, lambda _: False).state is State.OPEN
        assert desk.wait("q-1", 0.01, stays).state is State.OPEN
        assert desk.wait("q-1", WAIT_S, lambda end: end() or True).state is State.OPEN


def test_only_so_many_wait_at_a_time_and_the_end_of_the_agent_lets_them_go(tmp_path):
    with opened(tmp_path) as desk:
        issue(desk)
        entered = threading.Semaphore(0)

        def enter(_):
            entered.release()
            return True

        with ThreadPoolExecutor(MAX_WAITING) as pool:
            waiting = [pool.submit(desk.wait, "q-1", WAIT_S, enter) for _ in range(MAX_WAITING)]
            for _ in waiting:
                assert entered.acquire(timeout=WAIT_S)
            with pytest.raises(QueueFull):
                desk.wait("q-1", WAIT_S, stays)
            assert desk.wait("q-1", 0.0, stays).state is State.OPEN  # asking without waiting is always possible
            desk.waiters.close()
            assert {type(future.exception(WAIT_S)) for future in waiting} == {Draining}


def test_a_person_answers_once_and_others_are_told_who_did(tmp_path):
    with opened(tmp_path) as desk:
        issue(desk)
        told = desk.answer("q-1", "three", "", "person eve")
        assert told.answered_by == "person eve"
        given = parse_response(oip.ModelInferResponse.FromString(told.answer), 1, 0.0)[0]
        assert (given.label, given.resolved, given.agent) == ("three", True, "person")
        with pytest.raises(NotNow, match="person eve"):
            desk.answer("q-1", "one", "", "")
        with pytest.raises(NotFound, match="'me'"):
            desk.answer("q-none", LABELS[0], "", "")


def test_what_a_person_answers_is_told_once_with_the_question_that_is_then_let_go_of(tmp_path):
    with opened(tmp_path) as desk:
        heard = []
        desk.taught = lambda *told: heard.append(told)
        closed = []
        desk.answered = lambda ticket, by: closed.append((ticket.id, ticket.origin, by))
        issue(desk, "q-1")
        desk.answer("q-1", "three", "", "person eve")
        for ticket, error in (("q-1", NotNow), ("q-none", NotFound)):
            with pytest.raises(error):
                desk.answer(ticket, "one", "", "")
        ((ticket, model, question, reply, origin),) = heard
        assert origin == Origin("ab" * 16, "cd" * 8)
        assert closed == [("q-1", origin, "person eve")]
        assert (ticket, model) == ("q-1", "m")
        assert read_question(question, ticket).inputs.keys() == request().inputs.keys()
        assert parse_response(oip.ModelInferResponse.FromString(reply), 1, 0.0)[0].label == "three"
        assert desk.get("q-1", with_input=True).request == b""


def test_what_is_gone_says_how_it_ended(tmp_path):
    now = [1000.0]
    with opened(tmp_path, clock=lambda: now[0], max_age_s=10.0) as desk:
        issue(desk, "q-1")
        issue(desk, "q-2")
        desk.delete("q-2")
        with pytest.raises(TicketGone, match="dropped"):
            desk.get("q-2")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(desk.wait, "q-1", WAIT_S, stays)
            now[0] = 1011.0
            while not waiting.done():
                desk.expire()
                wait([waiting], 0.01)
            with pytest.raises(TicketGone, match="expired"):
                waiting.result()
        with pytest.raises(TicketGone):
            desk.delete("q-1")


def test_answers_are_numbered_on_across_starts_and_never_start_again(tmp_path):
    with opened(tmp_path) as desk:
        issue(desk, "q-1")
        issue(desk, "q-2")
        before = desk.cursor()
        desk.answer("q-1", "one", "", "")
    with opened(tmp_path) as desk:
        assert [ticket.id for ticket in desk.answers_since(before)] == ["q-1"]
        desk.answer("q-2", "two", "", "")
        assert [ticket.cursor - before for ticket in desk.answers_since(before)] == [1, 2]
    (tmp_path / "tickets.db").unlink()
    with opened(tmp_path) as desk:
        assert desk.cursor() >= before
