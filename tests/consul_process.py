"""A real Consul for the tests."""

import os
from contextlib import contextmanager

import pytest

from demo.consul import ConsulProcess
from demo.processes import DemoFailed


@contextmanager
def real_consul(folder, settings=""):
    """A Consul that runs; skips where none is to be had, and fails instead where UPRIVER_REQUIRE_REAL=1."""
    try:
        process = ConsulProcess(folder, settings)
    except DemoFailed as missing:
        (pytest.fail if os.environ.get("UPRIVER_REQUIRE_REAL") == "1" else pytest.skip)(str(missing))
    try:
        process.start()
        yield process
    finally:
        process.kill()
