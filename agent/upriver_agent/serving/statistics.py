"""Counters of one model since it was loaded, summed over its interpreters when somebody asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from upriver_agent.serving.interpreters import LATENCY_BUCKETS
from upriver_agent.serving.loaded import LoadedVersion


@dataclass(frozen=True, slots=True)
class ModelCounters:
    """What a loaded version has done: invocations, rows, failures, nanoseconds inside the model, rows that went up.

    `latency` counts invocations by time, {bucket: count}; see LATENCY_BUCKETS.
    """

    executions: int = 0
    rows: int = 0
    failures: int = 0
    nanoseconds: int = 0
    escalated_rows: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)

    def since(self, earlier: "ModelCounters") -> "ModelCounters":
        """What was done after `earlier`, counters of the same version."""
        latency = {bucket: count - earlier.latency.get(bucket, 0) for bucket, count in self.latency.items()}
        return ModelCounters(
            executions=self.executions - earlier.executions,
            rows=self.rows - earlier.rows,
            failures=self.failures - earlier.failures,
            nanoseconds=self.nanoseconds - earlier.nanoseconds,
            escalated_rows=self.escalated_rows - earlier.escalated_rows,
            latency={bucket: count for bucket, count in latency.items() if count},
        )


def count(loaded: LoadedVersion) -> ModelCounters:
    """Sums the counters of all interpreters."""
    lanes = loaded.lanes
    latency = {bucket: sum(lane.latency[bucket] for lane in lanes) for bucket in range(LATENCY_BUCKETS)}
    return ModelCounters(
        executions=sum(lane.executions for lane in lanes),
        rows=sum(lane.rows for lane in lanes),
        failures=sum(lane.failures for lane in lanes),
        nanoseconds=sum(lane.nanoseconds for lane in lanes),
        escalated_rows=loaded.escalated_rows,
        latency={bucket: number for bucket, number in latency.items() if number},
    )
