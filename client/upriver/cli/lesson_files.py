"""Lessons in files: `.jsonl`, one line each, or `.npz`, one array for each field."""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from upriver.cli.lesson_tables import lesson_document, one_line_of_json
from upriver.errors import DiskTrouble, InvalidInput
from upriver.lessons import Lesson

_TEXTS: Final = (
    "id",
    "model",
    "version_digest",
    "state",
    "student_label",
    "label",
    "teacher",
    "teacher_tier",
    "teacher_policy_digest",
    "source",
    "trace_id",
    "span_id",
)
_NUMBERS: Final = ("learnt_at", "student_confidence", "known", "teacher_confidence", "draw")


def writer_of(path: Path) -> Callable[[Iterator[Lesson], Path], int]:
    """What writes a file of this name; raises InvalidInput for one that nothing does."""
    found = {".jsonl": _write_lines, ".npz": _write_arrays}.get(path.suffix)
    if found is None:
        raise InvalidInput(f"{path}: expected a file that ends in .jsonl or .npz")
    return found


def write_lessons(lessons: Iterator[Lesson], path: Path) -> int:
    """Writes lessons; the file is there once all of them are. Gives how many. Raises DiskTrouble or InvalidInput."""
    write = writer_of(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as folder:
            made = Path(folder) / path.name
            count = write(lessons, made)
            made.replace(path)
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror}") from error
    return count


def _write_lines(lessons: Iterator[Lesson], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for lesson in lessons:
            line = one_line_of_json(lesson)
            if lesson.input:
                document = json.loads(line)
                document["input"] = base64.b64encode(lesson.input).decode("ascii")
                line = json.dumps(document, allow_nan=False, ensure_ascii=False)
            file.write(line + "\n")
            count += 1
    return count


def _write_arrays(lessons: Iterator[Lesson], path: Path) -> int:
    """`embedding` [lessons, embedding], texts and numbers [lessons], `probabilities` as JSON; inputs as files.

    Lessons of one version only: others have embeddings of another length.
    """
    texts: dict[str, list[str]] = {name: [] for name in (*_TEXTS, "probabilities")}
    numbers: dict[str, list[float]] = {name: [] for name in _NUMBERS}
    embeddings: list[Any] = []
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for lesson in lessons:
            if embeddings and (
                lesson.version_digest != texts["version_digest"][0] or lesson.model != texts["model"][0]
            ):
                raise InvalidInput("lessons of several versions: choose one by --model and --version, or write .jsonl")
            for name in _TEXTS:
                texts[name].append(str(getattr(lesson, name)))
            texts["probabilities"].append(json.dumps(lesson_document(lesson)["probabilities"], ensure_ascii=False))
            for name in _NUMBERS:
                numbers[name].append(float(getattr(lesson, name)))
            embeddings.append(np.zeros(0, np.float16) if lesson.embedding is None else lesson.embedding)
            if lesson.input:
                archive.writestr(f"inputs/{lesson.id}", lesson.input)
        arrays: dict[str, Any] = {name: np.array(values, np.str_) for name, values in texts.items()}
        arrays |= {name: np.array(values, np.float64) for name, values in numbers.items()}
        arrays["embedding"] = np.array(embeddings, np.float16).reshape(len(embeddings), -1 if embeddings else 0)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return len(embeddings)
