"""Agents that know each other by certificate: whose envelope counts, and who is not let in at all."""

import sqlite3
from contextlib import closing

import grpc
import pytest

from tests.agent_process import mesh, running, until, write_config
from tests.certificates import make_certificates
from tests.integration.test_cascade import ask, facts, request
from tests.versions import make_version
from upriver.channels import ChannelOptions, TlsFiles, open_channel
from upriver.oip.v2 import inference_pb2 as pb

TIERS = ("device", "far-edge", "cloud")


def settings(certificates, mutual=True, hops=1):
    tls = f'[tls]\ncertificate = "{certificates}/agent.pem"\nkey = "{certificates}/agent.key"\n'
    tls += f'upstream_ca = "{certificates}/ca.pem"\n'
    if mutual:
        tls += f'client_ca = "{certificates}/ca.pem"\n'
        tls += f'upstream_certificate = "{certificates}/agent.pem"\nupstream_key = "{certificates}/agent.key"\n'
    return f"{tls}[cascade]\nmax_hops = {hops}\n[learning]\nholdout = 0.01\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, ["agent"])
    return folder


def shown(folder):
    return TlsFiles(folder / "ca.pem", folder / "agent.pem", folder / "agent.key")


def infer(agent, tls, message):
    with open_channel(agent.address, ChannelOptions(tls=tls)) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        return facts(call(message, timeout=20))


def lessons(folder):
    """How many an agent has kept."""
    with closing(sqlite3.connect(folder / "lessons.db")) as connection:
        return connection.execute("SELECT count(*) FROM lesson").fetchone()[0]


@pytest.mark.parametrize(("mutual", "path"), [(True, "device,far-edge"), (False, "device,far-edge,cloud")])
def test_an_envelope_counts_when_its_agent_showed_a_certificate(tmp_path, certificates, mutual, path):
    tiers = [(tier, tier, make_version(tmp_path, tier, 0.0 if tier == "cloud" else 2.0)) for tier in TIERS]
    with mesh(tmp_path, tiers, settings(certificates, mutual)) as agents:
        told = infer(agents["device"], shown(certificates), request())
        if not mutual:  # then they are answered above, by agents whose certificates were checked: these may teach
            for _ in range(3):
                infer(agents["device"], shown(certificates), request())
            until(lambda: lessons(tmp_path / "device") > 0, 20, "lessons")
    # One hop is allowed. The far edge only knows that it is used up when it believes the device.
    assert told["path"] == path
    assert told["reason"] == ("hops" if mutual else "confident")


def test_who_has_no_certificate_is_not_let_in(tmp_path, certificates):
    version = make_version(tmp_path, "1", 0.0)
    config = write_config(tmp_path, "strict", "device", ["device"], [version], settings(certificates))
    with running(config, "strict") as agent:
        with pytest.raises(grpc.RpcError) as refused:
            ask(agent, request(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as refused:
            infer(agent, TlsFiles(certificates / "ca.pem"), request())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert infer(agent, shown(certificates), request())["reason"] == "confident"
