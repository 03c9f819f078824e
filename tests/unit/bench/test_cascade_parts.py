"""The cascade benchmark's parts: models that are never sure, the time of a decision, how it is all told."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.always_up import unsure
from bench.cascade import Figures, Measured, decision_us, show
from demo.calibrating import Certified
from demo.control import MODELS
from demo.digits import Digits
from demo.mesh import TIERS
from demo.processes import DemoFailed
from demo.tally import Tally, Told
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver_agent.versions import open_version

FIGURES = Figures(0.95, 0.005, 0.004, 0.04, 0.3, 0.8, 11.0)


def tally(tier: str, count: int, bytes_up: int) -> Tally:
    made = Tally(900)
    path = tuple(f"{name}-1" for name in TIERS[: TIERS.index(tier) + 1])
    for number in range(count):
        made.add(Told("1", tier, "v", path, True, False, "confident", "", bytes_up, 2.0), "1", number, number)
    return made


def test_a_model_of_the_baseline_is_never_sure(tmp_path: Path) -> None:
    copy = unsure(MODELS / "device", tmp_path / "copy")
    assert open_version(copy, tmp_path / "state").manifest.policy.threshold == float("inf")
    assert (MODELS / "device" / "manifest.toml").read_text() != (copy / "manifest.toml").read_text()
    (copy / "manifest.toml").write_text("")
    with pytest.raises(DemoFailed, match="0 thresholds"):
        unsure(copy, tmp_path / "again")


def test_the_time_of_a_decision_is_of_score_and_comparison(tmp_path: Path) -> None:
    digits = Digits(np.zeros((3, 28, 28, 1), np.uint8), np.zeros(3, np.int64))
    document = PolicyDocument(f"sha256:{1:064x}", ScoreKind.MARGIN, 0.5)
    assert 0.0 < decision_us(document, digits, tmp_path) < 1e5


def test_audits_count_against_the_baseline_that_compresses_too(tmp_path: Path) -> None:
    certified = Certified({}, 0.005, 0.95, 5000, 16, 0.96, 0.9, 1.0)
    measured = Measured(certified, tally("far-edge", 10, 300), tally("cloud", 10, 3000), 500.0, 100.0, 720.0)
    assert measured.packed_ratio == pytest.approx(0.5)
    out = io.StringIO()
    show(FIGURES, measured, Console(file=out, width=150))
    told = out.getvalue()
    assert "mean latency / everything to the top: 0.3 (target at most 0.25): MISSED by 20%" in told
    assert "local share: 0.950 (target at least 0.94): met" in told
    assert "compresses too: 0.500" in told
