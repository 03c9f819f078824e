"""Which addresses that agents tell are called: whoever may join can tell any."""

from ipaddress import ip_address

import pytest

from upriver.errors import Unreachable
from upriver_control.calling.reach import is_loopback, networks_of, split, target, why_not

EVERY = ".".join("0000")


@pytest.mark.parametrize(
    ("told", "host", "port"),
    [
        ("10.0.0.7:8470", "10.0.0.7", 8470),
        ("edge-3.example:443", "edge-3.example", 443),
        ("[fd00::7]:8470", "fd00::7", 8470),
    ],
)
def test_an_address_is_host_and_port(told, host, port):
    assert split(told) == (host, port)


@pytest.mark.parametrize(
    "told",
    [
        "unix:/run/docker.sock",
        "unix:///run/docker.sock:80",
        "unix-abstract:x:1",
        "vsock:2:1234",
        "dns:///10.0.0.1:53",
        "dns://8.8.8.8/host:53",
        "ipv4:10.0.0.1:80,10.0.0.2:80",
        "xds:///service:1",
        "10.0.0.7",
        "10.0.0.7:0",
        "10.0.0.7:65536",
        "http://10.0.0.7:80",
        "user@10.0.0.7:80",
        "10.0.0.7:80\n",
        "[fe80::1%eth0]:80",
        "a b:80",
        "",
    ],
)
def test_nothing_else_is_one_whatever_grpc_makes_of_it(told):
    with pytest.raises(Unreachable, match="expected host:port"):
        split(told)


@pytest.mark.parametrize("ip", ["10.0.0.7", "192.168.1.4", "203.0.113.9", "fd00::7", "2001:db8:1::4"])
def test_agents_are_called_in_private_and_public_networks(ip):
    assert why_not(ip_address(ip), (), at_home=False) == ""


@pytest.mark.parametrize(
    "ip",
    [
        "169.254.169.254",  # where clouds tell machines their secrets
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
        "240.0.0.1",
    ],
)
def test_what_is_one_machines_alone_or_nobodys_is_not_called_unless_it_is_listed(ip):
    told = why_not(ip_address(ip), (), at_home=False)
    assert "calling.networks" in told
    everything = networks_of(["0.0.0.0/0", "::/0"])
    assert why_not(ip_address(ip), everything, at_home=False) == ""


@pytest.mark.parametrize("ip", [EVERY, "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1"])
def test_what_is_no_machines_address_is_never_called(ip):
    everything = networks_of(["0.0.0.0/0", "::/0"])
    assert "no address of one machine" in why_not(ip_address(ip), everything, at_home=True)
    assert why_not(ip_address(ip), (), at_home=True)


def test_a_control_plane_that_only_its_own_machine_reaches_calls_agents_there():
    assert why_not(ip_address("127.0.0.1"), (), at_home=True) == ""
    assert "agent.advertise" in why_not(ip_address("127.0.0.1"), (), at_home=False)


def test_with_networks_nothing_outside_them_is_called():
    networks = networks_of(["10.1.0.0/16", "fd00::/8"])
    assert why_not(ip_address("10.1.2.3"), networks, at_home=True) == ""
    assert why_not(ip_address("fd00::1"), networks, at_home=True) == ""
    assert why_not(ip_address("::ffff:10.1.2.3"), networks, at_home=True) == ""
    for ip in ("10.2.2.3", "127.0.0.1", "::1", "203.0.113.9"):
        assert "none of the networks" in why_not(ip_address(ip), networks, at_home=True)


def test_grpc_is_told_an_address_and_no_name():
    assert target(ip_address("10.0.0.7"), 8470) == "ipv4:10.0.0.7:8470"
    assert target(ip_address("fd00::7"), 8470) == "ipv6:[fd00::7]:8470"


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("[::1]", True), ("localhost", True), (EVERY, False), ("10.0.0.1", False), ("h", False)],
)
def test_whether_a_host_is_the_machines_own(host, own):
    assert is_loopback(host) is own
