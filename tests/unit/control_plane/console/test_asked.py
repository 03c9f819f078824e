"""What the address of the questions' page asks for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.v1 import question_pb2 as pb
from upriver_control.console.asked import FLAGS, LASTS, Asked, merged, read, within

NOW = datetime(2026, 3, 5, 14, 0, tzinfo=UTC)


def test_every_field_of_the_filter_can_be_asked_for() -> None:
    asked = read(
        [
            ("q", "q-1"), ("model", "m"), ("version", "sha256:1"), ("agent", "a"), ("tier", "t"), ("region", "r"),
            ("reason", "top"), ("answered", "cloud"), ("flag", "ticketed"), ("flag", "degraded"),
            ("from", "2026-03-05T13:00"), ("to", "2026-03-05T13:30"), ("slow", "2.5"), ("hops", "1"),
        ]
    )  # fmt: skip
    wanted = asked.filter(NOW)
    assert not asked.problems
    assert {field.name for field, _ in wanted.ListFields()} == set(pb.QuestionFilter.DESCRIPTOR.fields_by_name)
    assert (wanted.search, wanted.answered_tier, wanted.min_latency.nanos) == ("q-1", "cloud", 2_500_000)
    assert wanted.from_time.ToDatetime(UTC) == datetime(2026, 3, 5, 13, 0, tzinfo=UTC)
    assert list(wanted.flags) == [pb.QUESTION_FLAG_TICKETED, pb.QUESTION_FLAG_DEGRADED]


@pytest.mark.parametrize("last", LASTS)
def test_a_length_of_time_ends_now(last: str) -> None:
    wanted = read([("last", last)]).filter(NOW)
    assert NOW - wanted.from_time.ToDatetime(UTC) == LASTS[last].length
    assert not wanted.HasField("until_time")


@given(
    st.builds(
        Asked,
        q=st.text(st.characters(categories=["L", "N", "P"]), max_size=20),
        model=st.sampled_from(["", "digits", "a&b=c", "<script>"]),
        flags=st.lists(st.sampled_from(sorted(FLAGS)), unique=True).map(tuple),
        last=st.sampled_from(["", *LASTS]),
        hops=st.booleans(),
        paused=st.booleans(),
        before_ns=st.integers(0, 10**18 - 1),
    )
)
def test_what_was_asked_for_stands_in_the_address(asked: Asked) -> None:
    assert read(asked.pairs()) == asked


@given(
    st.lists(
        st.tuples(st.sampled_from(["q", "last", "from", "to", "slow", "before", "flag", "x"]), st.text(max_size=30))
    )
)
def test_any_address_is_read_and_what_is_wrong_is_told(pairs: list[tuple[str, str]]) -> None:
    asked = read(pairs)
    asked.filter(NOW)
    assert all("expected" in problem for problem in asked.problems)


def test_a_change_of_what_is_asked_for_goes_back_to_the_newest() -> None:
    older = read([("model", "m"), ("before", "7")])
    assert older.address(reason="top") == "/questions?model=m&reason=top"
    assert older.address(before_ns=5) == "/questions?model=m&before=5"
    assert Asked().address() == "/questions"


def test_news_stand_before_what_was_there_and_each_question_once() -> None:
    def question(trace: str, at: int, reason: str = "") -> pb.Question:
        made = pb.Question(trace=trace, agent="a", reason=reason)
        made.time.FromSeconds(at)
        return made

    shown = merged([question("2", 2), question("1", 1)], [question("3", 3), question("1", 1, "top")], 2)
    assert [one.trace for one in shown] == ["3", "2"]
    assert merged([question("1", 1)], [question("1", 1, "top")], 5)[0].reason == "top"


def test_of_questions_those_stay_that_are_as_young_as_is_asked_for() -> None:
    old, young = pb.Question(trace="1"), pb.Question(trace="2")
    old.time.FromDatetime(NOW - LASTS["15m"].length - timedelta(seconds=1))
    young.time.FromDatetime(NOW - LASTS["15m"].length)
    assert within([young, old], read([("last", "15m")]).filter(NOW)) == [young]
    assert within([young, old], read([]).filter(NOW)) == [young, old]
