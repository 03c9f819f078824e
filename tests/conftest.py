"""With UPRIVER_REQUIRE_REAL=1, as continuous integration sets it, a test that needs a real part may not be skipped."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: an example may take long, and drawing one too.
settings.register_profile("upriver", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("upriver")

REAL = ("real_browser", "real_consul", "real_postgresql")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    needs = [name for name in REAL if item.get_closest_marker(name)]
    if report.skipped and needs and os.environ.get("UPRIVER_REQUIRE_REAL") == "1":
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped ({why}), but UPRIVER_REQUIRE_REAL=1 requires {', '.join(needs)}"
    return report
