"""Where blobs and lessons may be kept: a folder, another file system of fsspec's, and S3's protocol.

The last where moto is installed, whose server speaks it.
"""

import contextlib
import socket
import subprocess
import sys
import uuid
from importlib.util import find_spec

import fsspec
import pytest

from tests.agent_process import until

HERE = ["folder", "memory", *(["s3"] if find_spec("moto") and find_spec("s3fs") else [])]


@pytest.fixture(scope="module")
def s3():
    """The address of a server of S3's protocol, a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port), 60, "the S3 server")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(60)


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture(params=HERE)
def url(request, tmp_path, monkeypatch):
    if request.param == "s3":
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(variable, "test")
        monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": request.getfixturevalue("s3")})
        bucket = f"s3://bucket-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        return f"{bucket}/artifacts"
    return str(tmp_path / "artifacts") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
