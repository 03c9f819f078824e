"""`scripts/screenshots`: pictures of the console for the README, of the demo's mesh while it is asked."""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as BrowserError
from rich.console import Console

from demo.browser import WIDE, Faults, browsing, open_page
from demo.digits import DigitsMissing
from demo.processes import DemoFailed
from demo.watched import watched
from upriver.errors import UpriverError
from upriver.v1 import question_pb2 as pb
from upriver_control.cli.connection import Connection

IMAGES: Final = Path(__file__).parents[1] / "docs/images"
_QUESTIONS: Final = pb.DESCRIPTOR.services_by_name["QuestionService"]
_COLOURS: Final = 256
_WAIT_MS: Final = 60_000


def main() -> int:
    """Takes them; gives the exit status: 1 when a page did anything wrong."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=IMAGES, metavar="FOLDER", help="where they go; docs/images")
    arguments = parser.parse_args()
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="upriver-screenshots-") as folder, ExitStack() as stack:
            control = watched(Path(folder), stack, console, per_s=10.0).control
            browser = stack.enter_context(browsing())
            taken, faults = take(browser, control.login, control.connection, arguments.into)
    except (BrowserError, DemoFailed, DigitsMissing, UpriverError) as error:
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
    through most agents, and through each once, of those of which none was asked beside a late one; one must be kept.
    """
    trace = _interesting(connection)
    pages = {
        "questions.png": ("/questions", "main tr[data-key]"),
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
    agents: dict[str, list[str]] = {}
    hedged: set[str] = set()
    for page in connection.pages(_QUESTIONS, "ListQuestions", request, "questions", 1_000):
        for question in page.questions:
            agents.setdefault(question.trace, []).append(question.agent)
            if pb.QUESTION_FLAG_HEDGED in question.flags:
                hedged.add(question.trace)
    if not agents:
        raise DemoFailed("no question is kept, so there is nothing to take a picture of")
    # Of several the newest, as they are listed newest first.
    return max(agents, key=lambda trace: (trace not in hedged, len(set(agents[trace])), -len(agents[trace])))


if __name__ == "__main__":
    sys.exit(main())
