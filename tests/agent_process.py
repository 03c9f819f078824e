"""Agents as processes for the tests: started with a configuration, waited for, ended by pid."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass
class AgentProcess:
    """One agent process."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path
    config: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(60)

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def write_config(
    folder: Path,
    name: str,
    tier: str,
    tiers: Sequence[str],
    models: Sequence[Path],
    more: str = "",
    upstreams: Sequence[AgentProcess] = (),
    listen: str = "127.0.0.1:0",
    agent: str = "",
) -> Path:
    """Writes an agent's configuration file; `agent` are further lines of [agent], `more` is appended."""
    lines = [
        "[agent]", f'id = "{name}"', f'tier = "{tier}"', f"tiers = {json.dumps(list(tiers))}",
        f'listen = "{listen}"', f'state_dir = "{folder / name}"', agent,
        "[discovery]", 'kind = "static"',
    ]  # fmt: skip
    if "[discovery" in more:
        lines = lines[:-2]
    for upstream in upstreams:
        upstream_tier = upstream.extra["tier"]
        lines += ["[[discovery.static]]", f'id = "{upstream.name}"', f'address = "{upstream.address}"',
                  f'tier = "{upstream_tier}"']  # fmt: skip
    for model in models:
        lines += ["[[models]]", f'path = "{model}"']
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines) + "\n" + more)
    return path


PROGRAM = ("-m", "upriver_agent")


def spawn(config: Path, program: Sequence[str] = PROGRAM) -> subprocess.Popen[bytes]:
    """Starts an agent and does not wait for it; `program` are the interpreter's arguments."""
    ready = config.with_suffix(".ready")
    ready.unlink(missing_ok=True)
    with config.with_suffix(".log").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *program, "--config", str(config), "--ready-file", str(ready)],
            stdout=out,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def running(config: Path, name: str, tier: str = "", program: Sequence[str] = PROGRAM) -> Iterator[AgentProcess]:
    """An agent that serves; killed at the end if it still runs."""
    ready, log = config.with_suffix(".ready"), config.with_suffix(".log")
    process = spawn(config, program)
    try:
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"agent {name} did not start:\n{log.read_text()}")
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        facts = json.loads(ready.read_text())
        yield AgentProcess(name, facts["address"], process, log, config, {"tier": tier})
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


TRUSTING = '[cascade]\ntrust = "network"\n'


@contextmanager
def mesh(
    folder: Path, tiers: Sequence[tuple[str, str, Path]], more: str = TRUSTING
) -> Iterator[dict[str, AgentProcess]]:
    """Agents (name, tier, model), lowest first; each knows all that are above it."""
    ladder = list(dict.fromkeys(tier for _, tier, _ in tiers))
    with ExitStack() as stack:
        started: dict[str, AgentProcess] = {}
        for name, tier, model in reversed(tiers):
            above = [other for other in started.values() if ladder.index(other.extra["tier"]) > ladder.index(tier)]
            config = write_config(folder, name, tier, ladder, [model], more, above)
            started[name] = stack.enter_context(running(config, name, tier))
        yield {name: started[name] for name, _, _ in tiers}


def until(condition, timeout_s: float = 60.0, what: str = "the condition"):
    """Waits until a condition holds, looking every 10 ms; gives its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.01)
