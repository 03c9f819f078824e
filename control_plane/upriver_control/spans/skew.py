"""Clocks that are off: what agents tell of theirs, and what the calls of a trace give away. Pure.

A call begins before it is served and ends after, so where the upstream's span does not lie within the call's, one of
the two clocks is off. The upstream's times are then moved, and with them all that lies below. Which of the two clocks
is right can't be told: everything is put onto that of the span above all.
"""

import re
from dataclasses import dataclass
from typing import Final

from upriver_control.spans.facts import CLIENT, SERVER, SpanFacts
from upriver_control.spans.tree import ROOT, Node, Tree, began_ns

SLACK_NS: Final = 1_000_000
"""How far a span may stick out before a clock is held to be off."""
MIN_OFFSET_NS: Final = 2 * 10**9
"""What an agent's clock may be off by, as it tells itself when it sends: the way here takes time too."""
_CLOCK = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clock:
    """An agent's clock is `ahead_ns` ahead; negative for behind. `estimated`: by how calls lie, else it told so."""

    agent: str
    ahead_ns: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to the times of each node of a tree, beyond its span's `offset_ns`; and the clocks that are off."""

    shifts_ns: tuple[int, ...]
    clocks: tuple[Clock, ...]


def offset_of(sent_ns: str, received_ns: int) -> int:
    """What is added to the times of spans that came now, from what their sender's clock said; 0 for about right.

    `sent_ns` is the metadata `upriver-sent-ns`; what is no number, or none that a clock shows, counts as not told.
    """
    if not _CLOCK.fullmatch(sent_ns) or not 0 < int(sent_ns) < 2**63:
        return 0
    offset = received_ns - int(sent_ns)
    return offset if abs(offset) > MIN_OFFSET_NS else 0


def correct(tree: Tree) -> Correction:
    """Finds how far the times of each node are off. Never moves a span within what its own agent sent."""
    shifts: list[int] = []
    known: dict[str, int] = {}
    for node in tree.nodes:
        above = tree.nodes[node.parent] if node.parent != ROOT else None
        inherited = shifts[node.parent] if above is not None else 0
        if above is None or not _is_call(above, node):
            shifts.append(inherited)
            continue
        shift = _shift(above.span, inherited, node.span, known.get(node.agent))
        known.setdefault(node.agent, shift)
        shifts.append(shift)
    return Correction(tuple(shifts), _clocks(tree, shifts))


def _is_call(above: Node, node: Node) -> bool:
    other = (above.agent, above.span.service) != (node.agent, node.span.service)
    return other and above.span.kind == CLIENT and node.span.kind == SERVER


def _shift(call: SpanFacts, call_shift: int, served: SpanFacts, known: int | None) -> int:
    """What the served span must be moved by to lie within the call: nothing if it does, else so that it is centred."""
    lowest = began_ns(call) + call_shift - began_ns(served)
    inside = lowest + call.length_ns - served.length_ns
    # A call that was given up may be served on after it has ended.
    highest = lowest + call.length_ns if call.failed else inside
    for shift in (known, 0, call_shift):
        if shift is not None and lowest - SLACK_NS <= shift <= highest + SLACK_NS:
            return shift
    return lowest if inside < lowest else (lowest + inside) // 2


def _clocks(tree: Tree, shifts: list[int]) -> tuple[Clock, ...]:
    """By agent, in the order of the tree; where one agent's spans are off by different times, the first counts."""
    clocks: dict[str, Clock] = {}
    for node, shift in zip(tree.nodes, shifts, strict=True):
        ahead = -(node.span.offset_ns + shift)
        if ahead and node.agent not in clocks:
            clocks[node.agent] = Clock(node.agent, ahead, shift != 0)
    return tuple(clocks.values())
