"""What one escalation sends, in the form that each upstream reads: see `reads`."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Array, Tensor
from upriver_agent import wire
from upriver_agent.reads import FUSED, ZSTD, digests
from upriver_agent.serving.packing import Packer
from upriver_agent.upstream.links import Escalation


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message and its bytes; `special` when not everybody can read it."""

    message: pb.ModelInferRequest
    size: int
    special: bool


class Outbound:
    """The messages of one escalation, each made when an upstream that reads it is first asked. Not thread-safe."""

    def __init__(self, escalation: Escalation, packer: Packer) -> None:
        self.escalation = escalation
        self._packer = packer
        self._made: dict[frozenset[str], Outgoing] = {}

    def to(self, reads: frozenset[str]) -> Outgoing:
        """The message for an upstream that told that it reads this."""
        made = self._made.get(reads)
        if made is None:
            made = self._made[reads] = self._make(reads)
        return made

    @property
    def least(self) -> int:
        """Bytes of the smallest message made so far, 0 before the first."""
        return min((made.size for made in self._made.values()), default=0)

    def _make(self, reads: frozenset[str]) -> Outgoing:
        escalation = self.escalation
        message = wire.write_request(
            escalation.model,
            escalation.id,
            escalation.inputs,
            escalation.parameters,
            escalation.rows > 1,
            partial(self._packer, escalation.model) if ZSTD in reads else None,
            escalation.below(digests(reads)),
            FUSED in reads,
        )
        return Outgoing(message, message.ByteSize(), bool(reads))


def rows_of(tensor: Tensor, array: Array, rows: NDArray[np.intp]) -> Tensor:
    """Some rows of an input, bit for bit; `array` is its contents with the rows first."""
    return tensor if len(rows) == array.shape[0] else Tensor(tensor.name, tensor.datatype, array[rows])


def size_of(array: Array) -> int:
    """Bytes of an input's contents."""
    if array.dtype.kind == "O":
        return sum(len(item) for item in array.reshape(-1))
    return array.nbytes
