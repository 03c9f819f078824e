"""A trace put together: its spans hung on one another, its clocks corrected, its hops read. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from upriver_control.spans.facts import SpanFacts
from upriver_control.spans.hops import Hop, Outcome, hops_of
from upriver_control.spans.skew import Clock, correct
from upriver_control.spans.tree import Tree, began_ns, hang


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a trace. `began_ns` is when its first span began, `shifts_ns` what nodes' times are moved by.

    `asked` is the hop at which the question came in that is asked about; None when no hop is here.
    """

    tree: Tree
    shifts_ns: tuple[int, ...]
    began_ns: int
    hops: tuple[Hop, ...]
    asked: Hop | None
    clocks: tuple[Clock, ...]
    missing: tuple[str, ...]

    def start_ns(self, node: int) -> int:
        """When a node's span began, since the trace's first did; corrected, 0 or more."""
        return began_ns(self.tree.nodes[node].span) + self.shifts_ns[node] - self.began_ns


def put_together(spans: Iterable[SpanFacts], question: str = "") -> Trace:
    """Puts the spans of one trace together, for the question of this id; for the first that was asked without one."""
    tree = hang(spans)
    correction = correct(tree)
    starts = [began_ns(node.span) + shift for node, shift in zip(tree.nodes, correction.shifts_ns, strict=True)]
    hops = hops_of(tree, correction.shifts_ns)
    return Trace(
        tree=tree,
        shifts_ns=correction.shifts_ns,
        began_ns=min(starts, default=0),
        hops=hops,
        asked=min(
            hops, key=lambda hop: (hop.question != (question or hop.question), hop.number, hop.start_ns), default=None
        ),
        clocks=correction.clocks,
        missing=tree.missing,
    )


def way_up(trace: Trace) -> tuple[Hop, ...]:
    """The hops that the answer came through, from where it was asked to who answered it, as far as they are here."""
    if trace.asked is None:
        return ()
    by_call = {trace.tree.nodes[hop.node].parent: hop for hop in trace.hops}
    way = [trace.asked]
    while way[-1].answered_by != way[-1].agent and len(way) <= len(trace.hops):
        above = [by_call[one.node] for one in way[-1].tries if one.outcome is Outcome.ANSWERED and one.node in by_call]
        if not above:
            break
        path = trace.asked.path
        way.append(next((hop for hop in above if hop.agent in path), above[0]))
    return tuple(way)
