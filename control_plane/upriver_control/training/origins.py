"""The questions whose lessons a version was made of, for spans that link to them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from upriver.tracing import MAX_LINKS

MAX_PARTS: Final = 8
"""Spans below that of a training, each with links to further lessons."""


class Origin(NamedTuple):
    """A question's trace and the span of its touch point's, in hexadecimal digits."""

    trace_id: str
    span_id: str


NOWHERE: Final = Origin("", "")


@dataclass(frozen=True, slots=True)
class Trained:
    """A version was made of lessons, by the training of this name.

    `links` are for the training's own span, `parts` for spans below it, and `lessons` is how many there were, with or
    without a link. Times are Unix times.
    """

    training: str
    model: str
    region: str
    version_digest: str
    lessons: int
    links: tuple[Origin, ...]
    parts: tuple[tuple[Origin, ...], ...]
    started: float
    ended: float


def shared_out(origins: Iterable[Origin]) -> tuple[tuple[Origin, ...], tuple[tuple[Origin, ...], ...]]:
    """Which questions the span of a training links to, and which the spans below it; the rest is only counted.

    Several rows of one question are one link, and lessons of no span have none.
    """
    known = list(dict.fromkeys(one for one in origins if one.trace_id and one.span_id))[: MAX_LINKS * (1 + MAX_PARTS)]
    groups = [tuple(known[at : at + MAX_LINKS]) for at in range(0, len(known), MAX_LINKS)]
    return (groups[0] if groups else ()), tuple(groups[1:])
