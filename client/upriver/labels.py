"""Label names: many in one text, separated by commas with a backslash before a comma or backslash; and namesakes."""

import functools
from collections.abc import Sequence


@functools.lru_cache(maxsize=256)
def join_labels(labels: tuple[str, ...]) -> str:
    """Joins label names with commas; a comma or backslash in a name gets a backslash before it."""
    return ",".join(label.replace("\\", "\\\\").replace(",", "\\,") for label in labels)


def split_labels(joined: str) -> tuple[str, ...]:
    """Undoes join_labels; an empty text is no labels."""
    labels: list[str] = []
    current: list[str] = []
    characters = iter(joined)
    for character in characters:
        if character == "\\":
            current.append(next(characters, ""))
        elif character == ",":
            labels.append("".join(current))
            current = []
        else:
            current.append(character)
    labels.append("".join(current))
    return tuple(labels) if joined else ()


def numbered(labels: Sequence[str]) -> list[tuple[str, int]]:
    """Each label with how many of its namesakes come before it: what columns are matched by."""
    seen: dict[str, int] = {}
    numbers = []
    for label in labels:
        seen[label] = seen.get(label, -1) + 1
        numbers.append((label, seen[label]))
    return numbers
