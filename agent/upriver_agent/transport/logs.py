"""LogService: who may see and set the levels of this agent's log."""

from typing import Final

import grpc

from upriver.errors import NotAllowed, UpriverError
from upriver.log_levels import get_levels, set_levels
from upriver.logs import LevelSetter
from upriver.v1 import log_pb2 as pb
from upriver_agent.transport.status import refuse

_OFF: Final = (
    "log levels are for callers with a certificate (mutual TLS); set serving.admin = true on this agent to let "
    "anybody see and set them who reaches its port"
)


class LogServicer:
    """The log of one agent; `admin` lets everybody in who reaches the port."""

    def __init__(self, setter: LevelSetter, admin: bool) -> None:
        self._setter = setter
        self._admin = admin

    def get_log_levels(self, _: pb.GetLogLevelsRequest, context: grpc.ServicerContext) -> pb.GetLogLevelsResponse:
        """Which levels are set."""
        try:
            self._open(context)
            return get_levels(self._setter)
        except UpriverError as error:
            refuse(context, error)

    def set_log_levels(self, request: pb.SetLogLevelsRequest, context: grpc.ServicerContext) -> pb.SetLogLevelsResponse:
        """Sets levels for a while."""
        try:
            self._open(context)
            return set_levels(self._setter, request)
        except UpriverError as error:
            refuse(context, error)

    def _open(self, context: grpc.ServicerContext) -> None:
        if not self._admin and not context.peer_identities():
            raise NotAllowed(_OFF)
