"""What travels with a question: the caller's options in request parameters, the mesh's envelope in gRPC metadata.

Both come from outside. Whatever is malformed raises InvalidInput naming the key, the value and what is allowed. Whom to
take an envelope from at all is decided before `parse_envelope` is called.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.parameters import Mode
from upriver_agent.row_numbers import read_rows, write_rows

ParameterValue = bool | int | float | str

MAX_VISITED = 64
"""Agents that a question may have been through; also the most hops that one may have left."""

MAX_AGENT_ID = 128

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_ID_ALLOWED = "1 to 128 of letters, digits and . _ : @ -, beginning with a letter or digit"
_NUMBER = re.compile(r"[0-9]{1,18}")
_NUMBER_ALLOWED = "a whole number of 1 to 18 digits"
_SHOWN = 80  # characters of a refused value that go into the message
_MAX_NAME = 128


_MODES = tuple(mode.value for mode in Mode)
_OPTIONS = frozenset({names.MODE, names.MAX_TIER, names.MIN_CONFIDENCE, names.REGION_ONLY, names.LEARN})
_ENVELOPE_KEYS = frozenset(
    {
        names.META_QUESTION,
        names.META_TOUCH_POINT,
        names.META_VISITED,
        names.META_HOPS_LEFT,
        names.META_BYTE_BUDGET,
        names.META_AUDIT,
        names.META_ALARM,
        names.META_ROWS,
    }
)
_OPTIONAL_KEYS = frozenset({names.META_BYTE_BUDGET, names.META_AUDIT, names.META_ALARM, names.META_ROWS})


@dataclass(frozen=True, slots=True)
class CallerOptions:
    """What the caller asked of the cascade. They hold on every tier, so they travel up with the question."""

    mode: Mode = Mode.AUTO
    max_tier: str | None = None
    min_confidence: float | None = None
    region_only: bool = False
    learn: bool = False


DEFAULT_OPTIONS = CallerOptions()


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a question has been and how far it may still go.

    `visited` has the agents that escalated it, touch point first; `byte_budget` is how many bytes may still be sent up,
    None for no limit. An `audit` is asked by nobody but the last agent in `visited`, to hold its answer against the
    top's: it is not audited again, gets no ticket, and waits when others need the room. `rows` are the numbers that
    the rows had at the touch point; none when they are the first ones. With `alarm`, that of all agents in
    `visited` has rung: what comes from there is all that clients bring, not what is hard.
    """

    question: str
    touch_point: str
    visited: tuple[str, ...]
    hops_left: int
    byte_budget: int | None
    audit: bool = False
    rows: tuple[int, ...] = ()
    alarm: bool = False


def is_agent_id(text: str) -> bool:
    """Whether an agent, or a question, may be called so."""
    return _ID.fullmatch(text) is not None


def parse_options(parameters: Mapping[str, ParameterValue]) -> CallerOptions:
    """The caller's options in a request's parameters; parameters that are not Upriver's are left alone.

    Raises InvalidInput for a value of the wrong kind and for an unknown name that begins with `upriver.`: a misspelt
    option must not be ignored. Whether `max_tier` names a tier is known to the ladder, see `cascade.rank_of`.
    """
    mine = [key for key in parameters if key.startswith("upriver.")]
    if not mine:
        return DEFAULT_OPTIONS
    for key in mine:
        if key not in _OPTIONS:
            raise InvalidInput(f"unknown parameter {key!r}; a request may have: {', '.join(sorted(_OPTIONS))}")
    return CallerOptions(
        mode=_mode(parameters.get(names.MODE, Mode.AUTO)),
        max_tier=_tier(parameters.get(names.MAX_TIER)),
        min_confidence=_confidence(parameters.get(names.MIN_CONFIDENCE)),
        region_only=_flag(names.REGION_ONLY, parameters.get(names.REGION_ONLY, False)),
        learn=_flag(names.LEARN, parameters.get(names.LEARN, False)),
    )


def options_to_parameters(options: CallerOptions) -> dict[str, ParameterValue]:
    """The request parameters that carry `options` up; what is default is left out.

    `mode=local` never travels: such a question is not escalated, so asking for it raises ValueError.
    """
    if options.mode is Mode.LOCAL:
        raise ValueError("a question with mode=local is answered where it is asked")
    parameters: dict[str, ParameterValue] = {}
    if options.mode is not Mode.AUTO:
        parameters[names.MODE] = options.mode.value
    if options.max_tier is not None:
        parameters[names.MAX_TIER] = options.max_tier
    if options.min_confidence is not None:
        parameters[names.MIN_CONFIDENCE] = options.min_confidence
    if options.region_only:
        parameters[names.REGION_ONLY] = True
    if options.learn:
        parameters[names.LEARN] = True
    return parameters


def first_envelope(question: str, me: str, max_hops: int, byte_budget: int | None) -> Envelope:
    """The envelope of a question that a client brought to this agent, its touch point."""
    return Envelope(question, me, (), min(max_hops, MAX_VISITED), byte_budget)


def next_envelope(
    envelope: Envelope, me: str, bytes_spent: int, some: Sequence[int] = (), alarmed: bool = False
) -> Envelope:
    """What goes up from here: this agent visited, one hop fewer, the budget less what the escalation takes.

    `some` are the indices of the rows that go up, rising, when not all of them do; `alarmed` says whether the alarm
    has rung here.
    """
    budget = envelope.byte_budget
    return replace(
        envelope,
        visited=(*envelope.visited, me),
        hops_left=max(0, envelope.hops_left - 1),
        byte_budget=None if budget is None else max(0, budget - bytes_spent),
        rows=tuple(envelope.rows[index] for index in some) if some and envelope.rows else tuple(some) or envelope.rows,
        alarm=alarmed and is_unsifted(envelope),
    )


def is_unsifted(envelope: Envelope | None) -> bool:
    """Whether what comes so is all that clients bring: from themselves (None), or past alarms alone."""
    return envelope is None or not envelope.visited or envelope.alarm


def may_hop(envelope: Envelope, me: str) -> bool:
    """The loop guard: whether a question with this envelope may be escalated from here."""
    return envelope.hops_left > 0 and len(envelope.visited) < MAX_VISITED and me not in envelope.visited


def envelope_to_metadata(envelope: Envelope) -> tuple[tuple[str, str], ...]:
    """The metadata that carries an envelope."""
    pairs: tuple[tuple[str, str], ...] = (
        (names.META_QUESTION, envelope.question),
        (names.META_TOUCH_POINT, envelope.touch_point),
        (names.META_VISITED, ",".join(envelope.visited)),
        (names.META_HOPS_LEFT, str(envelope.hops_left)),
    )
    if envelope.byte_budget is not None:
        pairs = (*pairs, (names.META_BYTE_BUDGET, str(envelope.byte_budget)))
    if envelope.rows:
        pairs = (*pairs, (names.META_ROWS, write_rows(envelope.rows)))
    flags = ((names.META_AUDIT, envelope.audit), (names.META_ALARM, envelope.alarm))
    return (*pairs, *((name, "1") for name, is_set in flags if is_set))


def parse_envelope(metadata: Iterable[tuple[str, str | bytes]], max_hops: int) -> Envelope | None:
    """The envelope in a call's metadata, or None when there is none; `max_hops` caps the hops left.

    Raises InvalidInput when it is incomplete or malformed.
    """
    fields: dict[str, str] = {}
    for key, value in metadata:
        if key not in _ENVELOPE_KEYS:
            continue
        if key in fields:
            raise InvalidInput(f"metadata {key!r} appears twice: expected once")
        if isinstance(value, bytes):
            raise _malformed(key, value, "text")
        fields[key] = value
    if not fields:
        return None
    missing = sorted(_ENVELOPE_KEYS - fields.keys() - _OPTIONAL_KEYS)
    if missing:
        raise InvalidInput(f"the envelope is incomplete, metadata missing: {', '.join(missing)}")
    budget = names.META_BYTE_BUDGET
    return Envelope(
        question=_id(names.META_QUESTION, fields[names.META_QUESTION]),
        touch_point=_id(names.META_TOUCH_POINT, fields[names.META_TOUCH_POINT]),
        visited=_visited(fields[names.META_VISITED]),
        hops_left=min(_number(names.META_HOPS_LEFT, fields[names.META_HOPS_LEFT]), max_hops, MAX_VISITED),
        byte_budget=_number(budget, fields[budget]) if budget in fields else None,
        audit=_flagged(names.META_AUDIT, fields),
        alarm=_flagged(names.META_ALARM, fields),
        rows=_rows(fields.get(names.META_ROWS)),
    )


def _rows(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return read_rows(text)
    except ValueError as error:
        raise _malformed(names.META_ROWS, text, f"base64url of a bit for each row ({error})") from error


def _flagged(key: str, fields: Mapping[str, str]) -> bool:
    text = fields.get(key)
    if text not in (None, "1"):
        raise _malformed(key, text or "", "1, or nothing of that name")
    return text is not None


def _visited(text: str) -> tuple[str, ...]:
    ids = text.split(",", MAX_VISITED)
    if len(ids) > MAX_VISITED:
        raise _malformed(names.META_VISITED, text, f"at most {MAX_VISITED} agent ids")
    return tuple(_id(names.META_VISITED, id_) for id_ in ids)


def _id(key: str, text: str) -> str:
    if not is_agent_id(text):
        raise _malformed(key, text, _ID_ALLOWED)
    return text


def _number(key: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _malformed(key, text, _NUMBER_ALLOWED)
    return int(text)


def _malformed(key: str, value: str | bytes, allowed: str) -> InvalidInput:
    return InvalidInput(f"metadata {key!r} is {value[:_SHOWN]!r}: expected {allowed}")


def _mode(value: ParameterValue) -> Mode:
    if not isinstance(value, str) or value not in _MODES:
        raise _not_allowed(names.MODE, value, f"one of {', '.join(_MODES)}")
    return Mode(value)


def _tier(value: ParameterValue | None) -> str | None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _MAX_NAME):
        raise _not_allowed(names.MAX_TIER, value, f"the name of a tier, at most {_MAX_NAME} characters")
    return value


def _confidence(value: ParameterValue | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | str) or math.isnan(value):
        raise _not_allowed(names.MIN_CONFIDENCE, value, "a number, sent as double_param or int64_param")
    return float(value)


def _flag(key: str, value: ParameterValue) -> bool:
    if not isinstance(value, bool):
        raise _not_allowed(key, value, "true or false, sent as bool_param")
    return value


def _not_allowed(key: str, value: ParameterValue, allowed: str) -> InvalidInput:
    shown = value[:_SHOWN] if isinstance(value, str) else value
    return InvalidInput(f"parameter {key!r} is {shown!r}: expected {allowed}")
