"""A real Prometheus and its promtool, as `scripts/prometheus` finds or fetches them."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]


def promtool(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs promtool, with `text` to read."""
    _unpacked()
    command = [ROOT / "scripts/prometheus", "promtool", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


@cache
def _unpacked() -> None:
    """Has the script fetch what it runs, which it tells, before what promtool says is looked at."""
    subprocess.run([ROOT / "scripts/prometheus", "promtool", "--version"], capture_output=True, timeout=120, check=True)


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[httpx.Client]:
    """Runs a Prometheus that scrapes `targets` every second, with the rules of deploy/; gives a client of its API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{ROOT}/deploy/prometheus/upriver.rules.yml']\n"
        "scrape_configs:\n- job_name: upriver\n"
        f"  static_configs: [{{targets: {list(targets)}, labels: {{region: default, tier: any}}}}]\n"
    )
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={address}"]
    command = [ROOT / "scripts/prometheus", "prometheus", *options, "--enable-feature=exemplar-storage"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1", trust_env=False, timeout=20) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def query(client: httpx.Client, expression: str) -> list[Any]:
    """What an expression gives now; waits until Prometheus answers at all."""
    for _ in range(200):
        try:
            answer = client.get("/query", params={"query": expression})
        except httpx.ConnectError:
            time.sleep(0.1)
            continue
        if answer.status_code == 503:
            time.sleep(0.1)
            continue
        found = answer.json()
        assert found["status"] == "success", f"{expression}: {found}"
        result: list[Any] = found["data"]["result"]
        return result
    raise AssertionError("Prometheus does not answer")
