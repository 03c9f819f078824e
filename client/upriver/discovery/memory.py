"""What a watcher makes of a registry's answers: indexes, waiting, and a registry that forgot. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from upriver.backoff import full_jitter_s
from upriver.discovery.port import AgentRecord

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 15.0


def next_index(previous: int, told: int) -> int:
    """The index for the next blocking query.

    An index that went backwards means that the registry's state is new, one below 1 would not block: both start over.
    """
    return 0 if told < previous or told < 1 else told


def backoff_s(failures: int, chance: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row; `chance` gives a number in [0, 1)."""
    return full_jitter_s(failures, FIRST_BACKOFF_S, LONGEST_BACKOFF_S, chance)


@dataclass(frozen=True, slots=True)
class Memory:
    """The agents that are believed in: those of the last answer, and for a while those that a registry forgot."""

    records: tuple[AgentRecord, ...] = ()
    kept_until: Mapping[str, float] = field(default_factory=dict)

    def hear(self, answer: Iterable[AgentRecord], forgot: bool, now_s: float, grace_s: float) -> "Memory":
        """The memory after an answer.

        When the registry may have lost its state (`forgot`), or suddenly knows nobody, agents missing from the answer
        are kept for `grace_s`: they will register again, and asking one that is gone fails at once.
        """
        told = {record.agent: record for record in answer}
        suspicious = forgot or not told
        kept: dict[str, float] = {}
        for record in self.records:
            if record.agent in told:
                continue
            until = self.kept_until.get(record.agent, now_s + grace_s if suspicious else now_s)
            if until > now_s:
                kept[record.agent] = until
        old = tuple(record for record in self.records if record.agent in kept)
        return Memory((*told.values(), *old), kept)
