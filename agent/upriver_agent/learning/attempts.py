"""How many heads were tried, on disk before the test of any is looked at: a crash gives nobody a free look.

A small file of its own, flushed to the disk, so that it outlives a loss of power and a journal that was damaged. It is
by version and top (see `holdout.Key`), with how many lessons and questions there were at the last attempt.
"""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from upriver.errors import DiskTrouble
from upriver.whole import write_whole
from upriver_agent.learning.holdout import Key

FILE: Final = "attempts.json"
MOST: Final = 512
"""Holdouts that are remembered, those that were tried last."""
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many attempts a holdout has seen, and how many lessons and questions there were at the last one."""

    number: int = 0
    lessons: int = 0
    held_out: int = 0


class AttemptBook:
    """The attempts of one agent. Safe to share between threads."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / FILE
        self._lock = threading.Lock()
        self._known: dict[Key, Attempts] | None = None

    def of(self, key: Key) -> Attempts:
        """What is known of a holdout. Raises DiskTrouble when the file is there and can't be read: then nothing may be
        tried, since nobody knows how much has been."""
        with self._lock:
            return self._all().get(key, Attempts())

    def begin(self, key: Key, lessons: int, held_out: int) -> int:
        """Counts one more attempt and gives its number, once that is on the disk. Raises DiskTrouble."""
        with self._lock:
            known = dict(self._all())
            now = Attempts(known.pop(key, Attempts()).number + 1, lessons, held_out)
            known[key] = now
            kept = dict(list(known.items())[-MOST:])
            self._save(kept)
            self._known = kept
            return now.number

    def _all(self) -> dict[Key, Attempts]:
        if self._known is None:
            self._known = self._load()
        return self._known

    def _load(self) -> dict[Key, Attempts]:
        try:
            document: Any = json.loads(self._file.read_bytes())
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']!r}; expected {_FORMAT}")
            return {
                Key(str(one["model"]), str(one["version"]), str(one["top"])): Attempts(
                    int(one["number"]), int(one["lessons"]), int(one["held_out"])
                )
                for one in document["attempts"]
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DiskTrouble(
                f"can't read {self._file}, which counts the heads that were tried: {error}; no head is tried until it "
                "is mended or removed"
            ) from error

    def _save(self, known: dict[Key, Attempts]) -> None:
        rows = [
            {"model": k.model, "version": k.version, "top": k.top}
            | {"number": v.number, "lessons": v.lessons, "held_out": v.held_out}
            for k, v in known.items()
        ]
        try:
            write_whole(self._file, json.dumps({"format": _FORMAT, "attempts": rows}).encode())
        except OSError as error:
            raise DiskTrouble(f"can't write {self._file}: {error.strerror or error}") from error
