"""Where jobs are worked on: a folder for each attempt, below one for each process of a machine. Functions block."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble
from upriver_control.artifacts import CHUNK, Artifacts
from upriver_control.jobs import Work

PREFIX: Final = "process-"
"""Each process of a machine has a folder of its own, called by this and its id."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one process in `parent`."""

    parent: Path

    @property
    def own(self) -> Path:
        """This process's."""
        return self.parent / f"{PREFIX}{os.getpid()}"

    def of(self, job: Work) -> Path:
        """A job's, for this attempt; it need not be there.

        A process that lost a job's lease may still write there when it begins the same job anew.
        """
        return self.own.absolute() / hashlib.sha256(f"{job.id}/{job.attempt}".encode()).hexdigest()[:16]

    def clear(self, job: Work) -> None:
        """Removes a job's folder."""
        shutil.rmtree(self.of(job), ignore_errors=True)  # what stays is removed by `clean`

    def clean(self) -> None:
        """Removes folders that processes of this machine left behind when they were killed."""
        for folder in self.parent.glob(f"{PREFIX}*"):
            if folder == self.own or not runs(folder.name.removeprefix(PREFIX)):
                shutil.rmtree(folder, ignore_errors=True)  # tried again at the next start


def bring(artifacts: Artifacts, digest: str, path: Path) -> None:
    """Copies a blob in pieces, and holds it against its digest; raises DiskTrouble, BlobNotFound, Unreachable."""
    found, offset = hashlib.sha256(), 0
    with path.open("wb") as out:
        while data := artifacts.read(digest, offset, CHUNK):
            found.update(data)
            out.write(data)
            offset += len(data)
    if f"sha256:{found.hexdigest()}" != digest:
        raise DiskTrouble(f"blob {digest} is damaged where it is kept: upload or publish it again")


def runs(process: str | int) -> bool:
    """Whether a process of this machine has that id; one that can't be told is taken for one that runs."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        return True
    return True
