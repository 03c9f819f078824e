"""Who answered and why, in one paragraph of plain words. Pure.

The first sentence says it; what follows says how it came to that, in the order of the way, and what is not known. The
meaning of reasons is that of docs/cascade.md.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from upriver.parameters import Reason
from upriver.tracing import Attribute, EventName, SpanName
from upriver_control.spans.facts import text
from upriver_control.spans.hops import Cause, Hop, Outcome, Try, named
from upriver_control.spans.trace import Trace, way_up
from upriver_control.telling.reasons import WHY_ENDED

MAX_HOPS: Final = 8
MAX_TRIES: Final = 4
MAX_MISSING: Final = 3
MAX_NOTES: Final = 3
MAX_QUOTED: Final = 160
_UNITS: Final = (("ms", 1e6, 1e9), ("s", 1e9, 100e9), ("min", 60e9, 6000e9), ("h", 3600e9, 48 * 3600e9))
"""A unit, its nanoseconds, and from when on the next one is used."""
_PASSED_OVER: Final[Mapping[str, str]] = {
    Reason.BREAKER_OPEN: "it was being left alone, as it kept failing",
    Reason.UPSTREAM_FULL: "it had as many questions of this agent as it takes",
    Reason.BYTE_BUDGET: "sending it there would have taken more bytes than the question had left",
}


def why(trace: Trace) -> str:
    """The paragraph, on one line. At most some thousand characters, whatever the trace."""
    # Names and messages are whatever whoever may export has written.
    return " ".join(" ".join(_sentences(trace)).split())


def _sentences(trace: Trace) -> Iterable[str]:
    asked = trace.asked
    if asked is None:
        return [_unasked(trace), *_unknown(trace)]
    way = way_up(trace)
    sentences = [_verdict(asked, way[-1])]
    sentences += [line for hop in way[:MAX_HOPS] for line in _step(hop)]
    if len(way) > MAX_HOPS:
        sentences.append(f"{len(way) - MAX_HOPS} more agents were on its way.")
    sentences.append(_times(asked, way[-1]))
    if asked.ticketed:
        waits = "1 row waits" if asked.ticketed == 1 else f"{asked.ticketed} rows wait"
        sentences.append(f"{waits} for a better answer, under a ticket.")
    return [*sentences, *_unknown(trace)]


def duration(nanoseconds: float) -> str:
    """A time for people, with its unit: `0.4 ms`, `61 ms`, `2.3 s`, `4 min`, `2.0 days`."""
    unit, size = next(((unit, size) for unit, size, most in _UNITS if abs(nanoseconds) < most), ("days", 86400e9))
    value = nanoseconds / size
    return f"{value:.0f} {unit}" if abs(value) >= 10 else f"{value:.1f} {unit}"


def held_against(score: float, threshold: float | None) -> str:
    """A confidence and what it takes, with as many digits as tell them apart: `0.41, where it takes 0.70`."""
    if score == -math.inf:
        return "it can't tell how sure it is"
    if threshold is None:
        return _told(score)
    if math.isinf(threshold):
        return f"{_told(score)}, where {'nothing' if threshold > 0 else 'anything'} is enough"
    digits = next((digits for digits in range(2, 10) if _told(score, digits) != _told(threshold, digits)), 2)
    return f"{_told(score, digits)}, where it takes {_told(threshold, digits)}"


def _told(score: float, digits: int = 2) -> str:
    return f"{score:.{digits}f}" if abs(score) < 1e6 else f"{score:.{digits}e}"


def _unasked(trace: Trace) -> str:
    """What a trace is in which no question came in that is told of."""
    for node in trace.tree.nodes:
        if node.span.name == SpanName.AUDIT:
            top = text(node.span.attributes, Attribute.UPSTREAM_AGENT) or "the top"
            question = text(node.span.attributes, Attribute.QUESTION)
            about = f" to question {question}" if question else ""
            rang = any(event.name == EventName.ALARM for event in node.span.events)
            end = " With that its alarm rang." if rang else ""
            return (
                f"An audit: {named(node.agent, '')} held its own answer{about} against {top}'s, and they differ.{end}"
            )
    return "No agent's span of it is here, so it can't be told who answered."


def _verdict(asked: Hop, last: Hop) -> str:
    if asked.failed:
        said = f": {_quoted(asked.error)}" if asked.error else ""
        return f"{asked.name} could not answer{said}" + (f" ({asked.reason})." if asked.reason else ".")
    if not asked.answered_by:
        return f"{asked.name} was asked; whether it answered is not told."
    here = last.agent == asked.answered_by
    own = asked.answered_by == asked.agent
    who = named(asked.answered_by, _tier(asked, last)) + (" gave its own answer" if own else " answered")
    score, threshold = asked.answer_score, last.threshold if here else None
    sure = "" if score is None else held_against(score, threshold)
    rows = f" Of its {asked.row_count} rows this is said of the least certain one." if asked.row_count > 1 else ""
    if asked.reason == Reason.CONFIDENT:
        return f"{who}, because it was sure enough" + (f": {sure}." if sure else ".") + rows
    if asked.resolved:
        doubt = f", and was sure enough ({sure})" if sure else ""
    else:
        doubt = f", though it was not sure enough ({sure})" if sure else ", though it was not sure enough"
    because = WHY_ENDED.get(asked.reason, f"the reason is told as {asked.reason!r}" if asked.reason else "")
    ended = f": {because}." if because else "."
    return f"{who}{doubt}{ended}{_standing(asked)}{rows}"


def _tier(asked: Hop, last: Hop) -> str:
    """The tier of who answered: as it says itself, else as those say that know it."""
    if last.agent == asked.answered_by:
        return last.tier
    tiers = [one.tier for hop in (last, asked) for one in hop.tries if one.agent == asked.answered_by]
    return asked.answered_tier or next(filter(None, tiers), "")


def _standing(asked: Hop) -> str:
    if asked.degraded:
        return " The answer is degraded: a higher tier should have been asked and could not be."
    return "" if asked.resolved else " Nobody was sure, so it is a best guess."


def _step(hop: Hop) -> Iterable[str]:
    """What one agent did to have it answered above, and what else happened there."""
    asked = [one for one in hop.tries if one.node >= 0]
    if asked:
        yield f"{hop.name} {_unsure(hop)}, so it asked {_sent(hop, asked[0])}."
    odd = [one for one in hop.tries if one.outcome is not Outcome.ANSWERED or one.cause in (Cause.RETRY, Cause.HEDGE)]
    yield from (_odd(one) for one in odd[:MAX_TRIES])
    if len(odd) > MAX_TRIES:
        yield f"{len(odd) - MAX_TRIES} more were asked or passed over."
    if hop.notes:
        yield f"At {hop.agent}: {'; '.join(_quoted(note) for note in hop.notes[:MAX_NOTES])}."


def _unsure(hop: Hop) -> str:
    if hop.score is None:
        return "did not settle it"
    if hop.threshold is not None and hop.score >= hop.threshold:
        return f"was sure enough itself ({held_against(hop.score, hop.threshold)}), but the question was to go higher"
    return f"was not sure enough ({held_against(hop.score, hop.threshold)})"


def _sent(hop: Hop, first: Try) -> str:
    who = named(first.agent, first.tier)
    return f"{who} about {first.rows} of {hop.row_count} rows" if 0 < first.rows < hop.row_count else who


def _odd(one: Try) -> str:
    who = named(one.agent, one.tier)
    match one.outcome:
        case Outcome.PASSED_OVER:
            return f"{who} was passed over: {_PASSED_OVER.get(one.reason, one.reason or 'why is not told')}."
        case Outcome.CANCELLED:
            return f"{who} was cancelled after {duration(one.length_ns)}: {_quoted(one.message) or 'why is not told'}."
        case Outcome.FAILED:
            return f"{who} did not answer within {duration(one.length_ns)}: {_quoted(one.message) or one.reason}."
        case Outcome.OPEN:
            return f"What came of asking {who} is not told."
        case Outcome.ANSWERED:
            beside = "beside one that was late" if one.cause is Cause.HEDGE else "after one that failed"
            return f"{who} was asked {beside}, and answered after {duration(one.length_ns)}."


def _times(asked: Hop, last: Hop) -> str:
    took = f"It took {duration(asked.length_ns)}"
    if last is not asked:
        took += f", of which {duration(last.length_ns)} at {last.agent}"
    return f"{took}."


def _unknown(trace: Trace) -> Iterable[str]:
    for clock in trace.clocks[:MAX_MISSING]:
        off = f"{duration(abs(clock.ahead_ns))} {'ahead' if clock.ahead_ns > 0 else 'behind'}"
        yield f"The clock of {clock.agent or 'somebody'} is {off}; its times are corrected."
    missing = trace.missing[:MAX_MISSING]
    if missing:
        more = len(trace.missing) - len(missing)
        yield f"Missing: {'; '.join(missing)}{f'; and {more} more' if more else ''}."


def _quoted(message: str) -> str:
    """The beginning of what a program said, without its full stop."""
    return (message if len(message) <= MAX_QUOTED else f"{message[:MAX_QUOTED]}…").rstrip(".")
