"""Times in words."""

from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

_YEAR_10000: Final = 253_402_300_800


def moment(stamp: Timestamp) -> str:
    """A time to the second, as `2026-03-04T05:06:07Z`; agents' clocks may say anything."""
    if not 0 <= stamp.seconds < _YEAR_10000:
        return f"{stamp.seconds} s after 1970"
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
