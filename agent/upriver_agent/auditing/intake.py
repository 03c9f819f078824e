"""From what was noticed to cases: on a thread of its own, after the answer has gone out."""

import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np

from upriver.errors import InferenceFailed
from upriver.parameters import Reason
from upriver.policies import rules_digest
from upriver.scores import ScoreKind
from upriver.tensors import Array, Tensor
from upriver_agent import coin, wire
from upriver_agent.auditing.case import Case, Parts, Verdict, answer_of, judge, may_be_audited, write_case
from upriver_agent.auditing.store import Waiting
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.place import Place
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.request import InferAnswer
from upriver_agent.serving.scoring import make_features
from upriver_agent.serving.shadow import told
from upriver_agent.serving.watch import Noticed
from upriver_agent.versions.manifest import TaskKind

MOST_REQUESTS: Final = 256
MOST_BYTES: Final = 32 << 20
"""Of what was noticed and waits for its turn; beyond it what comes is dropped, whatever it is."""


class Inbox:
    """What was noticed and waits for its turn. Safe to share between threads; putting in never waits."""

    def __init__(self) -> None:
        self.dropped = 0
        """Rows that there was no room for."""
        self._queue: SimpleQueue[tuple[Noticed, int]] = SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self._requests = 0

    def put(self, noticed: Noticed) -> None:
        """Takes a request in, or drops it when there is no room."""
        size = sum(array.nbytes if array.dtype.kind != "O" else _bytes_of(array) for array in noticed.arrays.values())
        with self._lock:
            if self._requests >= MOST_REQUESTS or (self._requests and self._bytes + size > MOST_BYTES):
                self.dropped += len(noticed.audited)
                return
            self._requests += 1
            self._bytes += size
        self._queue.put((noticed, size))

    @property
    def requests(self) -> int:
        """How many wait."""
        return self._requests

    def get(self, timeout_s: float) -> Noticed | None:
        """The next one, None when there is none in time."""
        try:
            noticed, size = self._queue.get(timeout=timeout_s)
        except Empty:
            return None
        with self._lock:
            self._requests -= 1
            self._bytes -= size
        return noticed


@dataclass(frozen=True, slots=True)
class Opened:
    """The cases of one request: those that wait for the top, and verdicts where it has answered already."""

    waiting: tuple[Waiting, ...]
    verdicts: tuple[Verdict, ...]
    forbidden: int
    """Rows that the caller or the mesh does not let the top see."""


class CaseMaker:
    """Makes cases at one place. `top_near` says whether a top is known in this region for a model."""

    def __init__(self, place: Place, top_near: Callable[[str], bool], clock: Callable[[], float] = time.time) -> None:
        self._place = place
        self._top_near = top_near
        self._clock = clock
        self._features: dict[str, Callable[..., dict[ScoreKind, Array]]] = {}
        self._rules: dict[str, str] = {}

    def open(self, noticed: Noticed, rate: float) -> Opened:
        """The cases of a request, audited at this rate."""
        options, rows = noticed.request.options, len(noticed.confidence)
        row_bytes = sum(_bytes_of(array) for array in noticed.arrays.values()) // rows
        near = not options.region_only or self._top_near(noticed.loaded.model)
        if not may_be_audited(options, self._place, noticed.budget, row_bytes * len(noticed.audited), near):
            return Opened((), (), len(noticed.audited))
        question = noticed.question or coin.question_id(noticed.number, secrets.randbits(64))
        features = self._features_of(noticed)
        waiting, verdicts = [], []
        rising = zip(noticed.audited.tolist(), noticed.rows, noticed.draws.tolist(), strict=True)
        for row, asked_row, draw in rising:
            case = replace(self._case(noticed, question, row, draw, rate, features), row=asked_row)
            own = self._own(noticed, row)
            fact = noticed.answers.facts[row]
            # What the top makes of its own answer and those from below is not what it says by itself.
            if fact.agent != self._place.agent and fact.tier == self._place.tiers[-1] and not fact.fused:
                try:
                    verdicts.append(judge(case, own, noticed.answers, row))
                except ValueError:
                    continue  # it was asked as part of an answer that could be merged: nothing to compare
            else:
                waiting.append(self._waiting(noticed, case, own, row))
        return Opened(tuple(waiting), tuple(verdicts), 0)

    def _case(
        self,
        noticed: Noticed,
        question: str,
        row: int,
        draw: int,
        rate: float,
        features: dict[ScoreKind, Array],
    ) -> Case:
        loaded, options = noticed.loaded, noticed.request.options
        policy, form = loaded.policy, loaded.form
        confidence = float(noticed.confidence[row])
        parts = Parts(
            scores=form.scores_output,
            boxes=form.boxes_output,
            box_scores=form.box_scores_output,
            classes=form.classes_output,
            count=form.count_output,
            value=form.value_output,
            embedding=loaded.version.manifest.outputs.embedding or "",
        )
        fact = noticed.answers.facts[row]
        # Only classifiers are taught; of other answers only the bits could be held against the top's. People are of no
        # tier: they may know better than it.
        taught = loaded.version.manifest.task.kind is TaskKind.CLASSIFY and (
            fact.agent != self._place.agent and fact.tier in self._place.tiers[:-1] and fact.resolved
        )
        return Case(
            question=question,
            row=row,
            asked=self._clock(),
            model=loaded.model,
            version_digest=loaded.version.digest,
            policy_digest=policy.digest,
            rules_digest=self._rules_of(loaded),
            agreement=policy.document.agreement.name,
            settings=dict(policy.document.agreement.settings),
            parts=parts,
            confidence=confidence if math.isfinite(confidence) else None,
            features={
                kind.value: float(values[row]) for kind, values in features.items() if math.isfinite(values[row])
            },
            passes=confidence >= policy.threshold and confidence > -math.inf,
            answered_here=fact.agent == self._place.agent,
            brought=noticed.brought,
            draw=min(draw / coin.SPAN, math.nextafter(1.0, 0.0)),
            rate=rate,
            region_only=options.region_only,
            teacher=fact.agent if taught else "",
            teacher_policy=fact.policy if taught else "",
            teacher_answer=answer_of(parts, noticed.answers, row) if taught else "",
        )

    def _own(self, noticed: Noticed, row: int) -> Answers:
        form, place = noticed.loaded.form, self._place
        outputs = {name: array[row : row + 1] for name, array in told(noticed.prediction, form).items()}
        confidence = float(noticed.confidence[row])
        fact = RowFacts(
            place.agent,
            place.tier,
            confidence,
            True,
            Reason.CONFIDENT,
            False,
            (place.agent,),
            noticed.loaded.policy.digest,
        )
        return Answers(
            outputs, (fact,), form.labels, form.scores_output, form.scores_are_logits, form.classes_output, form.whole
        )

    def _waiting(self, noticed: Noticed, case: Case, own: Answers, row: int) -> Waiting:
        tensors = [
            Tensor(name, noticed.request.inputs[name].datatype, array[row : row + 1])
            for name, array in noticed.arrays.items()
        ]
        answer = InferAnswer(case.model, noticed.loaded.name, "", own)
        return Waiting(
            question=case.question,
            row=case.row,
            model=case.model,
            region_only=case.region_only,
            draw=case.draw,
            asked=case.asked,
            facts=write_case(case),
            request=wire.write_request(case.model, "", tensors, {}, False).SerializeToString(),
            answer=wire.write_answer(answer).SerializeToString(),
        )

    def _features_of(self, noticed: Noticed) -> dict[ScoreKind, Array]:
        loaded = noticed.loaded
        make = self._features.get(loaded.policy.digest)
        if make is None:
            self._forget()
            make = self._features[loaded.policy.digest] = make_features(loaded.version.manifest, loaded.policy.document)
        try:
            return dict(make(noticed.prediction))
        except InferenceFailed:
            return {}

    def _rules_of(self, loaded: LoadedVersion) -> str:
        digest = self._rules.get(loaded.policy.digest)
        if digest is None:
            self._forget()
            digest = self._rules[loaded.policy.digest] = rules_digest(loaded.policy.document)
        return digest

    def _forget(self) -> None:
        for known in (self._features, self._rules):
            while len(known) >= 64:
                known.pop(next(iter(known)))


def _bytes_of(array: Array) -> int:
    if array.dtype.kind == "O":
        return int(np.sum([len(item) for item in array.reshape(-1)]))
    return array.nbytes
