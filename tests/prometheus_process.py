"""A real Prometheus and its promtool, as `scripts/prometheus` finds or fetches them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def promtool(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs promtool, with `text` to read."""
    command = [ROOT / "scripts/prometheus", "promtool", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
