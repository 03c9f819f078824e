"""LogService, whatever serves it: messages to levels and back."""

import time

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.logs import MAX_SET, HeldLevel, LevelSetter
from upriver.v1 import log_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["LogService"]
_USUAL_S = 600.0


def get_levels(setter: LevelSetter) -> pb.GetLogLevelsResponse:
    """Which levels are set."""
    return pb.GetLogLevelsResponse(levels=map(_written, setter.levels()))


def set_levels(setter: LevelSetter, request: pb.SetLogLevelsRequest) -> pb.SetLogLevelsResponse:
    """Sets levels. Raises InvalidInput."""
    if not 1 <= len(request.levels) <= MAX_SET:
        raise InvalidInput(f"{len(request.levels)} levels: expected 1 to {MAX_SET}")
    wanted = {one.module: one.level for one in request.levels}
    if len(wanted) != len(request.levels):
        raise InvalidInput("a module has two levels: expected one for each")
    hold = request.hold_time
    seconds = hold.seconds + hold.nanos / 1e9 if request.HasField("hold_time") else _USUAL_S
    return pb.SetLogLevelsResponse(levels=map(_written, setter.set(wanted, seconds)))


def _written(held: HeldLevel) -> pb.LogLevel:
    if held.left_s is None:
        return pb.LogLevel(module=held.module, level=held.level)
    until = Timestamp()
    until.FromNanoseconds(time.time_ns() + int(held.left_s * 1e9))
    return pb.LogLevel(module=held.module, level=held.level, until_time=until)
