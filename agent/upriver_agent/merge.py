"""Puts the answers that came from above into the batch that they belong to: by row, and by the names of the labels.

Tiers may order their labels differently and know different ones, so columns are matched by name. The merged scores have
the local labels first, in their order, then those that only the upstream knows; a label that a row's answerer does not
know has probability 0 (logit -inf). Of a name that a list has several times, the first is matched with the first, the
second with the second, and so on.

Output names belong to the model's contract and are the same on every tier, except that of the scores output, which each
side names.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upriver import parameters as names
from upriver.errors import UpriverError
from upriver.labels import numbered
from upriver.parameters import Reason
from upriver.scores import probabilities
from upriver.tensors import Array
from upriver_agent.envelope import MAX_VISITED, is_agent_id

_MAX_TEXT = 256


class AnswerInvalid(UpriverError):
    """What an upstream sent is no answer to what it was asked: the escalation has failed."""

    reason = "UPSTREAM_ANSWER_INVALID"


class RowFacts(NamedTuple):
    """Who answered one row and why. `path` has the agents that it went through, touch point first, answerer last.

    `fused` says whether answers from tiers below went into it.

    A named tuple and no dataclass: one is made for every answer, and this is four times faster.
    """

    agent: str
    tier: str
    confidence: float
    resolved: bool
    reason: Reason
    degraded: bool
    path: tuple[str, ...]
    policy: str
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Outputs, each [rows, ...], and the facts of each row.

    `labels` name the columns of the output `scores_output` (a classifier), or what the numbers in the output
    `classes_output` stand for (a detector). `whole` names further outputs that make up the answer: a row has all of
    them from one answerer.
    """

    outputs: Mapping[str, Array]
    facts: Sequence[RowFacts]
    labels: tuple[str, ...] = ()
    scores_output: str = ""
    scores_are_logits: bool = False
    classes_output: str = ""
    whole: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged batch. `kept_local` names outputs (an embedding, say) whose rows from above have another shape or type
    than ours, or are missing; there our own rows remain."""

    answers: Answers
    kept_local: tuple[str, ...]


def merge(local: Answers, above: Answers, rows: NDArray[np.intp], me: str) -> Merged:
    """Replaces `rows` of `local` by the rows of `above`, in that order; `me` is put before their paths.

    Raises AnswerInvalid when the upstream's answer does not have these rows or can't be expressed in our outputs.
    """
    if len(above.facts) != len(rows):
        raise AnswerInvalid(f"the upstream gave facts for {len(above.facts)} rows: expected {len(rows)}")
    if bool(local.labels) != bool(above.labels):
        raise AnswerInvalid("one tier names its labels and the other does not: answers can't be matched by name")
    labels, positions = _union(local.labels, above.labels)
    outputs: dict[str, Array] = {}
    kept = []
    for name, mine in local.outputs.items():
        if name == local.scores_output:
            found = above.outputs.get(above.scores_output or name)
            theirs = _fitting(name, found, (len(rows), len(above.labels) or mine.shape[-1]))
            outputs[name] = _merged_scores(mine, _as_kind(theirs, local, above), rows, positions, len(labels), local)
            continue
        found = above.outputs.get(name)
        if found is not None and found.dtype == mine.dtype and found.shape == (len(rows), *mine.shape[1:]):
            new = _renumbered(found, positions) if name == local.classes_output else found
            outputs[name] = _replaced(mine, rows, new)
        elif name in local.whole or name == local.classes_output:
            raise AnswerInvalid(f"the upstream's output {name!r} is {_told(found)}: expected {_told(mine)}")
        else:
            outputs[name] = mine
            kept.append(name)
    facts = list(local.facts)
    for row, fact in zip(rows.tolist(), above.facts, strict=True):
        facts[row] = fact._replace(path=(me, *fact.path))
    return Merged(replace(local, outputs=outputs, facts=tuple(facts), labels=labels), tuple(kept))


def least_certain(facts: Sequence[RowFacts]) -> RowFacts:
    """The row that a batch's parameters speak of: unresolved before resolved, then the lowest confidence."""
    return min(facts, key=lambda fact: (fact.resolved, fact.confidence))


def read_row_facts(columns: Mapping[str, Sequence[object]], rows: int) -> tuple[RowFacts, ...]:
    """Facts of each row from an upstream's row-wise outputs, by parameter name; texts may be bytes.

    Raises AnswerInvalid for a missing column and for a value that is not what it should be. Who does not tell whether
    an answer is fused does not fuse.
    """
    for name in _ROW_WISE:
        if len(columns.get(name, ())) != rows:
            raise AnswerInvalid(f"the upstream's {name!r} has {len(columns.get(name, ()))} rows: expected {rows}")
    told = (*_ROW_WISE, names.FUSED) if len(columns.get(names.FUSED, ())) == rows else _ROW_WISE
    return tuple(_read_row({name: columns[name][row] for name in told}) for row in range(rows))


_ROW_WISE = (
    names.AGENT,
    names.TIER,
    names.CONFIDENCE,
    names.RESOLVED,
    names.REASON,
    names.DEGRADED,
    names.PATH,
    names.POLICY,
)


def _read_row(row: Mapping[str, object]) -> RowFacts:
    path = tuple(_text(row, names.PATH).split(",", MAX_VISITED + 1))
    agent = _text(row, names.AGENT)
    if len(path) > MAX_VISITED + 1 or not all(is_agent_id(id_) for id_ in (agent, *path)):
        raise _refused(row, names.PATH, f"1 to {MAX_VISITED + 1} agent ids, separated by commas")
    reason = _text(row, names.REASON)
    if reason not in _REASONS:
        raise _refused(row, names.REASON, f"one of {', '.join(_REASONS)}")
    confidence = row[names.CONFIDENCE]
    if not isinstance(confidence, float | np.floating) or not confidence < math.inf:
        raise _refused(row, names.CONFIDENCE, "a number below infinity")
    return RowFacts(
        agent=agent,
        tier=_text(row, names.TIER),
        confidence=float(confidence),
        resolved=_flag(row, names.RESOLVED),
        reason=Reason(reason),
        degraded=_flag(row, names.DEGRADED),
        path=path,
        policy=_text(row, names.POLICY),
        fused=names.FUSED in row and _flag(row, names.FUSED),
    )


_REASONS = tuple(reason.value for reason in Reason)


def _text(row: Mapping[str, object], name: str) -> str:
    value = row[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or len(value) > _MAX_TEXT * (MAX_VISITED if name == names.PATH else 1):
        raise _refused(row, name, f"text of at most {_MAX_TEXT} characters")
    return value


def _flag(row: Mapping[str, object], name: str) -> bool:
    value = row[name]
    if not isinstance(value, bool | np.bool_):
        raise _refused(row, name, "true or false")
    return bool(value)


def _refused(row: Mapping[str, object], name: str, allowed: str) -> AnswerInvalid:
    return AnswerInvalid(f"the upstream's {name!r} is {str(row[name])[:80]!r}: expected {allowed}")


def _union(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Our labels followed by the upstream's that we lack, and where each of the upstream's is among them."""
    if ours == theirs:
        return ours, np.arange(len(theirs))
    where = {label: index for index, label in enumerate(numbered(ours))}
    positions = [where.setdefault(label, len(where)) for label in numbered(theirs)]
    return tuple(label for label, _ in where), np.array(positions, dtype=np.intp)


def _fitting(name: str, theirs: Array | None, shape: tuple[int, int]) -> Array:
    """The upstream's scores when they can be merged into ours: floats with as many columns as it has labels."""
    if theirs is None or theirs.shape != shape or theirs.dtype.kind != "f":
        raise AnswerInvalid(f"the upstream's scores for {name!r} are {_told(theirs)}: expected floats {list(shape)}")
    return theirs


def _as_kind(theirs: Array, local: Answers, above: Answers) -> Array:
    """The upstream's scores as what ours are: its logits as probabilities, or its probabilities as logits log p."""
    if local.scores_are_logits == above.scores_are_logits:
        return theirs
    if above.scores_are_logits:
        return probabilities(theirs, are_logits=True)
    with np.errstate(divide="ignore"):
        logits: Array = np.log(np.maximum(theirs, 0.0))
    return logits


def _merged_scores(
    mine: Array, theirs: Array, rows: NDArray[np.intp], positions: NDArray[np.intp], columns: int, local: Answers
) -> Array:
    if not local.labels:
        return _replaced(mine, rows, theirs)
    missing = -math.inf if local.scores_are_logits else 0.0
    merged = np.full((mine.shape[0], columns), missing, dtype=mine.dtype)
    merged[:, : mine.shape[1]] = mine
    merged[rows] = missing
    merged[np.ix_(rows, positions)] = theirs
    return merged


def _renumbered(classes: Array, positions: NDArray[np.intp]) -> Array:
    """An upstream's label numbers as ours; what is no number of a label (padding) stays as it is."""
    if not len(positions):
        return classes
    if classes.dtype.kind in "iu" and positions.max() > np.iinfo(classes.dtype).max:
        raise AnswerInvalid(f"{classes.dtype} can't hold the number of every label that the tiers know together")
    known = (classes >= 0) & (classes < len(positions)) & (classes == np.floor(classes))
    result = classes.copy()
    result[known] = positions[classes[known].astype(np.intp)]
    return result


def _replaced(mine: Array, rows: NDArray[np.intp], theirs: Array) -> Array:
    merged = mine.copy()
    merged[rows] = theirs
    return merged


def _told(array: Array | None) -> str:
    return "missing" if array is None else f"{array.dtype} {list(array.shape)}"
