"""What an agent tells those below that it reads beyond the plain protocol, so that nothing else is ever sent to it.

A list of terms in the response parameter `upriver.reads`: `zstd` (compressed inputs), `fused` (the row-wise fact of
that name), and the digests of versions whose answers it, or an agent above it, takes in.
"""

from collections.abc import Iterable
from typing import Final

from upriver.listing import is_digest

ZSTD: Final = "zstd"
FUSED: Final = "fused"
MAX_TERMS: Final = 64
_MAX_CHARACTERS: Final = 128 * MAX_TERMS


def join_reads(terms: Iterable[str]) -> str:
    """The parameter's text; what is too much is left out."""
    return ",".join(sorted(terms, key=lambda term: (is_digest(term), term))[:MAX_TERMS])


def parse_reads(text: object) -> frozenset[str]:
    """The terms of a parameter; none when it is not one: then only what everybody reads is sent."""
    if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
        return frozenset()
    return frozenset(text.split(",", MAX_TERMS)[:MAX_TERMS]) - {""}


def digests(terms: Iterable[str]) -> frozenset[str]:
    """The versions among some terms."""
    return frozenset(term for term in terms if is_digest(term))
