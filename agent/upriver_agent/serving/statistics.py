"""Counters of one model since it was loaded, summed over its interpreters when somebody asks."""

from dataclasses import dataclass

from upriver_agent.serving.loaded import LoadedVersion


@dataclass(frozen=True, slots=True)
class ModelCounters:
    """What a loaded version has done: invocations, rows, failures, and nanoseconds inside the model."""

    executions: int
    rows: int
    failures: int
    nanoseconds: int


def count(loaded: LoadedVersion) -> ModelCounters:
    """Sums the counters of all interpreters."""
    lanes = loaded.lanes
    return ModelCounters(
        executions=sum(lane.executions for lane in lanes),
        rows=sum(lane.rows for lane in lanes),
        failures=sum(lane.failures for lane in lanes),
        nanoseconds=sum(lane.nanoseconds for lane in lanes),
    )
