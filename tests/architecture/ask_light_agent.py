"""Run by scripts/light-agent with the Python of a venv that holds the wheel's `agent` extra and nothing else.

Starts an agent as a process, asks it one question through a bare gRPC channel, ends it by its pid and prints what it
saw. Arguments: the .tflite file to serve and a folder to work in.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np

from upriver.oip.v2 import inference_pb2 as pb

START_S = 30.0
MANIFEST = """
format = 1
model = "light"
version = "1"
[task]
kind = "classify"
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[[canonical]]
name = "image"
datatype = "FP32"
shape = [14, 14, 1]
[[inputs]]
tensor = "image"
from = "image"
[outputs]
scores = "probabilities"
scores_are = "probabilities"
[policy]
score = "max_probability"
threshold = 0.0
"""
CONFIG = """
[agent]
id = "light-1"
tier = "device"
listen = "127.0.0.1:0"
state_dir = "state"
[[models]]
path = "model"
"""


def main() -> int:
    """Gives 0 when the agent answered and ended as it should."""
    model, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    (folder / "model").mkdir()
    shutil.copy(model, folder / "model/model.tflite")
    (folder / "model/manifest.toml").write_text(MANIFEST)
    (folder / "agent.toml").write_text(CONFIG)
    ready = folder / "ready.json"
    started = time.monotonic()
    agent = subprocess.Popen(
        [sys.executable, "-m", "upriver_agent", "--config", folder / "agent.toml", "--ready-file", ready], cwd=folder
    )
    try:
        while not ready.exists():
            if agent.poll() is not None or time.monotonic() - started > START_S:
                print(f"light-agent: the agent was not ready after {time.monotonic() - started:.1f} s", file=sys.stderr)
                return 1
            time.sleep(0.01)
        ask(json.loads(ready.read_text())["address"], started)
        print(f"light-agent: {resident(agent.pid)}")
        agent.send_signal(signal.SIGTERM)
        return agent.wait(START_S)
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()


def ask(address: str, started: float) -> None:
    """Asks one question; raises when the answer is no probability per label."""
    request = pb.ModelInferRequest(model_name="light", raw_input_contents=[bytes(14 * 14 * 4)])
    request.inputs.add(name="image", datatype="FP32", shape=[1, 14, 14, 1])
    with grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        answer = infer(request, timeout=START_S)
    after_s = time.monotonic() - started
    raw = answer.raw_output_contents[[output.name for output in answer.outputs].index("probabilities")]
    probabilities = np.frombuffer(raw, np.float32)
    if probabilities.shape != (10,) or abs(float(probabilities.sum()) - 1.0) > 1e-3:
        raise SystemExit(f"light-agent: expected 10 probabilities, got {probabilities}")
    print(f"light-agent: answered {after_s:.2f} s after its start")


def resident(pid: int) -> str:
    """The process's resident memory, for people to read."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
    return f"resident memory {kib * 1024 / 1e6:.0f} MB" if kib else "resident memory unknown on this system"


if __name__ == "__main__":
    sys.exit(main())
