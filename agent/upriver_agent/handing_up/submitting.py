"""One submission: lessons and forgotten ids to one agent or control plane, and what it says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from upriver.channels import ChannelOptions, open_channel
from upriver.refusals import error_of
from upriver.services import Stub
from upriver.v1 import train_pb2 as pb
from upriver_agent.handing_up.route import Way
from upriver_agent.handing_up.spool import Entry

SERVICE: Final = pb.DESCRIPTOR.services_by_name["LessonIntakeService"]
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a submission: ids that are safe above, and those that will never be taken, with the reason."""

    kept: frozenset[str]
    refused: dict[str, str]


class Submit(Protocol):
    """Hands entries to a way."""

    def __call__(self, way: Way, entries: Sequence[Entry]) -> Taken:
        """Raises UpriverError when it is not known what became of them."""
        ...


@dataclass(frozen=True, slots=True)
class Submission:
    """Submits by gRPC; agents and the control plane are called in ways of their own, `token` is shown to the latter."""

    agents: ChannelOptions
    control_plane: ChannelOptions
    token: str = ""

    def __call__(self, way: Way, entries: Sequence[Entry]) -> Taken:
        """See `Submit`."""
        metadata = (("authorization", f"Bearer {self.token}"),) if self.token and not way.is_agent else ()
        with open_channel(way.address, self.agents if way.is_agent else self.control_plane) as channel:
            try:
                answer: pb.SubmitLessonsResponse = Stub(channel, SERVICE).SubmitLessons(
                    _messages(entries), timeout=_TIMEOUT_S, metadata=metadata, compression=grpc.Compression.Gzip
                )
            except grpc.RpcError as error:
                raise error_of(error, way.address) from error
        return Taken(frozenset(answer.kept), {one.id: one.reason for one in answer.refused})


def _messages(entries: Sequence[Entry]) -> Iterator[pb.SubmitLessonsRequest]:
    for entry in entries:
        if entry.forgotten:
            yield pb.SubmitLessonsRequest(forgotten=pb.ForgottenLesson(id=entry.id))
        else:
            yield pb.SubmitLessonsRequest(lesson=pb.HandedLesson.FromString(entry.body))
