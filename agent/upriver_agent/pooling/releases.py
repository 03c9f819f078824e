"""Sums with noise, in so many releases and no more: each is counted on disk before it is made.

A version's release stands until half as many lessons again have come, or until one of its lessons was forgotten; what
is kept no longer for other reasons stays in it as long. When all are used up, the last one stands; and where one of its
lessons is forgotten then, nothing but that is told any more.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from upriver.errors import DiskTrouble
from upriver.head_statistics import HeadStatistics, nothing
from upriver.pool_sums import PoolKey, PoolPart
from upriver.scores import Floats
from upriver.whole import write_whole
from upriver_agent.pooling.own import OwnSums
from upriver_agent.pooling.privacy import Noise, Privacy, with_noise

FILE: Final = "pool-releases.json"
GROWTH: Final = 1.5
MAX_VERSIONS: Final = 1000
"""Of so many versions releases are counted; of any more nothing is sent."""


def secure_noise(count: int) -> Floats:
    """Standard normal numbers from the system's own source of chance, which nobody can compute again."""
    chance = secrets.SystemRandom()
    return np.array([chance.gauss(0.0, 1.0) for _ in range(count)], np.float64)


@dataclass(frozen=True, slots=True)
class _Release:
    part: PoolPart
    lessons: float
    lost: tuple[int, int]
    """Times that the journal was lost, and lessons that had to go: of these it may have none."""


class Releases:
    """What is pooled of one agent's lessons where noise is wanted; see `Contribution`."""

    def __init__(self, folder: Path, own: OwnSums, region: str, privacy: Privacy, noise: Noise = secure_noise) -> None:
        self._path = folder / FILE
        self._own = own
        self._region = region
        self._privacy = privacy
        self._noise = noise
        self._released: dict[PoolKey, _Release] = {}
        self._used: dict[str, int] | None = None

    def marks(self) -> object:
        """Differs with every change of the lessons, of which most change nothing here."""
        return self._own.marks()

    def parts(self) -> Sequence[PoolPart]:
        """The newest releases; raises DiskTrouble when a new one can't be counted."""
        _, renewals = self._own.marks()
        found: dict[PoolKey, _Release] = {}
        for part in self._own.parts(self._region):
            release = self._release(part, (renewals, part.forgotten))
            if release is not None:
                found[part.key] = release
        self._released = found
        return [release.part for release in found.values()]

    def _release(self, part: PoolPart, lost: tuple[int, int]) -> _Release | None:
        sums, before = part.sums, self._released.get(part.key)
        if not isinstance(sums, HeadStatistics):
            return None
        if not sums.lessons:  # that there is none is told in any case
            return _Release(part, 0.0, lost)
        stands = before is not None and before.lost == lost
        if before is not None and stands and sums.lessons < GROWTH * before.lessons:
            return before
        if self._count(part.key.version_digest):
            noisy = with_noise(sums, self._privacy.deviation, self._noise)
        elif stands or not part.forgotten:
            return before if stands else None
        else:
            noisy = nothing(sums.width)
        return _Release(PoolPart(part.key, part.agents, noisy, part.forgotten), sums.lessons, lost)

    def _count(self, version_digest: str) -> bool:
        """Uses a release up; False when there is none left."""
        if self._used is None:
            self._used = self._kept()
        used = self._used.get(version_digest, 0)
        if used >= self._privacy.releases or (not used and len(self._used) >= MAX_VERSIONS):
            return False
        changed = {**self._used, version_digest: used + 1}
        self._keep(changed)
        self._used = changed
        return True

    def _kept(self) -> dict[str, int]:
        """What was used; raises DiskTrouble when that can't be read, for then nothing may be sent."""
        try:
            kept = json.loads(self._path.read_text("ascii"))
            return {str(version): int(used) for version, used in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise DiskTrouble(f"{self._path}: {error}; with what was released unknown nothing is sent") from error

    def _keep(self, used: dict[str, int]) -> None:
        try:
            write_whole(self._path, json.dumps(used).encode("ascii"))
        except OSError as error:
            raise DiskTrouble(f"{self._path}: {error.strerror or error}; expected a folder to write to") from error
