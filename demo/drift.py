"""A stream of digits that drifts half-way, and what became of it, phase by phase. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from demo.digits import Digits
from demo.tally import Answered, Labels, local_share, loss
from demo.warping import turned

TURN_DEGREES, NOISE = 15.0, 22.0
"""How the second half is: turned to the left, with noise of this standard deviation on 0..255.

The cloud is still right about four of five, which is what its answers are worth: more noise is beyond it as well.
"""
SETTLED = 1_000
"""Questions after the last alarm whose loss must be under the target."""


def drifted(digits: Digits, start: int, seed: int) -> Digits:
    """The same digits, those from `start` on turned and with noise."""
    chance = np.random.default_rng(seed)
    worse = turned(digits.images[start:], TURN_DEGREES) + chance.normal(0.0, NOISE, digits.images[start:].shape)
    images = np.concatenate([digits.images[:start], np.clip(np.rint(worse), 0, 255).astype(np.uint8)])
    return Digits(images, digits.labels)


def order(number: int, count: int, start: int) -> int:
    """Which of `count` digits question `number` is about: all once, then those from `start` on over and over."""
    return number if number < count else start + (number - start) % (count - start)


@dataclass(frozen=True)
class Alarm:
    """An agent's alarm as the control plane heard of it.

    That was after `questions` of the stream, `after` of them drifted; the agent had audited `audits` of its answers
    since it has its pair, and the top had said something else to `disagreements` of them.
    """

    agent: str
    questions: int
    after: int
    audits: int
    disagreements: int


@dataclass(frozen=True)
class Phase:
    """A part of the stream; shares are of its questions."""

    name: str
    questions: int
    local_share: float
    loss: float


def phases(answered: Sequence[Answered], top: Labels, start: int, alarms: Mapping[str, Alarm]) -> tuple[Phase, ...]:
    """Before, drift until the last alarm, after it; `top` is what the top says to each digit."""
    last = max((alarm.questions for alarm in alarms.values()), default=None)
    parts = [
        ("before", [one for one in answered if one.number < start]),
        ("drift until alarm", [one for one in answered if one.number >= start and (last is None or one.number < last)]),
        ("after alarm", [one for one in answered if last is not None and one.number >= last]),
    ]
    return tuple(Phase(name, len(part), local_share(part), loss(part, top)) for name, part in parts)
