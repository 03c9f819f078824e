"""Both clients of the benchmark load a real server, and tell when its answers are not what they must be."""

import shutil
import sys

import pytest

from bench.cases import answer, free_port, request
from bench.load import LoadFailed, framed, load
from bench.servers import Server
from upriver.oip.v2 import inference_pb2 as pb


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    reply = pb.ModelInferResponse(model_name="s", raw_output_contents=[b"0123456789"])
    (folder / "answer").write_bytes(reply.SerializeToString())
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "bench.echo_server", address.rpartition(":")[2], str(folder / "answer")]
    server = Server("echo", command, folder / "log")
    try:
        server.wait(lambda: answer(address, request()) is not None)
        yield server, address, len(reply.SerializeToString()) + 5
    finally:
        server.stop()


@pytest.fixture(params=["h2load", "grpcio"])
def client(request, monkeypatch, tmp_path):
    if request.param == "h2load" and shutil.which("h2load") is None:
        pytest.skip("h2load is not installed")
    if request.param == "grpcio":
        monkeypatch.setenv("PATH", str(tmp_path))
    return request.param


def test_a_load_is_measured(echo, client):
    server, address, answer_bytes = echo
    before = server.cpu_s()
    seen = load(address, framed(request().SerializeToString()), 300, 4, answer_bytes)
    assert seen.requests == 300
    assert 0 < seen.p50_us <= seen.p99_us
    assert seen.per_second > 0
    assert server.cpu_s() > before
    assert server.rss_mb() > 10


def test_wrong_answers_are_told(echo, client):
    _, address, answer_bytes = echo
    with pytest.raises(LoadFailed, match="bytes of answers"):
        load(address, framed(request().SerializeToString()), 20, 4, answer_bytes + 1)


def test_a_server_that_is_gone_is_told(client):
    with pytest.raises(LoadFailed):
        load(f"127.0.0.1:{free_port()}", framed(request().SerializeToString()), 5, 1, 10)
