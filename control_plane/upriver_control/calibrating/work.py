"""One calibration, as a process of its own: `python -m upriver_control.calibrating.work ORDER`.

Standard output gets one JSON object a line: `doing` and `progress`, and a last one with `made`, or `failed` and why.
The outcome is written into the order's folder. When standard input ends, whoever started it has gone: it ends with all
its children, which are in its process group.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from upriver import child
from upriver.errors import InvalidInput, ProblemList, UpriverError
from upriver.listing import digest as digest_of
from upriver.questions import INPUTS, LABELS, Index, read_index, read_rows
from upriver_control.calibrating.answers import Answers, answers
from upriver_control.calibrating.order import QUESTIONS, Made, Order, head_of, read_order, version_of, write_made
from upriver_control.calibrating.outcome import made_of
from upriver_control.calibrating.recertifying import recertified
from upriver_control.calibration.calibrate import calibrate
from upriver_control.calibration.inputs import CalibrationInput, Target
from upriver_control.jobs import Source
from upriver_control.jobs.costs import costs
from upriver_control.jobs.split import by_number
from upriver_control.jobs.wording import read_agreement

ANSWERING: Final = 0.8
"""The share of the work that answering is."""
_SHOWN: Final = 5


class Telling:
    """Says on a line of its own how far it is; the share never falls."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._share = 0.0

    def __call__(self, doing: str, share: float) -> None:
        """What is being done, and the share of all work that is behind."""
        self._share = max(self._share, min(1.0, share))
        self.line({"doing": doing, "progress": round(self._share, 4)})

    def line(self, told: dict[str, Any]) -> None:
        """Writes one object."""
        self._out.write(json.dumps(told) + "\n")
        self._out.flush()


def main() -> int:
    """Does what the order says; the exit status is 0 whenever there is an answer."""
    telling = Telling(child.answering())
    child.end_with_parent(lambda: os.killpg(0, signal.SIGKILL))
    order = read_order(Path(sys.argv[1]))
    child.limit(order.memory_mib)
    try:
        made = recertified(order, telling) if order.spec.source is Source.AUDITS else worked_out(order, telling)
        write_made(made, Path(order.folder))
        telling.line({"made": True})
    except MemoryError:
        telling.line({"failed": f"it needs more than {order.memory_mib} MiB of memory: use fewer questions"})
    except UpriverError as error:
        problems = error.problems if isinstance(error, ProblemList) else (str(error),)
        telling.line({"failed": "; ".join(problems)})
    except OSError as error:
        telling.line({"failed": f"{error.filename or order.folder}: {error.strerror or error}"})
    return 0


def worked_out(order: Order, telling: Telling) -> Made:
    """Has every tier answer, and calibrates."""
    spec, questions = order.spec, Path(order.folder) / QUESTIONS
    index = read_index(questions)
    if not index.rows:
        raise InvalidInput("the data has no questions")
    if spec.labels and not index.has_labels:
        raise InvalidInput("the data has no labels; calibrate without --labels, or give each question its label")
    found = _all_answers(order, questions, index, telling)
    agreement = read_agreement(spec.agreement or found[-1].agreement)
    notes: list[str] = []
    truth = _truth(questions, found[-1], notes) if spec.labels else None
    tune, certify = by_number(index.rows, spec.seed, spec.tune_share)
    table = costs(spec, _question_bytes(questions, index))
    given = CalibrationInput(
        tiers=tuple(one.outputs for one in found),
        tune=tune,
        calibrate=certify,
        costs=table,
        target=Target(spec.max_loss, 1.0 - spec.confidence, spec.form),
        data=spec.data,
        agreement=agreement,
        truth=truth,
        fuse=spec.fuse,
    )
    calibration = calibrate(given, lambda what, share: telling(what, ANSWERING + (1.0 - ANSWERING) * share))
    below = [0.0, *(float(table[place - 1, place]) for place in range(1, len(spec.tiers)))]
    return made_of(spec, calibration, len(tune), below, notes)


def _all_answers(order: Order, questions: Path, index: Index, telling: Telling) -> list[Answers]:
    spec, folder = order.spec, Path(order.folder)
    weights = np.cumsum([0.0, *(max(tier.invoke_ms, 0.01) for tier in spec.tiers)])
    weights *= ANSWERING / weights[-1]
    found: list[Answers] = []
    for place, tier in enumerate(spec.tiers):
        doing = f"{tier.tier} answers {index.rows} questions"
        begin, width = float(weights[place]), float(weights[place + 1] - weights[place])
        telling(doing, begin)
        head = head_of(folder, place)
        named = digest_of(head.read_bytes()) if head.exists() else ""
        same = (tier.version_digest, named)
        known = [one for one in found if (one.outputs.version_digest, one.outputs.head) == same]
        if known:
            found.append(_same(known[0], tier.tier))
            continue

        def told(rows: int, doing: str = doing, begin: float = begin, width: float = width) -> None:
            telling(doing, begin + width * rows / index.rows)

        limits = (order.timeout_s, order.memory_mib)
        out = folder / f"answers-{place}"
        answered = answers(tier, version_of(folder, place), questions, out, *limits, told, head if named else None)
        answered = replace(answered, outputs=replace(answered.outputs, head=named))
        if found and answered.agreement != found[0].agreement:
            raise InvalidInput(f"tier {tier.tier} has another task than tier {spec.tiers[0].tier}")
        found.append(answered)
    return found


def _same(known: Answers, tier: str) -> Answers:
    """The same version in another tier gives the same answers."""
    outputs = known.outputs
    fields = {name: getattr(outputs, name) for name in type(outputs).__slots__}
    return Answers(type(outputs)(**{**fields, "tier": tier}), known.agreement, known.ms_per_row)


def _truth(questions: Path, top: Answers, notes: list[str]) -> tuple[str, ...]:
    """The true labels, by the top's names for them; numbers count its labels where none is called that."""
    told = [item.decode("utf-8", "replace") for group in read_rows(questions) for item in group[LABELS]]
    names = top.outputs.answered.labels
    strange = sorted(set(told) - set(names))
    if not strange or not names:
        return tuple(told)
    if all(one.isdecimal() and int(one) < len(names) for one in set(told)):
        notes.append("labels are numbers: taken as places in the top's list of labels")
        return tuple(names[int(one)] for one in told)
    if len(strange) == len(set(told)):
        raise InvalidInput(
            f"labels {', '.join(map(repr, strange[:_SHOWN]))}: the top knows none of them; it has "
            f"{', '.join(map(repr, names[:_SHOWN]))}{' and more' if len(names) > _SHOWN else ''}"
        )
    notes.append(f"the top does not know the labels {', '.join(strange[:_SHOWN])}: it is wrong on their questions")
    return tuple(told)


def _question_bytes(questions: Path, index: Index) -> float:
    """What a question's inputs take, on average."""
    total = 0
    for group in read_rows(questions):
        for name, array in group.items():
            if name.startswith(INPUTS):
                total += sum(map(len, array)) if array.dtype == object else array.nbytes
    return total / max(1, index.rows)


if __name__ == "__main__":
    sys.exit(main())
