"""What waits in memory: bounded, and the ordinary goes first."""

import threading

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from upriver_agent.spooling.lanes import MAX_BATCH, Lanes, Worth

ORDINARY, IMPORTANT = Worth.ORDINARY, Worth.IMPORTANT


def names(lanes: Lanes) -> list[str]:
    found: list[str] = []
    while len(lanes):
        found += [span.name for _, spans in lanes.take() for span in spans]
    return found


def test_when_there_is_no_room_the_oldest_ordinary_span_goes_first() -> None:
    lanes = Lanes(3)
    for name, worth in (("a", ORDINARY), ("b", IMPORTANT), ("c", ORDINARY), ("d", IMPORTANT), ("e", IMPORTANT)):
        lanes.put(worth, ReadableSpan(name))
    assert names(lanes) == ["b", "d", "e"]
    assert lanes.dropped == {ORDINARY: 2, IMPORTANT: 0}


def test_ordinary_spans_go_along_with_important_ones_that_came_later() -> None:
    lanes = Lanes(10)
    for name, worth in (("a", ORDINARY), ("b", IMPORTANT)):
        lanes.put(worth, ReadableSpan(name))
    assert [(worth, [span.name for span in spans]) for worth, spans in lanes.take()] == [
        (IMPORTANT, ["b"]),
        (ORDINARY, ["a"]),
    ]


def test_among_important_ones_alone_the_oldest_goes_and_an_ordinary_one_is_not_let_in() -> None:
    lanes = Lanes(2)
    for name, worth in (("a", IMPORTANT), ("b", IMPORTANT), ("c", IMPORTANT), ("d", ORDINARY)):
        lanes.put(worth, ReadableSpan(name))
    assert names(lanes) == ["b", "c"]
    assert lanes.dropped == {ORDINARY: 1, IMPORTANT: 1}


@given(st.lists(st.sampled_from(Worth), max_size=60), st.integers(1, 20))
def test_no_important_span_is_lost_while_an_ordinary_one_stays(worths: list[Worth], most: int) -> None:
    lanes = Lanes(most)
    for worth in worths:
        lanes.put(worth, ReadableSpan("a"))
    assert len(lanes) == min(len(worths), most)
    assert len(lanes) + sum(lanes.dropped.values()) == len(worths)
    if lanes.dropped[IMPORTANT]:
        important, ordinary = lanes.take()
        assert (important[0], ordinary) == (IMPORTANT, (ORDINARY, []))


def test_who_gathers_is_woken_by_a_whole_batch_and_by_the_end() -> None:
    lanes = Lanes(2 * MAX_BATCH)
    lanes.put(ORDINARY, ReadableSpan("first"))
    waiting = threading.Thread(target=lanes.gather, args=(60.0,))
    waiting.start()
    for _ in range(MAX_BATCH - 1):
        lanes.put(ORDINARY, ReadableSpan("a"))
    waiting.join(10.0)
    assert not waiting.is_alive()
    assert [len(spans) for _, spans in lanes.take()] == [0, MAX_BATCH]
    waiting = threading.Thread(target=lanes.wait, args=(None,))
    waiting.start()
    lanes.end()
    waiting.join(10.0)
    assert not waiting.is_alive()
