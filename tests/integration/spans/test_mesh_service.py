"""MeshService over gRPC: agents at work, who asks whom, and what was counted minute by minute."""

import sqlite3
import time
from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bench.many_spans import Mesh, requests
from tests.question_server import asking, question_server
from tests.unit.control_plane.fleet_facts import OLD, active, agent
from upriver_control.observed import MonitorFacts


@pytest.fixture
def server(tmp_path):
    with question_server(tmp_path) as running:
        yield running


@pytest.fixture
def ask(server):
    with asking(server) as asker:
        yield asker


def working(name, tier="device", rows=0, escalated=0, active_for=30.0, **more):
    slot = replace(active(rows=rows, escalated=escalated), active_for_s=active_for, **more)
    known = agent(1, slot, agent=name, tier=tier)
    return replace(known, agent=name, boot="boot-1", load=0.25, address="127.0.0.1:1")


def refused(call, **more):
    with pytest.raises(grpc.RpcError) as told:
        list(call(**more))
    assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return told.value.details()


def test_the_mesh_has_agents_at_work_and_who_asked_whom(server, ask):
    server.now = time.time()
    mesh = Mesh(devices=2, clouds=1, began_ns=round((server.now - 30) * 1e9))
    for request, _ in requests(mesh, range(40)):
        server.intake.offer(request.SerializeToString()).result(30)
    server.report(working("device-0", rows=60, escalated=6))
    server.report(working("device-1", rows=30, monitor=MonitorFacts(alarm_since=1.0)))
    server.report(working("cloud-0", "cloud", rows=20))
    (told,) = ask.mesh(once=True)
    assert [one.agent for one in told.agents] == ["cloud-0", "device-0", "device-1"]
    device = told.agents[1]
    assert (device.rows_per_s, device.escalated_share, device.load) == (2.0, 0.1, 0.25)
    assert 0 < device.p95.ToMilliseconds() < 10
    assert list(device.versions) == [OLD.version]
    assert (device.connected, device.in_sync) == (True, True)
    assert list(told.agents[2].alarms) == ["digits"]
    assert list(told.tiers) == ["device", "cloud"]
    edges = {(one.from_agent, one.to_agent): one for one in told.edges}
    assert edges.keys() == {("device-1", "cloud-0")}
    assert edges["device-1", "cloud-0"].escalations == 20
    assert not told.missing


def test_a_selector_chooses_agents_and_what_is_no_selector_or_interval_is_told(server, ask):
    for name in ("device-0", "cloud-0"):
        server.report(working(name, name[:-2]))
    (told,) = ask.mesh(selector="tier=cloud", once=True)
    assert [one.agent for one in told.agents] == ["cloud-0"]
    assert "selector" in refused(ask.mesh, selector="tier=", once=True)
    for seconds in (0, 61):
        assert "interval" in refused(ask.mesh, interval=Duration(seconds=seconds))


def test_news_come_when_something_has_changed_and_now_and_then_when_nothing_has(server, ask):
    server.report(working("device-0", rows=5))
    watch = ask.mesh(interval=Duration(nanos=500_000_000))
    assert next(watch).agents[0].rows_per_s == pytest.approx(5 / 30)
    server.report(working("device-1"))
    assert len(next(watch).agents) == 2
    assert len(next(watch).agents) == 2  # nothing has changed
    watch.cancel()


def test_rates_are_exact_over_restarts_and_told_by_the_step(server, ask):
    minute = int(server.now // 60) - int(server.now // 60) % 5
    server.now = minute * 60.0
    for _ in range(10):
        server.now += 30.0
        server.report(working("device-0", rows=30 * round((server.now / 60 - minute) * 2), escalated=1))
    rates = ask.rates(model="digits", from_time=Timestamp(seconds=minute * 60 - 3600))
    assert sum(rate.rows for rate in rates) == 300
    assert [rate.rows for rate in rates] == [60] * 5
    assert [rate.time.seconds // 60 - minute for rate in rates] == [0, 1, 2, 3, 4]
    server.now += 15.0
    server.report(replace(working("device-0", rows=7, active_for=5.0), boot="boot-2"))
    assert sum(rate.rows for rate in ask.rates()) == 307
    (whole,) = ask.rates(step=Duration(seconds=3600))
    assert (whole.rows, whole.escalated_rows, whole.region, whole.version) == (307, 1, "eu", OLD.version_digest)
    assert not ask.rates(region="us")
    after = minute * 60 + 120
    (late,) = ask.rates(from_time=Timestamp(seconds=after), step=Duration(seconds=86_400))
    assert (late.rows, late.time.seconds) == (187, after)  # two minutes less


def test_what_can_not_be_asked_of_rates_is_told(ask):
    for told, wrong in (
        ("step", {"step": Duration(seconds=90)}),
        ("step", {"step": Duration(seconds=-60)}),
        ("1000 steps", {"step": Duration(seconds=60)}),
        ("from_time", {"from_time": Timestamp(seconds=100), "until_time": Timestamp(seconds=100)}),
        ("from_time", {"from_time": Timestamp(seconds=-5)}),
        ("model", {"model": "m" * 300}),
    ):
        assert told in refused(ask.rates, **wrong)


def test_while_the_store_is_locked_rates_are_kept_in_mind_and_counted_later(server, ask):
    server.report(working("device-0", rows=10))
    holder = sqlite3.connect(server.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    server.now += 15
    server.report(working("device-0", rows=25, active_for=45.0))
    assert sum(rate.rows for rate in ask.rates()) == 10
    (told,) = ask.mesh(once=True)
    assert told.agents[0].rows_per_s > 0  # what agents say needs no store
    holder.execute("ROLLBACK")
    holder.close()
    server.now += 15
    server.report(working("device-0", rows=40, active_for=60.0))
    assert sum(rate.rows for rate in ask.rates()) == 40
