"""The benchmark of outages breaks real agents, and finds that their callers were answered."""

import json

import pytest

from bench import outage
from demo.digits import DigitsMissing, load_test


@pytest.fixture(scope="module", autouse=True)
def _digits():
    try:
        load_test()
    except DigitsMissing as missing:
        pytest.skip(str(missing))


def test_every_question_is_answered_while_upper_tiers_are_frozen(tmp_path):
    told = tmp_path / "outage.json"
    sizes = ["--seconds", "3", "--per-second", "20", "--deadline", "5"]
    assert outage.main([*sizes, "--faults", "frozen", "--json", str(told)]) == 0
    figures = json.loads(told.read_text())["frozen"]
    assert figures["answered"] > 20
    assert (figures["failed"], figures["late"], figures["tickets_lost"]) == (0, 0, 0)
    assert figures["p99_ms"] > 0
