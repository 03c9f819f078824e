"""Mutual TLS between clients and a real agent: who is let in, who is not, and what is said about it."""

import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest

import upriver
from tests.agent_process import running, write_config
from tests.certificates import make_certificates
from tests.versions import make_version

IMAGE = np.zeros((14, 14, 1), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tls")
    make_certificates(made, ("agent", "caller"))
    make_certificates(made, ("stranger",), authority="other")
    return made


@pytest.fixture(scope="module")
def address(folder):
    tls = f'[tls]\ncertificate = "{folder}/agent.pem"\nkey = "{folder}/agent.key"\nclient_ca = "{folder}/ca.pem"\n'
    config = write_config(folder, "one", "device", ["device"], [make_version(folder, "1", 0.0)], tls)
    with running(config, "one") as agent:
        yield agent.address


@pytest.fixture
def files(folder):
    return upriver.TlsFiles(folder / "ca.pem", folder / "caller.pem", folder / "caller.key")


def test_a_caller_with_a_certificate_is_answered(address, files):
    with upriver.Client(address, tls=files) as client:
        assert client.ready()
        assert client.infer("pattern", IMAGE).agent == "one"
        assert [answer.agent for answer in client.stream("pattern", [IMAGE] * 3)] == ["one"] * 3


def test_asyncio_is_answered_as_well(address, files):
    async def ask():
        async with upriver.AsyncClient(address, tls=files) as client:
            answers = [await client.infer("pattern", IMAGE)]
            return answers + [answer async for answer in client.stream("pattern", [IMAGE] * 3)]

    assert [answer.agent for answer in asyncio.run(ask())] == ["one"] * 4


@pytest.mark.parametrize(
    "names",
    [
        {"ca": "ca.pem"},
        {"ca": "other.pem", "certificate": "caller.pem", "key": "caller.key"},
        {"ca": "ca.pem", "certificate": "stranger.pem", "key": "stranger.key"},
        {},
        None,
    ],
    ids=["no certificate", "another authority", "a stranger", "the system's authorities", "plain text"],
)
def test_whoever_lacks_the_right_files_reaches_nobody(address, folder, names):
    tls = None if names is None else upriver.TlsFiles(**{what: folder / name for what, name in names.items()})
    with upriver.Client(address, tls=tls, timeout=10, retries=0) as client:
        with pytest.raises(upriver.Unreachable, match=address):
            client.infer("pattern", IMAGE)
        assert not client.ready()


def test_the_name_in_the_certificate_counts(address, folder, files):
    named = upriver.TlsFiles(files.ca, files.certificate, files.key, server_name="localhost")
    with upriver.Client(address, tls=named) as client:
        assert client.infer("pattern", IMAGE).agent == "one"
    misnamed = upriver.TlsFiles(files.ca, files.certificate, files.key, server_name="elsewhere.example")
    with upriver.Client(address, tls=misnamed, retries=0) as client, pytest.raises(upriver.Unreachable):
        client.infer("pattern", IMAGE)


def test_files_that_are_no_use_are_told_all_at_once(address, folder):
    files = upriver.TlsFiles(folder / "missing.pem", folder / "caller.pem")
    with upriver.Client(address, tls=files) as client, pytest.raises(upriver.ConfigError) as told:
        client.infer("pattern", IMAGE)
    assert len(told.value.problems) == 2
    assert "missing.pem" in str(told.value)


def test_the_command_line_takes_the_same_files(address, folder):
    np.save(folder / "image.npy", IMAGE)
    secured = ["--ca", "ca.pem", "--certificate", "caller.pem", "--key", "caller.key"]
    command = [sys.executable, "-c", "from upriver.cli.main import main; main()", "infer", "pattern", "image.npy"]
    done = subprocess.run(
        [*command, "--agent", address, "--json", *secured],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert (answer["file"], answer["agent"]) == ("image.npy", "one")
