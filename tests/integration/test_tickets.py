"""Tickets of real agents: they outlive kill -9, and their answers come back to whoever waits, however it asks."""

import asyncio
import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.agent_process import mesh, running, until, write_config
from tests.certificates import make_certificates
from tests.fleet_faults import limit_files
from tests.versions import LABELS, make_version
from upriver import (
    AsyncClient,
    Client,
    DeadlineExpired,
    InvalidInput,
    Mode,
    NotAllowed,
    NotFound,
    Reason,
    TicketGone,
    TlsFiles,
    UpriverError,
)
from upriver.cli.root import run
from upriver.oip.v2 import inference_pb2 as oip
from upriver.services import Stub
from upriver.v1 import ticket_pb2 as pb
from upriver_agent.tickets.waiting import MAX_WAITING

SERVICE = pb.DESCRIPTOR.services_by_name["TicketService"]
RNG = np.random.default_rng(5)
LADDER = ["device", "cloud"]
NEVER, ALWAYS = 2.0, 0.0
OPEN_TO_ALL = '[cascade]\ntrust = "network"\n[tickets]\naccess = "network"\nreask_per_s = 200\n'
WAIT_S = 60


def images(rows=None):
    return RNG.random((14, 14, 1) if rows is None else (rows, 14, 14, 1), dtype=np.float32)


@contextmanager
def stub_of(agent):
    """A stock stub of the service."""
    with grpc.insecure_channel(agent.address) as channel:
        yield Stub(channel, SERVICE)


def counters(agent):
    with stub_of(agent) as stub:
        return stub.ListTickets(pb.ListTicketsRequest(), timeout=WAIT_S).counters


@pytest.fixture
def pair(tmp_path):
    """The configurations of a device that is never sure and of the cloud above it, which is not running."""
    versions = {tier: make_version(tmp_path, tier, ALWAYS if tier == "cloud" else NEVER) for tier in LADDER}
    cloud = write_config(tmp_path, "cloud-1", "cloud", LADDER, [versions["cloud"]], OPEN_TO_ALL)
    with running(cloud, "cloud-1", "cloud") as agent:
        device = write_config(tmp_path, "device-1", "device", LADDER, [versions["device"]], OPEN_TO_ALL, [agent])
        cloud = write_config(
            tmp_path, "cloud-1", "cloud", LADDER, [versions["cloud"]], OPEN_TO_ALL, listen=agent.address
        )
    return device, cloud


def test_no_ticket_is_lost_by_kill_9_and_who_waits_gets_the_answer_after_the_upstream_has_returned(pair, tmp_path):
    device, cloud = pair
    with running(device, "device-1") as agent, Client(agent.address, timeout=WAIT_S) as client:
        # It keeps its port, so that the client that waits finds it again.
        device = write_config(tmp_path, "device-1", "device", LADDER, [tmp_path / "version-device"],
                              OPEN_TO_ALL + upstream_lines(device), listen=agent.address)  # fmt: skip
        answers = [client.infer("pattern", images()), *client.infer("pattern", images(rows=5))]
        assert all(answer.ticket and answer.degraded and not answer.resolved for answer in answers)
        assert [answer.ticket.rpartition(".")[2] for answer in answers[1:]] == list("01234")
        with ThreadPoolExecutor(len(answers)) as pool:
            waiting = [pool.submit(client.ticket(answer).result, WAIT_S) for answer in answers]
            agent.kill()
            with running(device, "device-1") as again:
                assert counters(again).open == len(answers)
                with running(cloud, "cloud-1", "cloud"):
                    later = [future.result(WAIT_S) for future in waiting]
                    told = counters(again)
    for answer, first in zip(later, answers, strict=True):
        assert (answer.resolved, answer.agent, answer.reason) == (True, "cloud-1", Reason.CONFIDENT)
        assert answer.path == ("device-1", "cloud-1")
        assert (answer.ticket, answer.label) == (first.ticket, first.label)  # both run the same model
        assert set(answer.outputs) == set(first.outputs)
    assert (told.open, told.issued, told.answered, told.dropped) == (0, 6, 6, 0)


def test_whenever_kill_9_comes_every_ticket_that_a_caller_was_told_of_is_there_after_it(tmp_path):
    config = write_config(tmp_path, "a", "device", ["device"], [make_version(tmp_path, "1", NEVER)], OPEN_TO_ALL)
    told: list[str] = []

    def ask(address):
        with Client(address, retries=0) as client:
            while True:
                try:
                    told.extend(answer.ticket for answer in client.infer("pattern", images(rows=3)))
                except UpriverError:
                    return

    for pause_s in (0.05, 0.2):
        with running(config, "a") as agent, ThreadPoolExecutor(3) as pool:
            before = len(told)
            asking = [pool.submit(ask, agent.address) for _ in range(3)]
            until(lambda before=before: len(told) > before, WAIT_S, "tickets")
            time.sleep(pause_s)
            agent.kill()
            for future in asking:
                future.result(WAIT_S)
    with running(config, "a") as agent, stub_of(agent) as stub:
        kept, token = set(), ""
        while True:
            page = stub.ListTickets(pb.ListTicketsRequest(page_size=1000, page_token=token), timeout=WAIT_S)
            kept |= {ticket.name.removeprefix("tickets/") for ticket in page.tickets}
            token = page.next_page_token
            if not token:
                break
    assert len(told) > 30
    assert "" not in told
    assert set(told) - kept == set()


def upstream_lines(config):
    text = config.read_text()
    return text[text.index("[[discovery.static]]") : text.index("[[models]]")]


def test_answers_are_streamed_as_they_come_and_none_is_missed_by_who_connects_again(pair):
    device, cloud = pair
    with running(device, "device-1") as agent, Client(agent.address) as client, stub_of(agent) as stub:
        before = client.infer("pattern", images(rows=3))
        watch = stub.WatchTickets(pb.WatchTicketsRequest())
        cursor = next(watch).cursor
        stub.AnswerTicket(pb.AnswerTicketRequest(name=f"tickets/{before[0].ticket}", label=LABELS[4]), timeout=WAIT_S)
        first = next(watch)
        assert (first.ticket.name, first.ticket.answered_by) == (f"tickets/{before[0].ticket}", "person")
        assert first.cursor > cursor
        watch.cancel()
        with running(cloud, "cloud-1", "cloud"):
            until(lambda: counters(agent).open == 0, WAIT_S, "all answered")
        again = stub.WatchTickets(pb.WatchTicketsRequest(since=first.cursor))
        assert not next(again).HasField("ticket")
        missed = {next(again).ticket.name for _ in range(2)}
        again.cancel()
        assert missed == {f"tickets/{answer.ticket}" for answer in before[1:]}
        found = {ticket.id: ticket.answer.label for ticket in client.tickets(*before, timeout=WAIT_S)}
        assert found[before[0].ticket] == LABELS[4]
        assert found.keys() == {answer.ticket for answer in before}
        assert list(client.tickets(timeout=0.2)) == []  # from now on nothing came


def test_with_asyncio_it_is_the_same(pair):
    device, cloud = pair

    async def ask(address):
        async with AsyncClient(address, timeout=WAIT_S) as client:
            answers = await client.infer("pattern", images(rows=2))
            with pytest.raises(DeadlineExpired, match="not answered in time"):
                await client.ticket(answers[0]).result(timeout=0.05)
            assert (await client.ticket(answers[0]).get()).answer is None
            with pytest.raises(NotFound):
                await client.ticket("q-nobodys").result()
            waiting = asyncio.create_task(client.ticket(answers[0]).result())
            await asyncio.to_thread(go.set)
            found = [ticket.id async for ticket in client.tickets(*answers, timeout=WAIT_S)]
            return await waiting, sorted(found), sorted(answer.ticket for answer in answers)

    go = threading.Event()
    with running(device, "device-1") as agent, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(asyncio.run, ask(agent.address))
        assert go.wait(WAIT_S)
        with running(cloud, "cloud-1", "cloud"):
            answer, found, tickets = asked.result(WAIT_S)
    assert (answer.agent, answer.resolved) == ("cloud-1", True)
    assert found == tickets


def test_an_agent_that_ends_lets_go_who_waits_and_is_waited_for_when_it_is_back(tmp_path):
    model = make_version(tmp_path, "1", NEVER)
    config = write_config(tmp_path, "a", "device", ["device"], [model], OPEN_TO_ALL)
    with running(config, "a") as agent, ThreadPoolExecutor(1) as pool, Client(agent.address) as client:
        answer = client.infer("pattern", images())
        later = pool.submit(client.ticket(answer).result, 4 * WAIT_S)
        until(lambda: wanted(tmp_path / "a" / "tickets.db"), WAIT_S, "somebody waits")
        began = time.monotonic()
        assert agent.terminate() == 0
        assert time.monotonic() - began < WAIT_S  # not held up until the call's own end
        config = write_config(tmp_path, "a", "device", ["device"], [model], OPEN_TO_ALL, listen=agent.address)
        with running(config, "a") as again, stub_of(again) as stub:
            request = pb.AnswerTicketRequest(name=f"tickets/{answer.ticket}", label=LABELS[2])
            stub.AnswerTicket(request, timeout=WAIT_S)
            assert later.result(WAIT_S).label == LABELS[2]


def wanted(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM ticket WHERE worth = 3").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One agent that is never sure, with nobody above it."""
    folder = tmp_path_factory.mktemp("alone")
    more = OPEN_TO_ALL + "[serving]\nadmin = true\nmax_inflight = 4\n"
    config = write_config(folder, "a", "device", ["device"], [make_version(folder, "1", NEVER)], more)
    with running(config, "a") as agent:
        yield agent


def test_a_person_answers_from_the_command_line(alone, tmp_path, capsys):
    with Client(alone.address) as client:
        question = images()
        ticket = client.infer("pattern", question).ticket
        assert run(["tickets", "list", "--agent", alone.address, "--state", "open", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)["tickets"]
        assert ticket in [entry["id"] for entry in listed]
        saved = tmp_path / "question.npz"
        assert run(["tickets", "show", ticket, "--agent", alone.address, "--save", str(saved)]) == 0
        assert "waits for model" in capsys.readouterr().out
        np.testing.assert_array_equal(np.load(saved)["image"][0], question)
        assert run(["tickets", "answer", ticket, "elephant", "--agent", alone.address]) == 1
        assert "'elephant'; it has: class-0" in capsys.readouterr().err
        assert run(["tickets", "answer", ticket, "class-7", "--agent", alone.address]) == 0
        assert run(["tickets", "watch", ticket, "--agent", alone.address, "--for", "30", "--json"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (told["answer"]["label"], told["answered_by"]) == ("class-7", "person")
        answer = client.ticket(ticket).result()
        assert (answer.label, answer.reason, answer.tier, answer.path) == (
            "class-7",
            Reason.ANSWERED,
            "person",
            ("a", "person"),
        )
        assert run(["tickets", "answer", ticket, "class-8", "--agent", alone.address]) == 1
        assert "answered already, by person" in capsys.readouterr().err
        assert run(["tickets", "answer", ticket, "--agent", alone.address]) == 2


def test_a_new_version_answers_what_the_old_one_could_not(alone, tmp_path):
    newer = make_version(tmp_path, "2", ALWAYS)
    with Client(alone.address) as client, grpc.insecure_channel(alone.address) as channel:
        ticket = client.infer("pattern", images()).ticket
        load(channel, newer)
        answer = client.ticket(ticket).result(WAIT_S)
        assert (answer.version, answer.resolved, answer.path) == ("2", True, ("a",))
        load(channel, make_version(tmp_path, "3", NEVER))


def load(channel, path):
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        request_serializer=oip.RepositoryModelLoadRequest.SerializeToString,
        response_deserializer=oip.RepositoryModelLoadResponse.FromString,
    )
    message = oip.RepositoryModelLoadRequest(model_name="pattern")
    message.parameters["path"].string_param = str(path)
    call(message, timeout=WAIT_S)


def test_those_who_wait_hold_up_nobody_who_asks(alone):
    with Client(alone.address) as client, stub_of(alone) as stub:
        ticket = client.infer("pattern", images()).ticket
        name = f"tickets/{ticket}"
        waiting = [
            stub.GetTicket.future(pb.GetTicketRequest(name=name, wait_time=Duration(seconds=WAIT_S)), timeout=WAIT_S)
            for _ in range(MAX_WAITING + 3)
        ]
        until(lambda: sum(call.done() for call in waiting) == 3, WAIT_S, "three too many")
        refused = [call.code() for call in waiting if call.done()]
        assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
        assert client.infer("pattern", images()).ticket
        # Who finds no place to wait asks now and then.
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(client.ticket(ticket).result, WAIT_S)
            time.sleep(0.1)
            stub.AnswerTicket(pb.AnswerTicketRequest(name=name, label=LABELS[0]), timeout=WAIT_S)
            assert later.result(WAIT_S).label == LABELS[0]
        answered = [call.result() for call in waiting if call.code() is grpc.StatusCode.OK]
        assert len(answered) == MAX_WAITING
        assert {reply.ticket.state for reply in answered} == {pb.TICKET_STATE_ANSWERED}


def test_lists_come_in_pages_and_what_is_asked_for_wrongly_is_refused(alone):
    with Client(alone.address) as client, stub_of(alone) as stub:
        tickets = [answer.ticket for answer in client.infer("pattern", images(rows=7))]
        found, token = [], ""
        while True:
            request = pb.ListTicketsRequest(page_size=3, page_token=token, state=pb.TICKET_STATE_OPEN, model="pattern")
            reply = stub.ListTickets(request, timeout=WAIT_S)
            found += [ticket.name for ticket in reply.tickets]
            token = reply.next_page_token
            if not token:
                break
        assert found[-7:] == [f"tickets/{ticket}" for ticket in tickets]
        stub.DeleteTicket(pb.DeleteTicketRequest(name=f"tickets/{tickets[0]}"), timeout=WAIT_S)
        with pytest.raises(TicketGone, match="dropped"):
            client.ticket(tickets[0]).result()
        words = "x"
        for call, named in (
            (lambda: stub.GetTicket(pb.GetTicketRequest(name="q-1"), timeout=WAIT_S), "tickets/<ticket>"),
            (lambda: stub.ListTickets(pb.ListTicketsRequest(page_token=words), timeout=WAIT_S), "next_page_token"),
            (lambda: stub.ListTickets(pb.ListTicketsRequest(page_size=-1), timeout=WAIT_S), "at least 0"),
            (lambda: stub.AnswerTicket(pb.AnswerTicketRequest(name=found[-1]), timeout=WAIT_S), "a label, or outputs"),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert named in refused.value.details()
        with pytest.raises(InvalidInput, match="no ticket"):
            client.ticket("")


def test_without_a_certificate_only_ones_own_tickets_are_shown(tmp_path):
    config = write_config(tmp_path, "a", "device", ["device"], [make_version(tmp_path, "1", NEVER)])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tickets.db").write_bytes(
        b"no journal at all"
    )  # and nothing that is damaged keeps it from starting
    with running(config, "a") as agent, Client(agent.address) as client, stub_of(agent) as stub:
        answer = client.infer("pattern", images())
        assert "set aside as tickets.db.damaged" in agent.log.read_text()
        name = f"tickets/{answer.ticket}"
        assert client.ticket(answer).get().guess.label == answer.label
        assert list(client.tickets(answer, timeout=0.1)) == []
        with pytest.raises(NotAllowed, match=r"tickets\.access"):
            next(client.tickets(timeout=WAIT_S))
        for call in (
            lambda: stub.ListTickets(pb.ListTicketsRequest(), timeout=WAIT_S),
            lambda: stub.AnswerTicket(pb.AnswerTicketRequest(name=name, label=LABELS[0]), timeout=WAIT_S),
            lambda: stub.DeleteTicket(pb.DeleteTicketRequest(name=name), timeout=WAIT_S),
            lambda: stub.GetTicket(pb.GetTicketRequest(name=name, include_input=True), timeout=WAIT_S),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_with_a_certificate_anybodys_are_and_the_answer_says_whose_it_was(tmp_path, capsys):
    make_certificates(tmp_path, ["agent"])
    tls = (
        f'[tls]\ncertificate = "{tmp_path}/agent.pem"\nkey = "{tmp_path}/agent.key"\nclient_ca = "{tmp_path}/ca.pem"\n'
    )
    config = write_config(tmp_path, "a", "device", ["device"], [make_version(tmp_path, "1", NEVER)], tls)
    files = {"ca": tmp_path / "ca.pem", "certificate": tmp_path / "agent.pem", "key": tmp_path / "agent.key"}
    with running(config, "a") as agent, Client(agent.address, tls=TlsFiles(**files)) as client:
        ticket = client.infer("pattern", images()).ticket
        options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
        assert run(["tickets", "answer", ticket, "class-1", "--agent", agent.address, *options]) == 0
        assert "by person " in capsys.readouterr().out
        assert client.ticket(ticket).get().answered_by.startswith("person ")


def test_an_agent_that_gives_no_tickets_says_so(tmp_path):
    more = "[tickets]\nenabled = false\n"
    config = write_config(tmp_path, "a", "device", ["device"], [make_version(tmp_path, "1", NEVER)], more)
    with running(config, "a") as agent, Client(agent.address) as client, stub_of(agent) as stub:
        answer = client.infer("pattern", images())
        assert (answer.ticket, answer.resolved) == ("", False)
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetTicket(pb.GetTicketRequest(name="tickets/q-1"), timeout=WAIT_S)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert not (tmp_path / "a" / "tickets.db").exists()


def test_a_disk_that_takes_nothing_costs_tickets_and_no_answer(tmp_path):
    config = write_config(tmp_path, "a", "device", ["device"], [make_version(tmp_path, "1", NEVER)], OPEN_TO_ALL)
    with running(config, "a") as agent, Client(agent.address) as client:
        kept = client.infer("pattern", images())
        limit_files(agent.pid, 1)
        assert client.infer("pattern", images()).ticket == ""
        limit_files(agent.pid, 64 << 20)
        until(lambda: client.infer("pattern", images()).ticket, WAIT_S, "tickets again")
        assert client.ticket(kept).get().id == kept.ticket
        assert counters(agent).refused >= 1


def test_only_the_touch_point_gives_a_ticket_and_none_to_who_wants_its_own_answer_and_no_other(tmp_path):
    versions = {tier: make_version(tmp_path, tier, NEVER) for tier in LADDER}
    with mesh(tmp_path, [(f"{tier}-1", tier, versions[tier]) for tier in LADDER], OPEN_TO_ALL) as agents:
        with Client(agents["device-1"].address) as client:
            answer = client.infer("pattern", images())
            local = client.infer("pattern", images(), mode=Mode.LOCAL)
        assert (local.reason, local.resolved, local.ticket) == (Reason.MODE, False, "")
        assert (answer.agent, answer.reason, answer.degraded) == ("cloud-1", Reason.TOP, False)
        assert answer.ticket
        assert [counters(agents[name]).issued for name in ("device-1", "cloud-1")] == [1, 0]
        assert agents["device-1"].terminate() == 0
        told = agents["device-1"].log.read_text().splitlines()[-1]
        assert "tickets_open 1, tickets_issued 1" in told
