"""`scripts/screenshots`: pictures of the console for the README, of the demo's mesh while it is asked."""

import argparse
import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page
from rich.console import Console

from demo.asking import ask_all, make_request
from demo.browser import WIDE, Faults, browsing, open_page
from demo.control import ControlPlane
from demo.digits import Digits, DigitsMissing, load_test, load_unseen
from demo.mesh import TIERS, Mesh, MeshOptions
from demo.processes import DemoFailed
from demo.provisioning import found, provision
from demo.run import APART_MS, SAMPLE_RATE
from demo.tally import Tally
from demo.traffic import Traffic
from upriver.errors import UpriverError
from upriver.v1 import question_pb2 as pb
from upriver_control.cli.connection import Connection

IMAGES: Final = Path(__file__).parents[1] / "docs/images"
_QUESTIONS: Final = pb.DESCRIPTOR.services_by_name["QuestionService"]
_COLOURS: Final = 64
_ASKED: Final = 2_000
_LIVE_S: Final = 25.0
_WAIT_MS: Final = 60_000


def main() -> int:
    """Takes them; gives the exit status: 1 when a page did anything wrong."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=IMAGES, metavar="FOLDER", help="where they go; docs/images")
    arguments = parser.parse_args()
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="upriver-screenshots-") as folder, ExitStack() as stack:
            control = _meshed(Path(folder), stack, console)
            browser = stack.enter_context(browsing())
            taken, faults = take(browser, control.login, control.connection, arguments.into)
    except (DemoFailed, DigitsMissing, UpriverError) as error:
        console.print(f"[red]screenshots:[/red] {error}", highlight=False)
        return 1
    for name, size in taken.items():
        console.print(f"{arguments.into / name}: {size / 1000:.0f} KB", highlight=False, soft_wrap=True)
    for fault in faults:
        console.print(f"[red]screenshots:[/red] {fault}", highlight=False, markup=True, soft_wrap=True)
    return 1 if faults else 0


def take(
    browser: Browser, login: Callable[[str], str], connection: Connection, folder: Path
) -> tuple[Mapping[str, int], list[str]]:
    """Takes a picture of each page into a folder; gives their names and sizes, and what pages did wrong.

    `login` makes a link that logs in and shows a page. The question that is looked into is the newest that went
    through most agents; one must be kept.
    """
    trace = _interesting(connection)
    pages = {
        "questions.png": ("/questions", f'main [data-key^="{trace}"]'),
        "inspector.png": (f"/questions/{trace}", "main svg"),
        "mesh.png": ("/mesh", "main svg [data-agent]"),
    }
    faults = Faults()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {}
    with open_page(browser, faults, viewport=WIDE) as page:
        page.set_default_timeout(_WAIT_MS)
        for name, (path, drawn) in pages.items():
            page.goto(login(path))
            page.locator(drawn).locator("visible=true").first.wait_for()
            sizes[name] = _save(page, folder / name)
    return sizes, faults.seen


def _save(page: Page, file: Path) -> int:
    """Saves what is to be seen as a compact picture, and gives its size in bytes."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    return file.stat().st_size


def _interesting(connection: Connection) -> str:
    request = pb.ListQuestionsRequest(filter=pb.QuestionFilter(every_hop=True))
    hops: dict[str, int] = {}
    for page in connection.pages(_QUESTIONS, "ListQuestions", request, "questions", 1_000):
        for question in page.questions:
            hops[question.trace] = hops.get(question.trace, 0) + 1
    if not hops:
        raise DemoFailed("no question is kept, so there is nothing to take a picture of")
    return max(hops, key=lambda trace: hops[trace])  # of several the newest: they are listed newest first


def _meshed(folder: Path, stack: ExitStack, console: Console) -> ControlPlane:
    """The demo's mesh, provisioned, and asked for a while."""
    digits, unseen = load_test().part(0, _ASKED), load_unseen()
    control = ControlPlane(folder, console=True)
    stack.callback(control.stop)
    control.wait_ready()
    mesh = Mesh(folder, MeshOptions(control.join, APART_MS, SAMPLE_RATE))
    stack.callback(mesh.stop)
    provision(mesh, control, unseen, dict(zip(TIERS[1:], APART_MS, strict=True)), False, console)
    found(mesh, digits)
    devices = [device.address for device in mesh.devices]
    with console.status("asking"):
        _ask(devices, digits)
        traffic = Traffic(devices, digits, 10.0)
        traffic.start()
        stack.callback(traffic.stop)
        time.sleep(_LIVE_S)  # rates are told every 15 s
    return control


def _ask(devices: list[str], digits: Digits) -> None:
    tally = Tally(request_bytes=make_request(digits.images[:1]).ByteSize())
    ask_all(devices, digits, tally, threading.Event(), lambda: None, lambda number: number < len(digits))


if __name__ == "__main__":
    sys.exit(main())
