"""What importing a part must not bring along: the agent's memory and cold start are budgeted."""

import subprocess
import sys

import pytest

# Each with the reason why it stays out.
HEAVY = {
    "PIL": "only models that take encoded images need it (the extra images)",
    "backports.zstd": "only an agent that is sent models makes files of deltas, and imports it there",
    "cryptography": "checks signatures; an agent that is sent no models has none to check",
    "httpx": "only discovery through Consul needs it, and imports it there",
    "opentelemetry.sdk": "a third of a second of import; export is set up after the agent answers",
    "rich": "for people at terminals (the extra cli)",
    "tensorflow": "trains models, never runs on a device (the extra train)",
    "tuf": "12 MB of memory, needed when a version is looked up (the extra fleet)",
    "typer": "for people at terminals (the extra cli)",
}
NOT_SERVED = {
    "nicegui": "1 s of import, for the pages in a browser; brought when the control plane serves, where they are on",
    "pyarrow": "44 MB, for control planes that have lessons; imported where they are read and written",
    "scipy": "60 MB, for calibrations, which run in processes of their own",
    "sklearn": "for calibrations too",
    "tensorflow": HEAVY["tensorflow"],
}
LIGHT = {
    "upriver_agent.app": HEAVY,
    "upriver_agent.__main__": HEAVY,
    "upriver_agent.trust.trust": HEAVY,
    "upriver": HEAVY | {"ai_edge_litert": "a client runs no models"},
    "upriver_control.app": NOT_SERVED,
}


@pytest.mark.parametrize("module", LIGHT)
def test_importing_brings_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not LIGHT[module].keys() & set(loaded.stdout.split())


OPTIONAL = ("convert.tensorflow_models", "training.fine_tuning", "training.on_ray")
"""They import TensorFlow, of the `train` extra, which prints, or Ray, which nothing requires."""


@pytest.mark.parametrize("package", ["upriver", "upriver_agent", "upriver_control"])
def test_importing_every_module_starts_and_prints_nothing(package: str) -> None:
    program = f"""
import importlib, pkgutil, threading
import {package}
for module in pkgutil.walk_packages({package}.__path__, "{package}."):
    if not module.name.endswith(("__main__", *{OPTIONAL})):
        importlib.import_module(module.name)
extra = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
assert not extra, extra
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
