"""Which blobs to delete when room is needed. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that takes room; `used` orders files by their last use."""

    digest: str
    size_bytes: int
    used: float


def doomed(files: Iterable[Kept], pinned: Collection[str], budget_bytes: int, needed_bytes: int) -> list[Kept] | None:
    """The least recently used files to delete so that `needed_bytes` more fit; None when pinned ones leave no room."""
    files = sorted(files, key=lambda file: (file.used, file.digest))
    excess = sum(file.size_bytes for file in files) + needed_bytes - budget_bytes
    chosen: list[Kept] = []
    for file in files:
        if excess <= 0:
            break
        if file.digest not in pinned:
            chosen.append(file)
            excess -= file.size_bytes
    return chosen if excess <= 0 else None
