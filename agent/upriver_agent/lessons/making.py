"""From what was heard to lessons: on a thread of its own, after the answer has gone out."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from google.protobuf.message import DecodeError

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.heads import MAX_EMBEDDING
from upriver.oip.v2 import inference_pb2 as pb
from upriver.scores import Floats, probabilities
from upriver.tensors import Array, Tensor
from upriver_agent import wire
from upriver_agent.lessons.lesson import MAX_LABEL, Embedding, Lesson, content_of, largest
from upriver_agent.lessons.rules import Quotas, draw_of, named
from upriver_agent.merge import Answers
from upriver_agent.sealing import Seal
from upriver_agent.serving.pupil import Heard
from upriver_agent.serving.request import InferRequest
from upriver_agent.telemetry import NOWHERE, Origin


class Refusal(StrEnum):
    """Why an answer from above becomes no lesson."""

    HOLDOUT = "holdout"
    """Heads are tested on such questions, so none may learn from them."""
    QUOTA = "quota"
    UNUSABLE = "unusable"
    """No label that could be learnt, or an embedding that is not finite or too long."""


@dataclass(frozen=True, slots=True)
class Told:
    """A ticket that somebody answered late: its question and its answer as messages of one row, who answered, and
    where it was asked."""

    ticket: str
    model: str
    question: bytes
    reply: bytes
    origin: Origin = NOWHERE


class LessonMaker:
    """Makes lessons of the agent `me`. `holdout` is the share that never teaches; `seal` None keeps inputs as they are.

    `clock` is a Unix time.
    """

    def __init__(self, me: str, holdout: float, quotas: Quotas, seal: Seal | None, clock: Callable[[], float]) -> None:
        self._me = me
        self._holdout = holdout
        self._quotas = quotas
        self._seal = seal
        self._clock = clock

    def make(self, heard: Heard, refused: Counter[str]) -> list[Lesson]:
        """The lessons of what was heard; counts in `refused` why rows are none. Unresolved rows are not counted."""
        found = []
        facts = heard.answers.facts
        taught = [row for row in heard.escalated.tolist() if facts[row].resolved and facts[row].agent != self._me]
        embeddings = _embeddings(heard)
        for row in taught:
            draw = draw_of(heard.question, heard.numbers, row)
            if draw < self._holdout:
                refused[Refusal.HOLDOUT] += 1
                continue
            lesson = None if embeddings is None else self._lesson(heard, row, embeddings[row], draw)
            if lesson is None:
                refused[Refusal.UNUSABLE] += 1
            elif not self._quotas.allow(lesson.teacher, lesson.source):
                refused[Refusal.QUOTA] += 1
            else:
                found.append(lesson)
        return found

    def _lesson(self, heard: Heard, row: int, embedding: Embedding, draw: float) -> Lesson | None:
        answers, form = heard.answers, heard.loaded.form
        theirs = _shares(answers.outputs.get(answers.scores_output), row, answers.scores_are_logits, answers.labels)
        mine = _shares(heard.prediction.scores, row, form.scores_are_logits, form.labels)
        if not theirs or not mine or not np.isfinite(embedding).all():
            return None
        label, student = max(theirs, key=lambda name: theirs[name]), max(mine, key=lambda name: mine[name])
        if not 0 < len(label) <= MAX_LABEL:
            return None
        fact = answers.facts[row]
        question, number = named(heard.question, heard.numbers, row)
        version = heard.loaded.version.digest
        kept, sealed = self._input(heard.request, row, f"{question}.{number}")
        return Lesson(
            question=question,
            row=number,
            model=heard.loaded.model,
            version_digest=version,
            embedding=embedding,
            student_label=student,
            student_confidence=float(heard.confidence[row]),
            known=min(1.0, mine.get(label, 0.0)),
            label=label,
            probabilities=largest(theirs),
            teacher=fact.agent,
            teacher_tier=fact.tier,
            policy=fact.policy,
            teacher_confidence=fact.confidence,
            trace_id=heard.origin.trace_id,
            at=self._clock(),
            draw=draw,
            content=content_of(version, embedding),
            source=heard.source,
            consent=heard.request is not None,
            input=kept,
            sealed=sealed,
            span_id=heard.origin.span_id,
        )

    def _input(self, request: InferRequest | None, row: int, id_: str) -> tuple[bytes, str]:
        """A row's input as it is kept, and the name of the key that it is sealed with."""
        if request is None:
            return b"", ""
        tensors = [Tensor(one.name, one.datatype, one.array[row : row + 1]) for one in request.inputs.values()]
        data = wire.write_request(request.model, "", tensors, {}, row_facts=False).SerializeToString()
        if self._seal is None:
            return data, ""
        return self._seal.seal(data, id_), self._seal.name


def read_told(told: Told) -> tuple[InferRequest, Answers]:
    """A late answer's question, and the answer as a teacher's; raises InvalidInput, or AnswerInvalid."""
    try:
        request = wire.read_request(pb.ModelInferRequest.FromString(told.question))
        answer = wire.read_answer(_with_policy(pb.ModelInferResponse.FromString(told.reply)), 1)
    except DecodeError as error:
        raise InvalidInput(f"what was kept of ticket {told.ticket} can't be read: {error}") from error
    return request, answer.answers


def _with_policy(reply: pb.ModelInferResponse) -> pb.ModelInferResponse:
    """A reply that can be read as an agent's: who is no agent has no pair."""
    if names.POLICY not in reply.parameters:
        reply.parameters[names.POLICY].string_param = ""
    return reply


def _embeddings(heard: Heard) -> Embedding | None:
    """What the version made of all rows, as it is kept: [rows, embedding]; None when it can't be learnt from."""
    found = heard.prediction.embedding
    if found is None or found.shape[0] != len(heard.answers.facts):
        return None
    flat = found.reshape(len(found), -1)
    if not 1 <= flat.shape[1] <= MAX_EMBEDDING:
        return None
    with np.errstate(over="ignore"):  # what half precision can't hold is infinite, and then no lesson
        made: Embedding = flat.astype(np.float16)
    return made


def _shares(scores: Array | None, row: int, are_logits: bool, labels: Sequence[str]) -> Mapping[str, float]:
    """The probability of each label in one row, named by its number where labels have no names; none when unusable."""
    if scores is None or scores.ndim != 2 or not scores.shape[1] or scores.dtype.kind != "f":
        return {}
    shares: Floats = probabilities(scores[row : row + 1], are_logits=are_logits)[0]
    if labels and len(labels) != len(shares):
        return {}
    known = labels or [str(column) for column in range(len(shares))]
    found = {name: float(share) for name, share in zip(known, shares.tolist(), strict=True)}
    return found if all(map(math.isfinite, found.values())) and max(found.values()) > 0.0 else {}
