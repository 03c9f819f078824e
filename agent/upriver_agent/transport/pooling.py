"""PoolService of an agent: takes what agents below have learnt, and passes the sum on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

import grpc

from upriver.errors import InvalidInput, NotAllowed, QueueFull, UpriverError
from upriver.pool_wire import Assembly, check_time, write_answer
from upriver.v1 import pool_pb2 as pb
from upriver_agent.pooling.pooler import Pooler
from upriver_agent.transport.status import refuse

_AT_ONCE: Final = 4


class PoolServicer:
    """Serves agents below. `blocking` marks a thread as waiting: the serving executor's."""

    def __init__(
        self,
        me: str,
        pooler: Pooler,
        trusts_network: bool,
        blocking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`trusts_network`: anyone who reaches the port may send; else only peers of mutual TLS."""
        self._me = me
        self._pooler = pooler
        self._trusts_network = trusts_network
        self._blocking = blocking
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def submit_pool(
        self, requests: Iterator[pb.SubmitPoolRequest], context: grpc.ServicerContext
    ) -> pb.SubmitPoolResponse:
        """Takes a child's sums, wholly or not at all."""
        try:
            if not (self._trusts_network or context.peer_identities()):
                raise NotAllowed("sums are taken from agents that show a certificate: see cascade.trust")
            check_time(context.time_remaining())
            if not self._places.acquire(blocking=False):
                raise QueueFull("too many agents pool here at once; expected another try")
            try:
                with self._blocking():  # most of it is waiting for what is sent
                    return self._take(requests)
            finally:
                self._places.release()
        except UpriverError as error:
            refuse(context, error)

    def _take(self, requests: Iterator[pb.SubmitPoolRequest]) -> pb.SubmitPoolResponse:
        assembly = Assembly(self._me)
        try:
            for message in requests:
                assembly.take(message)
        except grpc.RpcError as error:
            raise InvalidInput("the submission ended before it was whole") from error
        still = assembly.unchanged()
        if still is not None:
            return write_answer(self._pooler.unchanged(*still))
        return write_answer(self._pooler.receive(assembly.whole()))
