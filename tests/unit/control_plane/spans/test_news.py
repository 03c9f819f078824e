"""Who looks at questions is told each that he wants once, however its spans come."""

from hypothesis import given
from hypothesis import strategies as st

from upriver_control.spans.filters import Filter, conditions, matches
from upriver_control.spans.news import MAX_TOLD, Latest, Wanted
from upriver_control.spans.rows import HopRow

BASE = HopRow(
    b"t" * 16, b"s" * 8, 1, 5, 0, 0, "device-1", "device", "eu", "digits", "v1", "confident", "device-1", "device",
    "p", 0.9, 0.7, 1, 1.0, 0, "q-1", "upriver-agent",
)  # fmt: skip
ABOVE = BASE._replace(span=b"u" * 8, hop=1, agent="cloud-1", tier="cloud", threshold=0.5, answered_by="cloud-1")
UP = BASE._replace(answered_by="cloud-1", answered_tier="cloud", threshold=None)


def test_a_question_is_told_when_the_hop_that_is_asked_for_comes():
    latest, wanted = Latest(), Wanted(Filter(tier="cloud"))
    wanted.offer(latest.add([UP]))
    assert wanted.take().questions == ()
    wanted.offer(latest.add([ABOVE]))
    assert wanted.take().questions == (UP,)
    assert latest.threshold(UP) == 0.5
    wanted.offer(latest.add([ABOVE, UP]))  # they come again
    assert wanted.take() == ((), 0)


def test_of_more_than_one_message_has_the_newest_are_told():
    latest, wanted = Latest(), Wanted(Filter())
    rows = [BASE._replace(trace=number.to_bytes(16), at_ns=number) for number in range(120)]
    wanted.offer(latest.add(rows), skipped=7)
    told = wanted.take()
    assert [row.at_ns for row in told.questions] == list(reversed(range(70, 120)))
    assert told.skipped == 77
    assert wanted.take() == ((), 0)


def test_only_the_latest_traces_are_remembered():
    latest = Latest(most=2)
    latest.add([BASE._replace(trace=bytes([number]) * 16, answered_by="device-1") for number in (1, 2, 3)])
    assert latest.threshold(BASE._replace(trace=b"\1" * 16)) is None
    assert latest.threshold(BASE._replace(trace=b"\3" * 16)) == 0.7


rows = st.builds(
    lambda trace, hop, agent, model: BASE._replace(
        trace=bytes([trace]) * 16, span=bytes([hop + 1]) * 8, hop=hop, agent=agent, tier=agent[:-2], model=model
    ),
    st.integers(1, 5),
    st.integers(0, 2),
    st.sampled_from(["device-1", "cloud-1"]),
    st.sampled_from(["digits", "faces"]),
)


@given(
    st.lists(st.lists(rows, max_size=6), max_size=6),
    st.sampled_from([Filter(), Filter(model="faces"), Filter(tier="cloud"), Filter(every_hop=True, agent="cloud-1")]),
)
def test_what_is_told_is_what_a_list_would_have_in_the_end(batches, asked):
    latest, wanted = Latest(), Wanted(asked)
    told = []
    kept: dict[tuple[bytes, bytes], HopRow] = {}
    for batch in batches:
        for row in batch:
            kept.setdefault((row.trace, row.span), row)
        wanted.offer(latest.add(batch))
        news = wanted.take()
        assert len(news.questions) <= MAX_TOLD
        told += news.questions
    needed = conditions(asked)
    expected = [
        row for row in kept.values() if matches(needed, row, [hop for hop in kept.values() if hop.trace == row.trace])
    ]
    assert sorted(told) == sorted(expected)
