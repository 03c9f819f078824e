"""Policies in a browser: what a calibration came to, and what another target would have given."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from demo.browser import PHONE
from tests.browser import barriers, overflow, page_of
from tests.console_mesh import MODEL, ConsoleMesh
from tests.policy_commands import policy_json

ROWS = 700


@pytest.fixture(scope="module")
def calibration(mesh: ConsoleMesh, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A calibration of two tiers whose versions always agree."""
    folder: Path = tmp_path_factory.mktemp("questions")
    images = np.random.default_rng(7).random((ROWS, 14, 14, 1), np.float32)
    np.savez(folder / "holdout.npz", image=images)
    tiers = ("--tier", "device=device-1", "--tier", "cloud=cloud-1")
    return policy_json(mesh.plane, "calibrate", MODEL, "--data", str(folder), "--max-loss", "1%", *tiers)


def test_what_is_certified_is_told_and_drawn(browser: Browser, mesh: ConsoleMesh, calibration: Any) -> None:
    name, result = calibration["name"].rpartition("/")[2], calibration["result"]
    with page_of(browser, "dark") as (page, _):
        page.goto(mesh.login("/policies"))
        page.get_by_role("link", name=name).press("Enter")
        page.get_by_text(f"At most {100 * result['certified_loss']:.3g} % lost with 95 % confidence.").wait_for()
        page.get_by_role("img", name="ways of answering").locator("visible=true").wait_for()
        page.get_by_text("Monitors by agent").wait_for()
        assert barriers(page) == []
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(PHONE)
        page.get_by_role("img", name="ways of answering").locator("visible=true").wait_for()
        assert barriers(page) == []
        assert overflow(page) == 0


def test_the_slider_says_what_the_service_found_and_stays_in_the_address(
    browser: Browser, mesh: ConsoleMesh, calibration: Any
) -> None:
    found = calibration["result"]["what_if"]
    with page_of(browser) as (page, _):
        page.goto(mesh.login(f"/policies/{MODEL}"))
        slider = page.get_by_role("slider")
        slider.press("End")
        last = found[-1]
        words = f"If {100 * last['max_loss']:g} % may be lost: {100 * last['local_share']:.3g} % would be answered"
        page.get_by_text(words).wait_for()
        slider.press("Home")
        page.get_by_text(f"If {100 * found[0]['max_loss']:g} % may be lost").wait_for()
        page.wait_for_url("**what_if=0")
        page.reload()
        page.get_by_text(f"If {100 * found[0]['max_loss']:g} % may be lost").wait_for()
        assert json.loads(page.get_by_role("slider").input_value()) == 0
