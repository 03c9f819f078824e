"""LogService: operators see and set the levels of this process' log."""

from upriver.log_levels import get_levels, set_levels
from upriver.logs import LevelSetter
from upriver.v1 import log_pb2 as pb
from upriver_control.services.refusals import Context, refusing


class LogServicer:
    """Serves operators."""

    def __init__(self, setter: LevelSetter) -> None:
        self._setter = setter

    @refusing
    async def get_log_levels(self, _: pb.GetLogLevelsRequest, context: Context) -> pb.GetLogLevelsResponse:
        """Which levels are set."""
        return get_levels(self._setter)

    @refusing
    async def set_log_levels(self, request: pb.SetLogLevelsRequest, context: Context) -> pb.SetLogLevelsResponse:
        """Sets levels for a while."""
        return set_levels(self._setter, request)
