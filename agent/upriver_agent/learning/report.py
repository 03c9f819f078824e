"""How learning stands for a model, as it is told to who asks."""

from dataclasses import dataclass
from functools import partial

from upriver_agent.learning import holdout, trials
from upriver_agent.learning.examiner import Parts
from upriver_agent.learning.trials import Tried


@dataclass(frozen=True, slots=True)
class Learning:
    """How learning stands for one model; `why` says what it waits for, or why it does not learn.

    `head` is the digest of the one that was learnt here and answers, empty when none does; `ended` says why the last
    one does no more.
    """

    model: str
    version: str
    lessons: int
    held_out: int
    attempts: int
    held: bool
    why: str
    head: str
    ended: str
    trials: tuple[Tried, ...]


def learning_of(parts: Parts, model: str, lessons: int, held: bool, why: str) -> Learning:
    """How it stands, with what only the learner knows. Raises DiskTrouble."""
    current, standing, look = parts.refiner.current(model), parts.refiner.standing(model), parts.journal.read
    version = "" if current is None else current.given.version.digest
    key = look(partial(holdout.key_of, model=model, version=version))
    return Learning(
        model=model,
        version=version,
        lessons=lessons,
        held_out=0 if key is None else look(partial(holdout.count, key=key)),
        attempts=0 if key is None else parts.attempts.of(key).number,
        held=held,
        why=why,
        head="" if standing.refined is None or current is None else current.answering.policy.document.head,
        ended="" if standing.ended is None else standing.ended.why,
        trials=tuple(look(partial(trials.listing, model=model))),
    )
