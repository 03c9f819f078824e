"""Spans hung on one another: what came of a trace, in order, whatever is missing, double or wrong in it. Pure.

A trace is what many machines sent, at any time and in any order, so it may have holes, several roots, and, where
somebody made it up, spans that are each other's parents. All of it is shown; nothing here recurses, however deep it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.tracing import Attribute, SpanName
from upriver_control.spans.facts import SpanFacts, text, texts
from upriver_control.spans.rows import hop_of

MAX_SPANS: Final = 5000
"""Spans of one trace that are shown; the earliest."""
MAX_MISSING: Final = 20
ROOT: Final = -1


@dataclass(frozen=True, slots=True)
class Node:
    """A span and where it hangs: `parent` is the index of a node, or ROOT; `agent` is whose it is."""

    span: SpanFacts
    parent: int
    depth: int
    agent: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The spans of a trace, each behind the one that it belongs to and beside its siblings by time.

    `missing` says in words what is known not to be here.
    """

    nodes: tuple[Node, ...]
    missing: tuple[str, ...] = ()

    def children(self) -> Mapping[int, Sequence[int]]:
        """The indices of what hangs on each node, by its index (ROOT: the roots), in order."""
        found: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            found.setdefault(node.parent, []).append(index)
        return found


def began_ns(span: SpanFacts) -> int:
    """When a span began, by the clock that its agent's was put right by when it came."""
    return span.start_ns + span.offset_ns


def hang(spans: Iterable[SpanFacts], most: int = MAX_SPANS) -> Tree:
    """Hangs the spans of one trace on one another; of one that is there several times that which ended last counts."""
    found = sorted(_unique(spans), key=lambda span: (began_ns(span), span.span))
    shown = {span.span: span for span in found[:most]}
    below: dict[bytes, list[bytes]] = {}
    for span in shown.values():
        if span.parent in shown:
            below.setdefault(span.parent, []).append(span.span)
    nodes: list[Node] = []
    placed: set[bytes] = set()
    for span in shown.values():
        if span.parent not in shown:
            _place(span.span, shown, below, nodes, placed)
    circles = 0
    for span in shown.values():
        if span.span not in placed:
            circles += 1
            _place(_first_of_circle(span, shown), shown, below, nodes, placed)
    tree = Tree(tuple(nodes))
    return Tree(tree.nodes, tuple(_missing(tree, len(found) - len(shown), circles)))


def _unique(spans: Iterable[SpanFacts]) -> Iterable[SpanFacts]:
    kept: dict[bytes, SpanFacts] = {}
    for span in spans:
        known = kept.get(span.span)
        if known is None or _rank(span) > _rank(known):
            kept[span.span] = span
    return kept.values()


def _rank(span: SpanFacts) -> tuple[int, int, bytes, bytes, str]:
    """The order among spans of one id: the same one counts in whichever order they are read."""
    return span.end_ns, began_ns(span), span.parent, span.raw, span.name


def _place(
    root: bytes,
    shown: Mapping[bytes, SpanFacts],
    below: Mapping[bytes, Sequence[bytes]],
    nodes: list[Node],
    placed: set[bytes],
) -> None:
    """Puts a span and all below it behind the nodes that are there; what is placed already is not placed again."""
    pending = [(root, ROOT)]
    while pending:
        key, parent = pending.pop()
        if key in placed:
            continue
        placed.add(key)
        span = shown[key]
        above = nodes[parent] if parent != ROOT else None
        index = len(nodes)
        nodes.append(Node(span, parent, 0 if above is None else above.depth + 1, _whose(span, above)))
        pending.extend((child, index) for child in reversed(below.get(key, ())))


def _whose(span: SpanFacts, above: Node | None) -> str:
    own = text(span.attributes, Attribute.AGENT) or span.agent
    if own:
        return own
    return above.agent if above is not None and above.span.service == span.service else span.service


def _first_of_circle(span: SpanFacts, shown: Mapping[bytes, SpanFacts]) -> bytes:
    """The earliest of the spans that are each other's parents, above one that no root is above."""
    met: dict[bytes, None] = {}
    key = span.span
    while key not in met:
        met[key] = None
        key = shown[key].parent
    order = list(met)
    return min(order[order.index(key) :], key=lambda member: (began_ns(shown[member]), member))


def _missing(tree: Tree, left_out: int, circles: int) -> Iterable[str]:
    silent = _silent(tree)
    told = [f"{agent} was asked, and sent no spans of it" for agent in silent]
    told += [
        f"the span above {node.span.name} of {node.agent or 'somebody'} is not here"
        for node in tree.nodes
        if node.parent == ROOT and node.span.parent and not _is_asked(node.span)
    ]
    told = list(dict.fromkeys(told))
    yield from told[:MAX_MISSING]
    if len(told) > MAX_MISSING:
        yield f"and {len(told) - MAX_MISSING} more like it"
    if circles:
        yield f"spans name one another as parents, in {circles} circles: they are shown from their earliest on"
    if left_out:
        yield f"{left_out} more spans are not shown: at most {MAX_SPANS} are"


def _is_asked(span: SpanFacts) -> bool:
    """Whether a question came in here: what is above is then the caller's, and not ours to miss."""
    return span.name == SpanName.SERVE and hop_of(span) == 0


def _silent(tree: Tree) -> list[str]:
    """Agents that answered from above, or are on an answer's path, of whom there is no span."""
    here = {node.agent for node in tree.nodes if node.span.name == SpanName.SERVE}
    asked: dict[str, None] = {}
    for node in tree.nodes:
        told = node.span.attributes
        if node.span.name == SpanName.ESCALATE and Attribute.ANSWERED_BY in told:
            asked[text(told, Attribute.UPSTREAM_AGENT)] = None
        elif node.span.name == SpanName.SERVE:
            asked.update(dict.fromkeys(texts(told, Attribute.PATH)))
    return [agent for agent in asked if agent and agent not in here]
