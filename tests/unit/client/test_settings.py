"""What clients and channels are made with is checked at once, and everything wrong is told together."""

import math
import subprocess
import sys

import grpc
import pytest

import upriver
from upriver.channels import ChannelOptions, TlsFiles, channel_arguments, credentials
from upriver.contracts import MAX_MODELS, Contracts
from upriver.errors import ConfigError
from upriver.settings import make_settings


@pytest.mark.parametrize("address", ["127.0.0.1:8470", "[::1]:8470", "far-1.example:8470", "dns:///x:1", "unix:/run/a"])
def test_addresses_that_grpc_knows_are_taken(address):
    assert make_settings(address, None, 1.0, 0, 1).addresses == (address,)


def test_everything_that_is_wrong_is_told_together():
    with pytest.raises(ConfigError) as raised:
        make_settings(["here", "127.0.0.1:1", "a b:1"], None, 0.0, -1, 1)
    assert len(raised.value.problems) == 4
    with pytest.raises(ConfigError, match="no address"):
        make_settings([], None, math.inf, 0, 1)


def test_an_address_that_is_given_twice_is_asked_once():
    assert make_settings(["a:1", "b:1", "a:1"], None, 1.0, 0, 1).addresses == ("a:1", "b:1")


def test_tls_files_that_are_missing_are_named(tmp_path):
    present = tmp_path / "present.pem"
    present.write_text("pem")
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        credentials(TlsFiles(ca=tmp_path / "absent.pem"))
    with pytest.raises(ConfigError, match="go together"):
        credentials(TlsFiles(certificate=present))
    assert isinstance(credentials(TlsFiles()), grpc.ChannelCredentials)


def test_channels_are_bounded_and_kept_alive():
    arguments = dict(channel_arguments(ChannelOptions(max_message_bytes=7, tls=TlsFiles(server_name="n"))))
    assert arguments["grpc.max_receive_message_length"] == arguments["grpc.max_send_message_length"] == 7
    assert arguments["grpc.keepalive_time_ms"] == 30_000
    assert arguments["grpc.ssl_target_name_override"] == "n"


def test_contracts_are_remembered_up_to_a_bound():
    metadata = upriver.ModelMetadata("m", (), "", (), ())
    contracts = Contracts()
    for number in range(MAX_MODELS + 1):
        contracts.put(f"m{number}", "", metadata)
    assert contracts.get("m0", "") is None
    assert contracts.get(f"m{MAX_MODELS}", "") is metadata
    contracts.drop(f"m{MAX_MODELS}", "")
    assert contracts.get(f"m{MAX_MODELS}", "") is None


def test_every_public_name_is_there_and_loaded_only_when_used():
    for name in upriver.__all__:
        assert getattr(upriver, name).__name__ == name
        assert name in dir(upriver)
    with pytest.raises(AttributeError, match="Nonesuch"):
        _ = upriver.Nonesuch
    program = "import sys, upriver; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"grpc", "numpy", "google.protobuf"} & set(run.stdout.split())
