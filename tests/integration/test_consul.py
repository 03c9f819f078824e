"""Agents and a real Consul: found, forgotten, killed, restarted empty, slow, and with the wrong token."""

import json
import socket
import threading
import time
import urllib.request

import grpc
import pytest

from tests.agent_process import TRUSTING, running, until, write_config
from tests.consul_process import real_consul
from tests.integration.test_cascade import ask, facts, request
from tests.versions import make_version
from upriver.discovery import consul_http
from upriver.discovery.consul import ConsulDiscovery, ConsulOptions, list_agents
from upriver.discovery.consul_http import ConsulHttp
from upriver.discovery.port import AgentRecord
from upriver.errors import NotAllowed, Unreachable

TIERS = ["device", "cloud"]
SERVICE = "upriver-agent"
WAIT_S = 60


def get(address, path):
    with urllib.request.urlopen(f"{address}{path}", timeout=WAIT_S) as reply:  # noqa: S310 - loopback only
        return json.load(reply)


def instances(address, passing=""):
    return get(address, f"/v1/health/service/{SERVICE}?{passing}")


def through(address, ttl=1.0):
    return f'{TRUSTING}[discovery]\nkind = "consul"\n[discovery.consul]\naddress = "{address}"\nttl_s = {ttl}\n'


def record(name="me", tier="device"):
    return AgentRecord(name, tier, "here", "127.0.0.1:7000", 1, {}, 0.0)


@pytest.fixture
def consul(tmp_path):
    with real_consul(tmp_path) as process:
        yield process


@pytest.mark.real_consul
def test_consul_dies_and_comes_back_empty_under_traffic_and_nobody_is_failed(tmp_path, consul):
    low, top = make_version(tmp_path, "low", 2.0), make_version(tmp_path, "top", 0.0)
    more = through(consul.address, ttl=5.0)  # with less, an agent that a busy machine does not let run is not passing
    top_config = write_config(tmp_path, "cloud-1", "cloud", TIERS, [top], more)
    low_config = write_config(tmp_path, "device-1", "device", TIERS, [low], more)
    with running(top_config, "cloud-1") as cloud, running(low_config, "device-1") as device:
        until(lambda: facts(ask(device, request()))["path"] == "device-1,cloud-1", what="the device to find the cloud")
        (found,) = [e for e in instances(consul.address) if e["Service"]["ID"] == "cloud-1"]
        assert found["Service"]["Meta"]["tier"] == "cloud"
        assert found["Service"]["Meta"]["model-0"].startswith("pattern top sha256:")
        told, failures, ended = [], [], threading.Event()

        def traffic():
            while not ended.is_set():
                try:
                    told.append(facts(ask(device, request())))
                except grpc.RpcError as error:
                    failures.append(error)
                ended.wait(0.01)  # without a pause it would take the processor that the new Consul begins with

        asker = threading.Thread(target=traffic)
        asker.start()
        try:
            consul.kill()
            at = len(told)
            until(lambda: len(told) > at + 50, what="traffic without Consul")
            consul.start()
            ids, passing = {"cloud-1", "device-1"}, lambda: instances(consul.address, "passing")
            until(lambda: {e["Service"]["ID"] for e in passing()} == ids, what="both to return")
            at = len(told)
            until(lambda: len(told) > at + 50, what="traffic with the new Consul")
        finally:
            ended.set()  # else it would ask an agent that is gone for ever, and never let the tests end
            asker.join(20)
        assert failures == []
        assert {one["path"] for one in told} == {"device-1,cloud-1"}, [one for one in told if one["path"] == "device-1"]
        assert cloud.terminate() == 0
        remaining = {e["Service"]["ID"] for e in instances(consul.address)}
        assert "cloud-1" not in remaining


@pytest.mark.real_consul
def test_an_agent_that_starts_without_consul_knows_its_upstreams_of_before(tmp_path, consul):
    low, top = make_version(tmp_path, "low", 2.0), make_version(tmp_path, "top", 0.0)
    more = through(consul.address)
    with running(write_config(tmp_path, "cloud-1", "cloud", TIERS, [top], more), "cloud-1"):
        config = write_config(tmp_path, "device-1", "device", TIERS, [low], more)
        with running(config, "device-1") as device:
            until(lambda: facts(ask(device, request()))["path"] == "device-1,cloud-1", what="discovery")
        consul.kill()
        with running(config, "device-1") as device:
            assert facts(ask(device, request()))["path"] == "device-1,cloud-1"


@pytest.mark.real_consul
def test_an_agent_that_is_killed_leaves_the_passing_ones_when_its_ttl_expires(tmp_path, consul):
    version = make_version(tmp_path, "1", 0.0)
    with running(write_config(tmp_path, "gone", "cloud", TIERS, [version], through(consul.address)), "gone") as agent:
        until(lambda: instances(consul.address, "passing"), what="the registration")
        agent.kill()
        until(lambda: not instances(consul.address, "passing"), what="the expiry")


@pytest.mark.real_consul
def test_consuls_own_grpc_check_passes_beside_the_ttl(tmp_path, consul):
    version = make_version(tmp_path, "1", 0.0)
    more = through(consul.address, ttl=5.0) + "grpc_check = true\n"
    with running(write_config(tmp_path, "checked", "cloud", TIERS, [version], more), "checked"):

        def checks():
            # Of the agent itself: what only changes a check's text reaches the catalogue minutes later.
            found = get(consul.address, "/v1/agent/checks")
            return "success" in found.get("checked-grpc", {"Output": ""})["Output"] and found

        told = until(checks, 30, "Consul's gRPC check")
        assert told["checked-grpc"]["Status"] == told["checked-ttl"]["Status"] == "passing"
        assert told["checked-ttl"]["Output"] == "serving"


@pytest.mark.real_consul
def test_a_draining_agent_warns_and_is_not_critical(tmp_path, consul):
    discovery = ConsulDiscovery(ConsulOptions(address=consul.address, ttl_s=1.0), tmp_path)
    discovery.start(record())
    until(lambda: instances(consul.address, "passing"), what="the registration")
    discovery.draining()

    def status():
        checks = instances(consul.address)[0]["Checks"]
        return next(check["Status"] for check in checks if check["CheckID"] == "me-ttl")

    until(lambda: status() == "warning", what="the warning")
    discovery.close()
    assert instances(consul.address) == []


@pytest.mark.real_consul
def test_a_wrong_token_is_told_and_the_agent_serves(tmp_path):
    rules = 'acl { enabled = true\n default_policy = "deny" }\n'
    with real_consul(tmp_path, rules) as consul:
        http = ConsulHttp(ConsulOptions(address=consul.address, token="wrong"))  # noqa: S106 - meant to be wrong
        with pytest.raises(NotAllowed, match="token"):
            http.register({"Name": "x", "ID": "x"})
        http.close()
        more = through(consul.address) + 'token = "wrong"\n'
        version = make_version(tmp_path, "1", 0.0)
        with running(write_config(tmp_path, "barred", "device", TIERS, [version], more), "barred") as agent:
            until(lambda: "discovery.consul.token" in agent.log.read_text(), what="the refusal in the log")
            assert facts(ask(agent, request()))["reason"] == "confident"


@pytest.mark.real_consul
def test_connections_to_consul_are_bounded(tmp_path, consul):
    discovery = ConsulDiscovery(ConsulOptions(address=consul.address, ttl_s=0.5), tmp_path)
    discovery.start(record())
    until(lambda: instances(consul.address, "passing"), what="the registration")
    for load in range(50):
        discovery.update(AgentRecord("me", "device", "here", "127.0.0.1:7000", 1, {}, load / 100))
    port = int(consul.address.rsplit(":", 1)[1])
    assert len(discovery._http._client._transport._pool.connections) <= 2, port
    discovery.close()


def test_a_consul_that_never_answers_delays_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(consul_http, "_CALL_S", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and says nothing
        address = f"http://127.0.0.1:{hole.getsockname()[1]}"
        started = time.monotonic()
        discovery = ConsulDiscovery(ConsulOptions(address=address), tmp_path)
        discovery.start(record())
        assert discovery.agents() == ()
        assert time.monotonic() - started < 60
        discovery.close()
        assert time.monotonic() - started < 120
        version = make_version(tmp_path, "1", 0.0)
        with running(write_config(tmp_path, "deaf", "device", TIERS, [version], through(address)), "deaf") as agent:
            assert facts(ask(agent, request()))["reason"] == "confident"
            assert agent.terminate() == 0


def test_listing_agents_with_no_consul_says_so():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Unreachable, match=address):
        list_agents(ConsulOptions(address=address))
