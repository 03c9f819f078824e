"""Which agents a rollout is for: `tier=device,region=eu,canary!=true,gpu,!lab`. Pure.

Terms are joined by commas and all of them must hold: `key=value`, `key!=value` (also true of an agent without the
label), `key` (the agent has the label) and `!key` (it does not). An empty selector matches every agent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from upriver.errors import InvalidInput

MAX_LENGTH = 2048
_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_VALUE = re.compile(r"[^\s,=!](?:[^,=!\n\r\t]*[^\s,=!])?")
_EXAMPLE = "expected terms such as tier=device, canary!=true, gpu or !lab, joined by commas"


class Relation(StrEnum):
    """What a term asks of a label."""

    IS = "="
    IS_NOT = "!="
    PRESENT = ""
    ABSENT = "!"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; `value` is empty where only presence is asked for."""

    key: str
    relation: Relation
    value: str = ""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an agent with these labels meets it."""
        relation = self.relation
        if relation is Relation.IS:
            return labels.get(self.key) == self.value
        if relation is Relation.IS_NOT:
            return labels.get(self.key) != self.value
        return (self.key in labels) is (relation is Relation.PRESENT)

    def excludes(self, other: "Term") -> bool:
        """Whether no agent can meet both; terms about different labels never exclude each other."""
        if self.key != other.key:
            return False
        for one, two in ((self, other), (other, self)):
            if one.relation is Relation.IS:
                match two.relation:
                    case Relation.IS | Relation.PRESENT:
                        if two.relation is Relation.IS and one.value != two.value:
                            return True
                    case Relation.IS_NOT:
                        if one.value == two.value:
                            return True
                    case Relation.ABSENT:
                        return True
            if one.relation is Relation.PRESENT and two.relation is Relation.ABSENT:
                return True
        return False

    def __str__(self) -> str:
        if self.relation is Relation.ABSENT:
            return f"!{self.key}"
        return f"{self.key}{self.relation}{self.value}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that must all hold."""

    terms: tuple[Term, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an agent with these labels is meant."""
        for term in self.terms:  # noqa: SIM110 - all() of a generator takes twice as long, and fleets are large
            if not term.holds(labels):
                return False
        return True

    def may_overlap(self, other: "Selector") -> bool:
        """Whether some agent could match both; False only where two terms exclude each other."""
        return not any(mine.excludes(theirs) for mine in self.terms for theirs in other.terms)

    def covers(self, other: "Selector") -> bool:
        """Whether every agent that `other` matches is surely matched by this one: it asks for nothing more."""
        return set(self.terms) <= set(other.terms)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))


@lru_cache(maxsize=1024)
def parse(text: str) -> Selector:
    """A selector from its text; raises InvalidInput that names the term that is wrong."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"selector: {len(text)} characters; at most {MAX_LENGTH}")
    if not text.strip():
        return Selector()
    return Selector(tuple(_term(part.strip(), text) for part in text.split(",")))


def _term(part: str, whole: str) -> Term:
    if not part:
        raise InvalidInput(f"selector {whole!r} has an empty term; {_EXAMPLE}")
    if part.startswith("!"):
        return Term(_key(part[1:].strip(), part), Relation.ABSENT)
    for sign in (Relation.IS_NOT, Relation.IS):
        key, found, value = part.partition(sign)
        if found:
            return Term(_key(key.strip(), part), sign, _value(value.strip(), part))
    return Term(_key(part, part), Relation.PRESENT)


def _key(key: str, part: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise InvalidInput(f"selector term {part!r}: {key!r} is no label's name; {_EXAMPLE}")
    return key


def _value(value: str, part: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise InvalidInput(f"selector term {part!r}: {value!r} is no label's value; {_EXAMPLE}")
    return value
