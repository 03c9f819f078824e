"""Audits and monitors in words: how the answers of a pair compare with the top's."""

import math
from typing import Final

from upriver.v1 import sync_pb2
from upriver_control.telling.times import moment

_Z: Final = 1.959964  # 95 %


def interval(count: int, of: int) -> tuple[float, float]:
    """Where a share lies with 95 % confidence, by Wilson's score interval (1927); of nothing, anywhere."""
    if of == 0:
        return 0.0, 1.0
    share, weight = count / of, _Z * _Z / of
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def told(monitor: sync_pb2.Monitor) -> str:
    """How an agent's audits of its active pair stand, in a few words."""
    counted = f"{monitor.disagreements} of {monitor.audits} audits differ" if monitor.watched else ""
    parts = [f"ALARM since {alarm_time(monitor)}" if monitor.HasField("alarm_time") else "", counted, monitor.note]
    parts += [*monitor.warnings, f"{monitor.waiting} wait" if monitor.waiting else ""]
    parts += [f"{monitor.dropped} dropped" if monitor.dropped else "", monitor.trouble]
    return "; ".join(part for part in parts if part)


def alarm_time(monitor: sync_pb2.Monitor) -> str:
    """When the alarm rang, by the agent's clock."""
    return moment(monitor.alarm_time)
