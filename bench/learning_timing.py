"""How much slower a device answers while it learns: one that learns and one that does not, asked the same in turn."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.learning_mesh import DEVICE_TIER, HOLDOUT, Pair, asking
from demo.asking import Asker, make_request, read
from demo.digits import Digits

_Took = tuple[float, bool]
"""Milliseconds of an answer, and whether the device gave it by itself."""
TURN: Final = 250
"""Questions to each device in a turn."""
PER_S: Final = 50.0
"""How many a device is asked a second where it is not asked as fast as it answers."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Ratios of p99, learning by not learning, and the latter in ms: of questions that both devices answered by
    themselves, and of all; at PER_S questions a second, and of what each answered by itself without a pause."""

    local_ratio: float
    local_ms: float
    all_ratio: float
    all_ms: float
    full_load_ratio: float
    full_load_ms: float


def timed(pair: Pair, digits: Digits, turns: int, threshold: float, tick: Callable[[], None]) -> Timed:
    """Starts the agents and asks, TURN questions a turn to each: half of the turns at PER_S, half without a pause.

    At PER_S both get each question within some milliseconds, so that whatever else the machine does meets both, and a
    p99 is over all turns; without a pause a figure is the median over turns, of the p99 of each. Raises DemoFailed.
    """
    pair.start_top()
    for name, learns in (("pupil", True), ("other", False)):
        pair.start_device(name, learns, HOLDOUT, threshold)
        pair.wait_found(name, digits)
    paced: tuple[list[_Took], list[_Took]] = ([], [])
    full = _Ratios()
    with asking(pair.addresses["pupil"]) as first, asking(pair.addresses["other"]) as second:
        _one_by_one(first, second, digits.part(0, TURN), 0.0)
        for turn in range(turns):
            part = digits.part((turn + 1) * TURN, (turn + 2) * TURN)
            if turn % 2:
                full.add(_took(first, part), _took(second, part))
            else:
                for took, more in zip(paced, _one_by_one(first, second, part, 1.0 / PER_S), strict=True):
                    took += more
            tick()
    local, every = _Ratios(), _Ratios()
    both = [here and too for (_, here), (_, too) in zip(*paced, strict=True)]
    local.add(*([ms for (ms, _), ours in zip(took, both, strict=True) if ours] for took in paced))
    every.add(*([ms for ms, _ in took] for took in paced))
    return Timed(*local.medians(), *every.medians(), *full.medians())


class _Ratios:
    def __init__(self) -> None:
        self._ratios: list[float] = []
        self._others: list[float] = []

    def add(self, mine: list[float], others: list[float]) -> None:
        if mine and others:
            self._others.append(float(np.percentile(others, 99)))
            self._ratios.append(float(np.percentile(mine, 99)) / self._others[-1])

    def medians(self) -> tuple[float, float]:
        if not self._ratios:
            return 0.0, 0.0
        return float(np.median(self._ratios)), float(np.median(self._others))


def _one_by_one(first: Asker, second: Asker, digits: Digits, apart_s: float) -> tuple[list[_Took], list[_Took]]:
    """Asks both about each digit, one after the other and the other way round the next time, each every `apart_s`."""
    took: dict[Asker, list[_Took]] = {first: [], second: []}
    due = time.perf_counter()
    for index in range(len(digits)):
        for asker in (first, second) if index % 2 else (second, first):
            due += apart_s / 2
            time.sleep(max(0.0, due - time.perf_counter()))
            took[asker].append(_ask(asker, digits, index))
    return took[first], took[second]


def _took(asker: Asker, digits: Digits) -> list[float]:
    """Milliseconds of what the device answered by itself, asked without a pause."""
    return [ms for ms, here in (_ask(asker, digits, index) for index in range(len(digits))) if here]


def _ask(asker: Asker, digits: Digits, index: int) -> _Took:
    message = make_request(digits.images[index : index + 1])
    started = time.perf_counter()
    told = read(asker.ask(message), 0.0)
    return (time.perf_counter() - started) * 1e3, told.tier == DEVICE_TIER
