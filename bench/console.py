"""`scripts/bench console`: how soon the console's pages are seen, and how soon a question is on them.

The demo's mesh runs meanwhile and is asked two questions a second. Pages are opened in a real Chromium, each time by a
browser that has seen none before; all on this machine.
"""

import argparse
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError
from rich.console import Console

from bench.targets import tell
from demo.asking import Asker, make_request, read
from demo.browser import Faults, browsing, open_page
from demo.control import ControlPlane
from demo.digits import Digits, DigitsMissing
from demo.processes import DemoFailed
from demo.watched import watched
from upriver.errors import UpriverError

PAGES: Final = {
    "questions": ("/questions", "main tr[data-key]"),
    "mesh": ("/mesh", "main svg [data-agent]"),
    "fleet": ("/fleet", "main tr[data-key]"),
    "models": ("/models", "main table tbody tr"),
    "learning": ("/learning", "main h2"),
}
"""Each with what makes it useful: its first data."""
PAINT_MS, LIVE_MS, RSS_MB = 1_500.0, 1_000.0, 250.0
_APART_MS: Final = 370.0
"""Between questions whose way to the page is timed: so that they meet every phase of what is sent at intervals."""
_NOTE_USEFUL: Final = """([selector]) => {
    const look = () => {
        if (window.usefulAt === undefined && document.querySelector(selector)) window.usefulAt = performance.now();
    };
    new MutationObserver(look).observe(document, {childList: true, subtree: true});
}"""
_NOTE_ROWS: Final = """() => {
    window.seenAt = {};
    const look = () => document.querySelectorAll("main tr[data-key]").forEach((row) => {
        const trace = row.dataset.key.split(" ")[0];
        window.seenAt[trace] ??= performance.timeOrigin + performance.now();
    });
    look();
    new MutationObserver(look).observe(document.querySelector("main"), {childList: true, subtree: true});
}"""


@dataclass(frozen=True, slots=True)
class Spread:
    """Times in milliseconds."""

    median: float
    p95: float
    most: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> "Spread":
        """Of at least one."""
        ordered = sorted(times_ms)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        return cls(round(statistics.median(ordered), 1), round(p95, 1), round(ordered[-1], 1))


@dataclass(frozen=True, slots=True)
class Results:
    """What came of it; `painted_ms` is the first contentful paint of a page, `useful_ms` its first data."""

    painted_ms: dict[str, Spread]
    useful_ms: dict[str, Spread]
    live_ms: Spread
    rss_mb: float
    faults: list[str]


def run(times: int, questions: int, console: Console) -> Results:
    """Opens each page so many times, and times so many questions to their page; raises what its parts raise."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        up = watched(Path(folder), stack, console, per_s=2.0)
        browser = stack.enter_context(browsing())
        faults = Faults()
        with console.status("opening pages"):
            opened = {name: [_open(browser, faults, up.control, name) for _ in range(times)] for name in PAGES}
        with console.status("asking"):
            live = _live(browser, faults, up.control, up.mesh.devices[0].address, up.digits, questions)
        return Results(
            painted_ms={name: Spread.of([painted for painted, _ in found]) for name, found in opened.items()},
            useful_ms={name: Spread.of([useful for _, useful in found]) for name, found in opened.items()},
            live_ms=Spread.of(live),
            rss_mb=round(_rss_mb(up.control.program.process.pid), 1),
            faults=faults.seen,
        )


def _open(browser: Browser, faults: Faults, control: ControlPlane, name: str) -> tuple[float, float]:
    """Opens a page with nothing cached; gives when something was painted and when its data were there, in ms."""
    path, useful = PAGES[name]
    with open_page(browser, faults, guarded=False) as page:
        page.request.get(control.login("/static/console.css"))  # the cookie alone
        page.add_init_script(f"({_NOTE_USEFUL})({json.dumps([useful])})")
        page.goto(control.console + path)
        page.wait_for_function("() => window.usefulAt !== undefined", timeout=60_000)
        painted = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        page.wait_for_function(painted, timeout=60_000)
        return float(page.evaluate(painted)), float(page.evaluate("() => window.usefulAt"))


def _live(
    browser: Browser, faults: Faults, control: ControlPlane, device: str, digits: Digits, questions: int
) -> list[float]:
    """From each answer until its row is on the page, in ms."""
    answered: dict[str, float] = {}
    with open_page(browser, faults, guarded=False) as page:
        page.goto(control.login("/questions"))
        page.locator("main tr[data-key]").first.wait_for(timeout=60_000)
        page.evaluate(_NOTE_ROWS)
        asker = Asker(device)
        for number in range(questions):
            at = number % len(digits)
            trace = secrets.token_hex(16)
            headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
            told = read(asker.ask(make_request(digits.images[at : at + 1]), headers), 0.0)
            answered[told.trace_id] = time.time() * 1000
            page.wait_for_timeout(_APART_MS)
        asker.close()
        page.wait_for_function(
            "traces => traces.every(trace => trace in window.seenAt)", arg=list(answered), timeout=60_000
        )
        seen: dict[str, float] = page.evaluate("() => window.seenAt")
    return [seen[trace] - at for trace, at in answered.items()]


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def main(arguments: Sequence[str]) -> int:
    """Runs the suite; gives 1 when a page did anything wrong, or the mesh could not be had."""
    parser = argparse.ArgumentParser(prog="scripts/bench console", description=__doc__)
    parser.add_argument("--times", type=int, default=5, metavar="N", help="how often each page is opened")
    parser.add_argument("--questions", type=int, default=40, metavar="N", help="how many are timed to their page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    options = parser.parse_args(arguments)
    if min(options.times, options.questions) < 1:
        parser.error("--times and --questions: expected 1 or more")
    console = Console()
    try:
        results = run(options.times, options.questions, console)
    except (BrowserError, DemoFailed, DigitsMissing, UpriverError) as error:
        console.print(f"[red]bench:[/red] {error}", highlight=False)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")
    _show(console, results)
    return 1 if results.faults else 0


def _show(console: Console, results: Results) -> None:
    for name in PAGES:
        painted, useful = results.painted_ms[name], results.useful_ms[name]
        told = f"{name:<10} painted {painted.median:.0f} ms (at most {painted.most:.0f}), useful {useful.median:.0f} ms"
        console.print(f"{told} (at most {useful.most:.0f})", highlight=False)
    slowest = max(spread.median for spread in results.useful_ms.values())
    tell(console, [("the slowest page's first data, median ms", slowest, PAINT_MS)], form=".0f")
    tell(console, [("a question on the page, p95 ms", results.live_ms.p95, LIVE_MS)], form=".0f")
    tell(console, [("RSS of the control plane, MB", results.rss_mb, RSS_MB)], form=".0f")
    console.print(f"live       {results.live_ms.median:.0f} ms in the median, at most {results.live_ms.most:.0f}")
    for fault in results.faults:
        console.print(f"[red]bench:[/red] {fault}", highlight=False)
