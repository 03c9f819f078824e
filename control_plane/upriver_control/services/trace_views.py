"""One trace for those who look at it: its spans, what came of it later, its audits and tickets, and what is missing.

Methods block. What can't be had besides the spans is told as missing: the rest is there all the same.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.errors import DiskTrouble, InvalidInput, NotFound, Unreachable
from upriver.tracing import Attribute, SpanName
from upriver.v1 import audit_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.calling.asked import Asked
from upriver_control.services.audits import write_audit
from upriver_control.services.question_wire import (
    duration,
    small,
    within,
    write_hop,
    write_later,
    write_question,
    write_span,
)
from upriver_control.spans.facts import SpanFacts, text
from upriver_control.spans.filters import Filter
from upriver_control.spans.hops import Hop
from upriver_control.spans.store import SpanStore
from upriver_control.spans.trace import Trace, put_together, way_up
from upriver_control.spans.why import why
from upriver_control.store.audits import AuditTable

MAX_BYTES: Final = 4_000_000
"""Of an answer: callers take 4 MiB unless they are told otherwise."""
_MAX_HOPS_BYTES: Final = 800_000
_MAX_SPANS_BYTES: Final = 2_000_000
_MAX_LATER_BYTES: Final = 300_000
_MAX_AUDITS: Final = 100
_MAX_NAME: Final = 200
_TRACE: Final = re.compile(r"[0-9a-fA-F]{32}")
_QUESTION: Final = re.compile(r"q-[0-9a-f]{16}-[0-9a-f]{16}(\.[0-9]{1,9})*")
_KINDS: Final = ("questions/", "tickets/", "lessons/")
LAST: Final = "last"


@dataclass(frozen=True, slots=True)
class TraceViews:
    """Reads traces. `trouble` says why no spans can be kept now; `url` has `{trace_id}` where another back end's is."""

    store: SpanStore
    audits: AuditTable
    trouble: Callable[[], str] = str
    url: str = ""

    def asked(self, name: str) -> Asked:
        """The question of a trace, at its touch point; raises as `trace` does, and NotFound where it has none."""
        id_, trace = self.trace(name)
        if trace.asked is None:
            raise NotFound(f"no agent's span of trace {id_.hex()} is here, so it can't be told what was asked")
        asked = trace.asked
        return Asked(
            trace=id_.hex(),
            span=trace.tree.nodes[asked.node].span.span.hex(),
            question=asked.question,
            agent=asked.agent,
            model=asked.model,
            rows=small(asked.row_count),
        )

    def trace(self, name: str) -> tuple[bytes, Trace]:
        """The trace with this id, of the question, ticket or lesson with this id, or the `last` one, put together.

        Raises InvalidInput for what is none of these, NotFound when no span of it is here, and as the store does.
        """
        id_, question = self._found(name)
        spans = self.store.trace(id_)
        if not spans:
            raise NotFound(f"no span of trace {id_.hex()} is here{self._unkept()}")
        return id_, put_together(spans, question)

    def get(self, request: pb.GetTraceRequest) -> pb.GetTraceResponse:
        """Everything that is known of a trace; raises as `trace` does."""
        id_, trace = self.trace(request.trace)
        later = self.store.later(id_)
        response = pb.GetTraceResponse(
            why=why(trace),
            clocks=[
                pb.ClockOffset(agent=clock.agent, offset=duration(clock.ahead_ns), estimated=clock.estimated)
                for clock in trace.clocks
            ],
            url=self.url.replace("{trace_id}", id_.hex()),
        )
        missing = list(trace.missing)
        nodes = trace.tree.nodes
        hops, no_hops = within((write_hop(trace, hop) for hop in trace.hops), _MAX_HOPS_BYTES)
        spans, no_spans = within((write_span(trace, index) for index in range(len(nodes))), _MAX_SPANS_BYTES)
        afterwards, no_later = within((write_later(span) for span in later), _MAX_LATER_BYTES)
        response.hops.extend(hops)
        response.spans.extend(spans)
        response.later.extend(reversed(afterwards))
        missing += _left_out(no_hops, "agents")
        missing += _left_out(no_spans + self.store.count(id_) - len(nodes), "spans")
        missing += _left_out(no_later, "later spans")
        if trace.asked is not None:
            missing += self._of_question(response, id_, trace, trace.asked, later)
        if trouble := self.trouble():
            missing.append(f"spans that come now can't be kept: {trouble}")
        if request.raw:
            missing += self._raw(response, id_)
        response.missing.extend(missing)
        return response

    def _found(self, name: str) -> tuple[bytes, str]:
        """The id of the trace that is meant, and that of the question in it if it was asked for by that."""
        plain = name[:_MAX_NAME]
        if plain == LAST:
            newest = (self.store.questions(Filter(every_hop=every), None, 1).questions for every in (False, True))
            row = next((rows[0] for rows in newest if rows), None)
            if row is None:
                raise NotFound(f"no question is here yet{self._unkept()}")
            return row.trace, ""
        if _TRACE.fullmatch(plain):
            return bytes.fromhex(plain), ""
        for kind in _KINDS:
            plain = plain.removeprefix(kind)
        if not _QUESTION.fullmatch(plain):
            raise InvalidInput(
                f"trace is {name[:80]!r}; expected 32 hexadecimal digits, the id of a question, ticket or lesson"
                f" (q-…), or {LAST}"
            )
        # A ticket of a row that is asked again is a question of its own; where it was first asked is meant.
        parts = plain.split(".")
        for length in range(1, len(parts) + 1):
            question = ".".join(parts[:length])
            if (found := self.store.first_of(question)) is not None:
                return found[0], question
        raise NotFound(f"no span of question {name[:80]} is here{self._unkept()}")

    def _unkept(self) -> str:
        """What else is to be said where nothing is found."""
        trouble = self.trouble()
        return f"; spans that come now can't be kept: {trouble}" if trouble else ""

    def _of_question(
        self, response: pb.GetTraceResponse, id_: bytes, trace: Trace, asked: Hop, later: Sequence[SpanFacts]
    ) -> list[str]:
        """Adds what belongs to the question that was asked; gives what is missing of it."""
        row = self.store.question(id_, trace.tree.nodes[asked.node].span.span)
        if row is not None:
            last = way_up(trace)[-1]
            known = {} if last.threshold is None else {(id_, last.agent): last.threshold}
            response.question.CopyFrom(write_question(row, known))
            response.question.error = asked.error
        tickets, unknown = _tickets(asked, later)
        response.tickets.extend(tickets)
        missing = [f"which {unknown} of its rows got tickets, too, is not told by spans"] if unknown else []
        try:
            response.audits.extend(self._audits(trace, asked))
        except (Unreachable, DiskTrouble) as error:
            missing.append(f"its audits, which can't be read now: {error}")
        return missing

    def _audits(self, trace: Trace, asked: Hop) -> Iterable[audit_pb2.Audit]:
        if not asked.question:
            return ()
        agents = {agent for hop in trace.hops for agent in (hop.agent, *hop.path) if agent}
        found = self.audits.of_question(asked.question, sorted(agents)[:1000], _MAX_AUDITS)
        return map(write_audit, found)

    def _raw(self, response: pb.GetTraceResponse, id_: bytes) -> list[str]:
        raw = self.store.exported(id_)
        if response.ByteSize() + len(raw) > MAX_BYTES:
            return [f"the spans as they came: they are {len(raw)} bytes, more than an answer holds besides the rest"]
        response.otlp = raw
        return []


def _left_out(number: int, what: str) -> list[str]:
    return [f"{number} more {what} of it, which an answer does not hold"] if number > 0 else []


def _tickets(asked: Hop, later: Iterable[SpanFacts]) -> tuple[list[str], int]:
    """Names of a question's tickets, and of how many rows it is not known which they are."""
    if not asked.ticketed or not asked.question:
        return [], 0
    if asked.row_count == 1:
        return [f"tickets/{asked.question}"], 0
    if asked.ticketed >= asked.row_count:
        rows = range(min(asked.row_count, _MAX_AUDITS))
        return [f"tickets/{asked.question}.{row}" for row in rows], asked.ticketed - len(rows)
    answered = {
        text(span.attributes, Attribute.QUESTION)
        for span in later
        if span.name == SpanName.TICKET and text(span.attributes, Attribute.QUESTION).startswith(f"{asked.question}.")
    }
    return [f"tickets/{ticket}" for ticket in sorted(answered)], max(0, asked.ticketed - len(answered))
