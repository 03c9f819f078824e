"""What a control plane takes with its console, a hundred agents, and a browser that looks at all of them."""

import random
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.agent_process import until
from tests.browser import page_of
from tests.control_plane_process import control_plane
from tests.simulated_agents import SimulatedAgent, simulated
from upriver.v1 import sync_pb2

AGENTS = 100
MOST_MB = 250.0
WAIT_MS = 60_000


class Busy(SimulatedAgent):
    """An agent whose load is another one in each report, so that there is always news."""

    def _status(self) -> sync_pb2.Status:
        status = super()._status()
        status.load = random.random()  # noqa: S311 - no secret
        return status


def resident_mb(pid: int) -> float:
    """Memory of a process, in 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6


def test_a_hundred_agents_and_a_browser_are_within_what_a_small_machine_has(browser: Browser, tmp_path: Path) -> None:
    with control_plane(tmp_path / "control", '[console]\nlisten = "127.0.0.1:0"\n') as plane:
        assert plane.process is not None
        token = plane.join.partition("://")[2].partition("@")[0]
        names = [f"agent-{number}" for number in range(AGENTS)]
        with simulated(names, [plane.address], token, Busy), page_of(browser) as (page, _), plane.stubs() as operator:
            until(lambda: sum(agent.connected for agent in operator.agents().values()) == AGENTS, what="all to join")
            page.goto(f"{plane.console}/login?token={plane.token}&next=/mesh")
            expect(page.locator("tr[data-key]")).to_have_count(AGENTS, timeout=WAIT_MS)
            before = page.locator("tr[data-key='agent-0'] .number").first.inner_text()
            other = page.locator("tr[data-key='agent-0'] .number").first
            expect(other).not_to_have_text(before, timeout=WAIT_MS)
            assert resident_mb(plane.process.pid) <= MOST_MB
