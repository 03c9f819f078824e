"""What the process that trains is given, and what it says: files and JSON between the two."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upriver_control.documents import from_document, to_document
from upriver_control.jobs.training import TrainResult, TrainSpec

ORDER: Final = "order.json"
RESULT: Final = "result.json"
BASE: Final = "base"
SOURCE: Final = "source.keras"
REPLAY: Final = "replay"
LESSONS: Final = "lessons"
MADE: Final = "made"
VERSION: Final = "version"
MADE_LESSONS: Final = "lessons.parquet"
HOLDOUT: Final = "holdout"


@dataclass(frozen=True, slots=True)
class Order:
    """A training to work on, in `folder`: `base/` has the version's files, `source.keras` its Keras model if there is
    one, `replay` a questions file if there is one, `lessons/` Parquet files with a column `region`.

    `lessons_url` is where a Ray cluster reads the same lessons; `prefix` is what the new version's name begins with.
    All files in `folder` may take at most `disk_mib`, the process `memory_mib`.
    """

    spec: TrainSpec
    folder: str
    prefix: str
    lessons_url: str = ""
    memory_mib: int = 16_384
    disk_mib: int = 16_384

    def path(self, *names: str) -> Path:
        """A path in the folder."""
        return Path(self.folder, *names)

    @property
    def made(self) -> Path:
        """Where what comes out goes: `version/`, `source.keras`, `lessons.parquet`, `holdout` and the result."""
        return self.path(MADE)


def write_order(order: Order) -> Path:
    """Writes an order into its folder and gives its path."""
    path = order.path(ORDER)
    path.write_text(json.dumps(to_document(order)))
    return path


def read_order(path: Path) -> Order:
    """Reads an order."""
    return from_document(Order, json.loads(path.read_text()))


def write_result(result: TrainResult, folder: Path) -> None:
    """Writes what came out."""
    (folder / RESULT).write_text(json.dumps(to_document(result)))


def read_result(text: str) -> TrainResult:
    """Reads what came out."""
    return from_document(TrainResult, json.loads(text))
