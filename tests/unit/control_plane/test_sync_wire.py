"""What agents report, as it is read: within bounds, whatever they say."""

from hypothesis import given
from hypothesis import strategies as st

from upriver.v1 import sync_pb2 as pb
from upriver_control.sync_wire import LATENCY_BUCKETS, read_slots
from upriver_control.telling import fleet


@given(
    told=st.dictionaries(
        st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4
    ).map(lambda told: {9000: 1, **told})
)
def test_a_time_in_a_bucket_that_there_is_none_of_is_as_long_as_can_be(told: dict[int, int]) -> None:
    status = pb.Status(slots=[pb.SlotReport(model="m", counters=pb.Counters(latency_buckets=told))])
    buckets = read_slots(status)["m"].counters.latency_buckets
    assert all(0 <= bucket < LATENCY_BUCKETS and count >= 0 for bucket, count in buckets.items())
    assert sum(buckets.values()) <= sum(max(0, count) for count in told.values())
    pb.Counters(latency_buckets=buckets)  # it can be told again
    assert all(buckets[bucket] >= told[bucket] for bucket in told if 0 <= bucket < LATENCY_BUCKETS)


def test_how_slow_an_agent_is_can_be_told_whatever_it_reports() -> None:
    status = pb.Status(slots=[pb.SlotReport(model="m", counters=pb.Counters(latency_buckets={9000: 1}))])
    read = read_slots(status)["m"].counters
    told = fleet.slowest_s(pb.Counters(rows=1, latency_buckets=read.latency_buckets), 0.95)
    assert told is not None
    assert 3600 < told < 10_000
