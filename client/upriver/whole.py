"""Files that are written whole or not at all, whenever the process ends or the power goes."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Writes aside, flushes and renames, making folders that are not there; raises OSError.

    One writer at a time: the file aside always has the same name, so that ended processes leave one at most.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the rename may be lost
    finally:
        os.close(folder)
