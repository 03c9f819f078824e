"""Times in words."""

from google.protobuf.timestamp_pb2 import Timestamp


def moment(stamp: Timestamp) -> str:
    """A time for people and programs, in UTC to the second."""
    return stamp.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
