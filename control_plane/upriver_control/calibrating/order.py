"""What the process that works on a calibration is given, and what it says: files and JSON between the two."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from upriver_control.documents import from_document, to_document
from upriver_control.jobs import Result, Spec

ORDER: Final = "order.json"
QUESTIONS: Final = "questions"
RESULT: Final = "result.json"


@dataclass(frozen=True, slots=True)
class Order:
    """A calibration to work on, in `folder`: it has the questions or audits, and tier i's version in `versions/{i}`.

    The head that a tier is to answer with, if any, is in `heads/{i}`.

    `timeout_s` is of each version, `memory_mib` of each process.
    """

    spec: Spec
    folder: str
    timeout_s: float
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Made:
    """What came out: the result, and the documents of policies by tier. Policies in the result are still unnamed."""

    result: Result
    documents: tuple[str, ...]


def write_order(order: Order) -> Path:
    """Writes an order into its folder and gives its path."""
    path = Path(order.folder) / ORDER
    path.write_text(json.dumps(to_document(order)))
    return path


def read_order(path: Path) -> Order:
    """Reads an order."""
    return from_document(Order, json.loads(path.read_text()))


def write_made(made: Made, folder: Path) -> None:
    """Writes what came out. Infinite numbers are written as Python reads them."""
    document: dict[str, Any] = {"result": to_document(made.result), "documents": list(made.documents)}
    (folder / RESULT).write_text(json.dumps(document))


def read_made(folder: Path) -> Made:
    """Reads what came out."""
    return from_document(Made, json.loads((folder / RESULT).read_text()))


def audits_of(folder: Path, tier: int) -> Path:
    """Where a tier's audits lie, an .npz file with `confidence` [n], `agree` [n] and `question` [n]."""
    return folder / f"audits-{tier}.npz"


def version_of(folder: Path, tier: int) -> Path:
    """The folder of a tier's version."""
    return folder / "versions" / str(tier)


def head_of(folder: Path, tier: int) -> Path:
    """Where the head lies that a tier's version answers with; it is not there where it answers by itself."""
    return folder / "heads" / str(tier)
