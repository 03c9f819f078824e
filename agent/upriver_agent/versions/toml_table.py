"""Reading a table of a parsed TOML document key by key, collecting every problem instead of stopping at the first."""

import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=StrEnum)
_SHOWN = 80


def choices(names: Iterable[str]) -> str:
    """Lists allowed words, sorted and quoted."""
    return ", ".join(repr(str(name)) for name in sorted(names)) or "none"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class Table:
    """One table of a document. Each reader notes what is wrong and then gives a harmless value of its type."""

    def __init__(self, values: Mapping[str, Any], path: str, problems: list[str], *, missing: bool = False) -> None:
        self.problems = problems
        self._values = values
        self._path = path
        self._missing = missing
        self._known: set[str] = set()

    def has(self, key: str) -> bool:
        """Tells whether the document has the key."""
        return key in self._values

    def problem(self, key: str, value: object, allowed: str) -> None:
        """Notes that `value` is not allowed at `key`, and what is."""
        self.problems.append(f"{self._path}{key} = {_shown(value)}: not allowed; allowed: {allowed}")

    def _absent(self, key: str, allowed: str) -> None:
        if not self._missing:
            self.problems.append(f"{self._path}{key}: missing; allowed: {allowed}")

    def _take(self, key: str) -> Any:
        self._known.add(key)
        return self._values.get(key)

    def finish(self, context: str = "") -> None:
        """Notes the keys that nothing has read. `context` says when the known keys are the ones that are allowed."""
        for key in self._values:
            if key not in self._known:
                self.problems.append(
                    f"{self._path}{_shown(key)[1:-1]}: unknown key; allowed: {choices(self._known)}{context}"
                )

    def text(
        self, key: str, default: str | None = None, *, pattern: str | None = None, allow_empty: bool = False
    ) -> str:
        """Reads a string; without a default it must be there, with a pattern it must match it whole."""
        allowed = f"text that matches {pattern}" if pattern else "text" if allow_empty else "text that is not empty"
        value = self._take(key)
        if value is None:
            if default is None:
                self._absent(key, allowed)
            return default or ""
        if not isinstance(value, str) or not (value or allow_empty):
            self.problem(key, value, allowed)
            return default or ""
        if pattern is not None and re.fullmatch(pattern, value) is None:
            self.problem(key, value, allowed)
        return value

    def choice(self, key: str, kind: type[E], *, default: E, required: bool = False) -> E:
        """Reads one of an enumeration's words."""
        value = self._take(key)
        if value is None:
            if required:
                self._absent(key, choices(kind))
            return default
        if isinstance(value, str):
            for member in kind:
                if member.value == value:
                    return member
        self.problem(key, value, choices(kind))
        return default

    def integer(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Reads a whole number from `least` to `most`; without a default it must be there."""
        allowed = f"a whole number from {least} to {most}" if least < most else str(least)
        value = self._take(key)
        if value is None:
            if default is None:
                self._absent(key, allowed)
            return least if default is None else default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.problem(key, value, allowed)
            return least
        return value

    def number(self, key: str, default: float | None = None, *, allow_infinite: bool = False) -> float:
        """Reads a number; without a default it must be there. NaN never passes, infinity only when allowed."""
        allowed = "a number (inf and -inf too)" if allow_infinite else "a finite number"
        value = self._take(key)
        if value is None:
            if default is None:
                self._absent(key, allowed)
            return 1.0 if default is None else default
        number = _number(value)
        if number is None or (math.isinf(number) and not allow_infinite):
            self.problem(key, value, allowed)
            return 1.0
        return number

    def numbers(self, key: str) -> tuple[float, ...] | None:
        """Reads a list of finite numbers; None when the key is absent."""
        value = self._take(key)
        if value is None:
            return None
        read = [_number(item) for item in value] if isinstance(value, list) else [None]
        kept = tuple(item for item in read if item is not None and math.isfinite(item))
        if len(kept) != len(read):
            self.problem(key, value, "a list of finite numbers")
            return None
        return kept

    def integers(self, key: str, least: int, most_each: int, *, most: int) -> tuple[int, ...] | None:
        """Reads a list of at most `most` whole numbers from `least` to `most_each`; None when the key is absent."""
        value = self._take(key)
        if value is None:
            return None
        good = isinstance(value, list) and len(value) <= most
        if not good or not all(type(item) is int and least <= item <= most_each for item in value):
            self.problem(key, value, f"a list of at most {most} whole numbers from {least} to {most_each}")
            return None
        return tuple(value)

    def texts(self, key: str, *, most: int) -> tuple[str, ...] | None:
        """Reads a list of at most `most` strings; None when the key is absent."""
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
            self.problem(key, value, f"a list of at most {most} texts")
            return None
        return tuple(value)

    def table(self, key: str) -> "Table":
        """Reads a table that must be there."""
        value = self._take(key)
        if isinstance(value, dict):
            return Table(value, f"{self._path}{key}.", self.problems)
        if value is None:
            self._absent(key, "a table")
        else:
            self.problem(key, value, "a table")
        return Table({}, f"{self._path}{key}.", self.problems, missing=True)

    def tables(self, key: str) -> list["Table"]:
        """Reads a list of one or more tables."""
        value = self._take(key)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return [Table(item, f"{self._path}{key}[{at}].", self.problems) for at, item in enumerate(value)]
        allowed = f"one or more tables, each headed [[{key}]]"
        if value is None:
            self._absent(key, allowed)
        else:
            self.problem(key, value, allowed)
        return []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number
