"""Submissions to a pool as messages and back: what agents and the control plane say to each other. Bounded."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from upriver.errors import InvalidInput, ModelInvalid
from upriver.head_statistics import HeadStatistics, read_statistics, write_statistics
from upriver.pool import MAX_ROSTER, Answer, Standing, Submission, check_roster
from upriver.pool_sums import MAX_PARTS, PoolPart, Sums, check_part, part_of
from upriver.v1 import pool_pb2 as pb

MAX_BYTES: Final = 32 << 20
"""A whole submission."""
MESSAGE_BYTES: Final = 3 << 20
"""One message of it."""
TIMEOUT_S: Final = 30.0
"""How long a call may take."""
_ROSTER_AT_ONCE: Final = 5000
_STANDINGS: Final = {
    Standing.COUNTED: pb.POOL_STANDING_COUNTED,
    Standing.STAGED: pb.POOL_STANDING_STAGED,
    Standing.STALE: pb.POOL_STANDING_STALE,
    Standing.UNKNOWN: pb.POOL_STANDING_UNKNOWN,
}
_READ: Final = {number: standing for standing, number in _STANDINGS.items()}

Parts = Sequence[PoolPart]


def write_unchanged(agent: str, epoch: int) -> Iterator[pb.SubmitPoolRequest]:
    """The messages that say that a submission still stands."""
    yield pb.SubmitPoolRequest(header=pb.PoolHeader(agent=agent, epoch=epoch, unchanged=True))


def write_submission(submission: Submission[Parts]) -> list[pb.SubmitPoolRequest]:
    """A submission's messages; raises InvalidInput when it is too large to be sent."""
    header = pb.PoolHeader(agent=submission.child, epoch=submission.epoch)
    messages = [pb.SubmitPoolRequest(header=header)]
    entries = [pb.PooledAgent(agent=agent, epoch=epoch) for agent, epoch in sorted(submission.roster.items())]
    for start in range(0, len(entries), _ROSTER_AT_ONCE):
        messages.append(pb.SubmitPoolRequest(roster=entries[start : start + _ROSTER_AT_ONCE]))
    room = total = 0
    for part in submission.content:
        written = write_part(part)
        size = written.ByteSize()
        if size > MESSAGE_BYTES:
            raise InvalidInput(f"the sums of {part.key.model!r} take {size} bytes: expected at most {MESSAGE_BYTES}")
        if size > room:
            messages.append(pb.SubmitPoolRequest())
            room = MESSAGE_BYTES
        messages[-1].parts.append(written)
        room -= size
        total += size
    if total > MAX_BYTES:
        raise InvalidInput(f"all sums take {total} bytes: expected at most {MAX_BYTES}")
    return messages


def check_time(left_s: float | None) -> None:
    """Raises InvalidInput for a call that could take longer, or for ever: few may send at once.

    `left_s` is until its deadline, None or enormous for none.
    """
    if left_s is None or left_s > 2.0 * TIMEOUT_S:  # of which one clock may be faster than the other
        raise InvalidInput(f"a submission to a pool: expected a deadline of {TIMEOUT_S:g} s")


class Assembly:
    """A submission that is being received; raises InvalidInput for what it can't be."""

    def __init__(self, receiver: str) -> None:
        self._receiver = receiver
        self._header: pb.PoolHeader | None = None
        self._roster: dict[str, int] = {}
        self._parts: list[PoolPart] = []
        self._bytes = 0
        self._digest = hashlib.sha256()

    def take(self, message: pb.SubmitPoolRequest) -> None:
        """Takes in the next message."""
        if message.HasField("header") == (self._header is not None):
            raise InvalidInput("a submission to a pool: expected a header in its first message, and only there")
        if self._header is None:
            self._header = message.header
        self._bytes += message.ByteSize()
        if self._bytes > MAX_BYTES + MESSAGE_BYTES:
            raise InvalidInput(f"a submission to a pool: expected at most {MAX_BYTES} bytes")
        for entry in message.roster:
            self._roster[entry.agent] = entry.epoch
        if len(self._roster) > MAX_ROSTER or len(self._parts) + len(message.parts) > MAX_PARTS:
            raise InvalidInput(f"a submission to a pool: expected at most {MAX_ROSTER} agents and {MAX_PARTS} parts")
        for part in message.parts:
            self._digest.update(part.SerializeToString(deterministic=True))
            self._parts.append(read_part(part))

    def unchanged(self) -> tuple[str, int] | None:
        """The child and its epoch, when it says that its submission still stands."""
        header = self._begun()
        return (header.agent, header.epoch) if header.unchanged else None

    def whole(self) -> Submission[Parts]:
        """The submission, once all messages were taken in."""
        header = self._begun()
        check_roster(header.agent, self._roster, {self._receiver})
        if self._roster[header.agent] != header.epoch:
            raise InvalidInput(f"a submission of epoch {header.epoch}: its roster has {self._roster[header.agent]}")
        if any(part.agents > len(self._roster) for part in self._parts):
            raise InvalidInput(
                f"a submission to a pool: a part of more agents than the {len(self._roster)} of its roster"
            )
        if len({part.key for part in self._parts}) != len(self._parts):
            raise InvalidInput("a submission to a pool: expected one part for each model, version, region and trial")
        for agent, epoch in sorted(self._roster.items()):
            self._digest.update(f"{agent}={epoch}\n".encode())
        return Submission(header.agent, self._roster, tuple(self._parts), self._digest.hexdigest())

    def _begun(self) -> pb.PoolHeader:
        if self._header is None:
            raise InvalidInput("a submission to a pool: expected at least a header")
        return self._header


def write_part(part: PoolPart) -> pb.PoolPart:
    """A part as a message."""
    key = part.key
    written = pb.PoolPart(
        model=key.model,
        version_digest=key.version_digest,
        region=key.region,
        trial=key.trial,
        agents=part.agents,
        forgotten=part.forgotten,
    )
    if isinstance(part.sums, HeadStatistics):
        arrays = write_statistics(part.sums)
        written.statistics.labels.extend(part.sums.labels)
        written.statistics.outer = arrays["outer"].astype("<f8").tobytes()
        written.statistics.toward = arrays["toward"].astype("<f8").tobytes()
    else:
        written.counts.values = part.sums.astype("<f8").tobytes()
    return written


def read_part(message: pb.PoolPart) -> PoolPart:
    """A part from its message; raises InvalidInput naming what is wrong."""
    sums: Sums
    try:
        match message.WhichOneof("sums"):
            case "statistics":
                sums = _statistics(message.statistics)
            case "counts":
                sums = np.frombuffer(message.counts.values, "<f8").astype(np.float64)
            case _:
                raise InvalidInput(f"pooled {message.model[:80]!r}: sums of a kind that is not known here")
    except (ModelInvalid, ValueError) as error:
        raise InvalidInput(f"pooled {message.model[:80]!r}: {error}") from error
    counted = (message.agents, message.forgotten)
    part = part_of(message.model, message.version_digest, message.region, sums, message.trial, *counted)
    check_part(part)
    return part


def write_answer(answer: Answer) -> pb.SubmitPoolResponse:
    """An answer as a message."""
    return pb.SubmitPoolResponse(
        standing=_STANDINGS[answer.standing], epoch=answer.epoch, drop=list(_entries(answer.drop))
    )


def read_answer(message: pb.SubmitPoolResponse) -> Answer:
    """An answer from its message; raises InvalidInput for a standing that is not known here."""
    standing = _READ.get(message.standing)
    if standing is None:
        raise InvalidInput(f"a pool's answer: standing {message.standing} is not known here")
    return Answer(standing, message.epoch, {entry.agent: entry.epoch for entry in message.drop[:MAX_ROSTER]})


def _entries(roster: Mapping[str, int]) -> Iterable[pb.PooledAgent]:
    return (pb.PooledAgent(agent=agent, epoch=epoch) for agent, epoch in roster.items())


def _statistics(message: pb.PooledStatistics) -> HeadStatistics:
    labels = list(message.labels)
    outer, toward = np.frombuffer(message.outer, "<f8"), np.frombuffer(message.toward, "<f8")
    size = round(((8 * outer.size + 1) ** 0.5 - 1) / 2)
    shaped = toward.reshape(size, len(labels)) if size else toward.reshape(0, 0)
    return read_statistics({"labels": np.array(labels, np.str_), "outer": outer, "toward": shaped})
