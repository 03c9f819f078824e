"""Words and small marks that several pages use."""

from collections.abc import Sequence
from typing import Final

from upriver_control.console.drawing.svg import Child, Markup, tag

COLOURS: Final = 5
TONES: Final = frozenset({"good", "warn", "bad", "quiet"})


def nothing(what: str, command: str = "", then: str = "") -> Markup:
    """An empty state: what is not there, the command that changes it, and what happens then."""
    return tag(
        "div",
        {"class": "empty"},
        tag("p", None, what),
        tag("pre", None, tag("code", None, command)) if command else None,
        tag("p", {"class": "quiet"}, then) if then else None,
    )


def chip(word: str, tone: str = "") -> Markup:
    """A short word in a frame, for states and flags; `tone` is `good`, `warn`, `bad`, `quiet` or nothing."""
    return tag("span", {"class": f"chip {tone}" if tone in TONES else "chip"}, word)


def tier_class(tier: str, ladder: Sequence[str]) -> str:
    """The class that gives something its tier's colour: `tier-0` for the lowest; of five tiers the last repeats."""
    return f"tier-{min(ladder.index(tier), COLOURS - 1)}" if tier in ladder else "tier-none"


def facts(*pairs: tuple[str, Child]) -> Markup:
    """What is known, as pairs of a word and a value; pairs without a value are left out."""
    known = [(word, value) for word, value in pairs if value is not None and value != ""]
    return tag("dl", {"class": "facts"}, *(tag("div", None, tag("dt", None, w), tag("dd", None, v)) for w, v in known))


def problem(words: str, then: str = "") -> Markup:
    """Something that failed, in one sentence, and what to do."""
    return tag(
        "div", {"class": "problem", "role": "alert"}, tag("p", None, words), tag("p", None, then) if then else None
    )


def sentence(words: str) -> str:
    """What a service said, as a sentence of its own: with a capital letter and a full stop."""
    return words[:1].upper() + words[1:].rstrip(".") + "." if words else ""


def digest(value: str) -> str:
    """A digest as it is shown: its first 12 digits."""
    return value.removeprefix("sha256:")[:12]
