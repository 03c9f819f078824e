"""Lessons of real agents: taken off the caller's way, kept through kill -9, seen and forgotten by command."""

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.agent_process import running, until, write_config
from tests.control_plane_process import ControlPlaneProcess
from tests.versions import LABELS, make_version
from upriver import Client, Mode, UpriverError
from upriver.cli.root import run
from upriver.lessons import SERVICE
from upriver.services import Stub
from upriver.v1 import lesson_pb2 as pb

RNG = np.random.default_rng(9)
LADDER = ["device", "cloud"]
NEVER, ALWAYS = 2.0, 0.0
OPEN = """
[cascade]
trust = "network"
[tickets]
access = "network"
[learning]
trust = "network"
access = "network"
holdout = 0.2
"""
WAIT_S = 60


def images(rows=None):
    return RNG.random((14, 14, 1) if rows is None else (rows, 14, 14, 1), dtype=np.float32)


def stats(agent):
    with grpc.insecure_channel(agent.address) as channel:
        return Stub(channel, SERVICE).GetLessonStats(pb.GetLessonStatsRequest(), timeout=WAIT_S)


def taken(agent):
    return sum(one.lessons for one in stats(agent).classes)


@pytest.fixture
def cloud(tmp_path):
    config = write_config(tmp_path, "cloud-1", "cloud", LADDER, [make_version(tmp_path, "cloud", ALWAYS)], OPEN)
    with running(config, "cloud-1", "cloud") as agent:
        yield agent


def device(tmp_path, upstreams, more=OPEN):
    return write_config(
        tmp_path, "device-1", "device", LADDER, [make_version(tmp_path, "device", NEVER)], more, upstreams
    )


def test_what_was_answered_above_is_kept_listed_exported_and_forgotten(tmp_path, cloud, capsys):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    more = OPEN + f'keep_inputs = true\nencrypt_key_file = "{key}"\n'
    with running(device(tmp_path, [cloud], more), "device-1") as agent:
        with Client(agent.address) as client:
            answers = list(client.infer("pattern", images(rows=40)))
            kept = list(client.infer("pattern", images(rows=20), learn=True))
            client.infer("pattern", images(rows=5), mode=Mode.LOCAL)
        assert all(answer.agent == "cloud-1" for answer in answers + kept)
        until(lambda: (told := stats(agent)).counters["holdout"] + told.counters["taken"] == 60, WAIT_S, "lessons")
        told = stats(agent)
        assert told.counters["holdout"] > 0
        assert taken(agent) == told.counters["taken"] > 30
        assert (dict(told.models), told.trouble) == ({"pattern": ""}, "")
        assert [(one.agent, one.taken, one.quarantined) for one in told.teachers] == [("cloud-1", taken(agent), False)]
        at = ["--agent", agent.address]
        assert run(["lessons", "stats", *at]) == 0
        assert f"cloud-1  {taken(agent)}" in " ".join(capsys.readouterr().out.split("   ")).replace("    ", "  ")
        assert run(["lessons", "list", *at, "--limit", "7", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert (len(listed["lessons"]), listed["more"]) == (7, True)
        one = listed["lessons"][0]
        assert (one["teacher"]["agent"], one["state"], one["source"]) == ("cloud-1", "taken", "ipv4:127.0.0.1")
        assert one["label"] in LABELS
        assert run(["lessons", "show", one["id"], *at]) == 0
        assert one["id"] in capsys.readouterr().out
        assert run(["lessons", "show", "q-nobody's.0", *at]) == 1
        lines, arrays = tmp_path / "all.jsonl", tmp_path / "all.npz"
        assert run(["lessons", "export", str(lines), *at, "--inputs"]) == 0
        assert run(["lessons", "export", str(arrays), *at]) == 0
        assert run(["lessons", "export", str(tmp_path / "all.csv"), *at]) == 1
        written = [json.loads(line) for line in lines.read_text().splitlines()]
        assert len(written) == taken(agent)
        assert {line["has_input"] for line in written} == {line["consent"] for line in written} == {True, False}
        with np.load(arrays) as found:
            assert found["embedding"].tolist() == [line["embedding"] for line in written]
            assert found["id"].tolist() == [line["id"] for line in written]
        capsys.readouterr()
        label, count = one["label"], sum(line["label"] == one["label"] for line in written)
        assert run(["lessons", "forget", *at]) == 2
        assert run(["lessons", "forget", "--label", label, *at, "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"lessons": count, "forgotten": False}
        assert run(["lessons", "forget", "--label", label, *at, "--yes"]) == 0
        assert (
            run(["lessons", "forget", *[line["id"] for line in written if line["label"] != label][:2], *at, "-y"]) == 0
        )
        assert taken(agent) == len(written) - count - 2
        assert run(["lessons", "release", "cloud-1", *at]) == 1


def test_nothing_that_was_seen_to_be_kept_is_lost_by_kill_9(tmp_path, cloud):
    config = device(tmp_path, [cloud])
    before = 0
    for pause_s in (0.0, 0.1):
        with running(config, "device-1") as agent, ThreadPoolExecutor(2) as pool:
            assert taken(agent) >= before

            def ask(address=agent.address):
                with Client(address, retries=0) as client:
                    while True:
                        try:
                            client.infer("pattern", images(rows=8))
                        except UpriverError:
                            return

            asking = [pool.submit(ask) for _ in range(2)]
            start = before
            until(lambda start=start: taken(agent) > start, WAIT_S, "lessons")
            time.sleep(pause_s)
            before = taken(agent)
            agent.kill()
            for future in asking:
                future.result(WAIT_S)
    with running(config, "device-1") as agent:
        assert taken(agent) >= before
        assert stats(agent).trouble == ""


def test_a_persons_answer_to_a_ticket_is_a_lesson_and_so_is_one_that_came_late_from_above(tmp_path):
    config = write_config(tmp_path, "cloud-1", "cloud", LADDER, [make_version(tmp_path, "cloud", ALWAYS)], OPEN)
    with running(config, "cloud-1", "cloud") as agent:
        address = agent.address
        alone = device(tmp_path, [agent], OPEN.replace("holdout = 0.2", "holdout = 0.01"))
    with running(alone, "device-1") as agent, Client(agent.address) as client:
        answers = list(client.infer("pattern", images(rows=6)))
        tickets = [answer.ticket for answer in answers]
        assert all(tickets)
        assert run(["tickets", "answer", tickets[0], LABELS[4], "--agent", agent.address]) == 0
        assert run(["tickets", "answer", tickets[1], LABELS[5], "--agent", agent.address]) == 0
        until(lambda: taken(agent) + stats(agent).counters["holdout"] == 2, WAIT_S, "a person's lessons")
        config = write_config(tmp_path, "cloud-1", "cloud", LADDER, [tmp_path / "version-cloud"], OPEN, listen=address)
        with running(config, "cloud-1", "cloud"):
            until(lambda: taken(agent) + stats(agent).counters["holdout"] == 6, WAIT_S, "late lessons")
        with grpc.insecure_channel(agent.address) as channel:
            found = Stub(channel, SERVICE).ListLessons(pb.ListLessonsRequest(), timeout=WAIT_S).lessons
        assert {one.teacher for one in found} == {"person", "cloud-1"}
        assert {one.id for one in found} <= set(tickets)
        by_person = {one.id: one.label for one in found if one.teacher == "person"}
        assert by_person.items() <= {tickets[0]: LABELS[4], tickets[1]: LABELS[5]}.items()


def test_who_has_not_proved_itself_does_not_teach_and_strangers_do_not_see_lessons(tmp_path, cloud, capsys):
    more = '[cascade]\ntrust = "network"\n'
    with running(device(tmp_path, [cloud], more), "device-1") as agent:
        with Client(agent.address) as client:
            assert client.infer("pattern", images()).agent == "cloud-1"
        assert run(["lessons", "list", "--agent", agent.address]) == 1
        assert "learning.access" in capsys.readouterr().err
    with running(device_again(tmp_path, [cloud], more + '[learning]\naccess = "network"\n'), "device-1") as agent:
        assert "tls.upstream_ca" in stats(agent).models["pattern"]
        assert taken(agent) == 0


def device_again(tmp_path, upstreams, more):
    return write_config(tmp_path, "device-1", "device", LADDER, [tmp_path / "version-device"], more, upstreams)


def landed(folder):
    """The ids of lessons in the Parquet files of a control plane that are in their places."""
    files = [path for path in folder.glob("[!_]*/**/*.parquet") if path.is_file()]
    return [id_ for path in files for id_ in pq.ParquetFile(path).read(["id"]).column("id").to_pylist()]


def waiting(folder):
    """How many entries wait to be handed up in an agent's file."""
    with closing(sqlite3.connect(folder / "lessons.db")) as connection:
        return connection.execute("SELECT count(*) FROM handing").fetchone()[0]


def test_what_may_be_kept_lands_at_the_control_plane_once_by_way_of_other_agents(tmp_path):
    control = ControlPlaneProcess(tmp_path / "control")
    shares = OPEN + 'keep_inputs = true\nshare = "inputs"\n'
    with ExitStack() as stack:
        control.start()
        stack.callback(control.kill)
        joins = shares + f'[control_plane]\njoin = "{control.join}"\n'
        config = write_config(tmp_path, "cloud-1", "cloud", LADDER, [make_version(tmp_path, "cloud", ALWAYS)], joins)
        cloud = stack.enter_context(running(config, "cloud-1", "cloud"))
        agent = stack.enter_context(running(device(tmp_path, [cloud], shares), "device-1"))
        client = stack.enter_context(Client(agent.address))
        client.infer("pattern", images(rows=5))
        client.infer("pattern", images(rows=30), learn=True)
        until(lambda: stats(agent).counters["holdout"] + taken(agent) == 35, WAIT_S, "lessons")
        with grpc.insecure_channel(agent.address) as channel:
            found = Stub(channel, SERVICE).ListLessons(pb.ListLessonsRequest(page_size=100), timeout=WAIT_S).lessons
        kept = sorted(one.id for one in found if one.consent)
        assert len(found) > len(kept) > 10
        until(lambda: sorted(landed(control.state / "lessons")) == kept, WAIT_S, "lessons above")
        until(
            lambda: not waiting(tmp_path / "device-1") + waiting(tmp_path / "cloud-1"), WAIT_S, "that all have let go"
        )


def test_a_tier_between_that_lies_is_put_into_quarantine_by_what_the_top_says_of_it(tmp_path, capsys):
    """It says another class than it should, always and for sure."""
    ladder = ["device", "edge", "cloud"]
    models = {
        "device": make_version(tmp_path, "device", NEVER),
        "edge": make_version(tmp_path, "edge", ALWAYS, labels=(*LABELS[1:], LABELS[0])),
        "cloud": make_version(tmp_path, "cloud", ALWAYS),
    }
    audits = {"device": "[audits]\nrate = 0.5\ntarget = 0.1\nper_s = 1000\n", "edge": "[audits]\nenabled = false\n"}
    with ExitStack() as stack:
        agents = []
        for tier in reversed(ladder):
            more = OPEN + audits.get(tier, "")
            config = write_config(tmp_path, f"{tier}-1", tier, ladder, [models[tier]], more, agents)
            agents.append(stack.enter_context(running(config, f"{tier}-1", tier)))
        at = agents[-1]
        client = stack.enter_context(Client(at.address))
        assert {answer.agent for answer in client.infer("pattern", images(rows=40))} == {"edge-1"}
        until(lambda: any(one.quarantined for one in stats(at).teachers), WAIT_S, "the quarantine")
        until(lambda: {one.state for one in stats(at).classes} == {pb.LESSON_STATE_ASIDE}, WAIT_S, "lessons aside")
        client.infer("pattern", images(rows=40))
        until(lambda: stats(at).counters["quarantine"] > 0, WAIT_S, "that no lesson of it is taken")
        (edge,) = stats(at).teachers
        assert (edge.agent, edge.taken, edge.contradictions) == ("edge-1", 0, edge.audits)
        assert run(["lessons", "stats", "--agent", at.address]) == 0
        assert "no, since" in capsys.readouterr().out
        assert run(["lessons", "release", "edge-1", "--agent", at.address]) == 0
