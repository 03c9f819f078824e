"""What `scripts/screenshots` does, on the tests' own mesh."""

from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from demo.browser import WIDE
from demo.screenshots import take
from tests.console_mesh import ConsoleMesh
from upriver_control.cli.connection import Connection


def test_pictures_of_the_console_are_taken_without_any_fault_of_a_page(
    browser: Browser, mesh: ConsoleMesh, tmp_path: Path
) -> None:
    with Connection(mesh.plane.address, mesh.plane.state / "operator-token") as connection:
        sizes, faults = take(browser, mesh.login, connection, tmp_path)
    assert faults == []
    assert set(sizes) == {"questions.png", "inspector.png", "mesh.png"}
    for name, size in sizes.items():
        assert 5_000 < size < 200_000, name
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (WIDE["width"], WIDE["height"])
            assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20) or ()) > 8, f"{name} is blank"
