"""The tree of a trace on the terminal."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.canned_answers import a_question, a_trace, ms
from upriver.v1 import question_pb2 as pb
from upriver_control.cli.trace_tree import bar, clean, sureness, tree
from upriver_control.cli.trace_views import heading, line


@pytest.mark.parametrize(
    ("start", "length", "shown"),
    [
        (0.0, 10.0, "██████████"),
        (0.0, 5.0, "█████     "),
        (5.0, 5.0, "     █████"),
        (2.5, 2.5, "  ▐██     "),
        (2.0, 1.5, "  █▌      "),
        (9.9, 0.1, "         ▐"),
        (0.0, 0.01, "▏         "),
        (10.0, 0.0, "         ▐"),
    ],
)
def test_a_bar_lies_where_its_span_does_and_is_always_seen(start: float, length: float, shown: str) -> None:
    assert bar(start, length, 10.0, 10) == shown


@given(
    start=st.floats(-1e6, 1e6), length=st.floats(-1e6, 1e6), whole=st.floats(0, 1e6), cells=st.integers(1, 200)
)  # fmt: skip
def test_a_bar_is_as_wide_as_it_may_be_and_never_empty(start: float, length: float, whole: float, cells: int) -> None:
    shown = bar(start, length, whole, cells)
    assert len(shown) == cells
    assert shown.strip()


def test_how_sure_an_agent_was_is_a_bar_with_a_mark_where_it_is_enough() -> None:
    assert sureness(0.41, 0.7) == "[████   |  ]"
    assert sureness(0.9, 0.7) == "[███████|█ ]"
    assert sureness(-math.inf, 2.0) == "[          ]"
    assert sureness(math.nan, math.inf) == "[          ]"


def test_a_tree_has_a_line_for_each_span_below_the_one_that_it_belongs_to() -> None:
    axis, *lines = (line.plain for line in tree(a_trace(), 120))
    assert axis.split() == ["0", "12", "ms"]
    assert [line[:22].rstrip() for line in lines] == [
        "device-1 (device)",
        "├─ infer",
        "├─ decide",
        "├─ asks far-edge-1",
        "└─ asks cloud-1",
        "   └─ cloud-1 (cloud)",
        "      └─ infer",
    ]
    assert lines[0].endswith("12 ms  [████   |  ] unsure: 0.41, where it takes 0.70")
    assert "3.0 ms  1,002 bytes up, far-edge-1 can't be reached" in lines[3]
    assert "8.5 ms  retry, 1,002 bytes up, answered" in lines[4]
    begins = [line.index(next(mark for mark in line[22:] if mark in "█▐▏▎▍▌▋▊▉"), 22) for line in lines]
    assert begins == sorted(begins), "each began no earlier than the one above it"
    assert len({line.index(" ms") for line in lines}) == 1


@settings(max_examples=30)
@given(
    width=st.integers(60, 200), names=st.lists(st.text(max_size=80), max_size=8), depths=st.lists(st.integers(-3, 9))
)  # fmt: skip
def test_whatever_is_in_a_trace_no_line_is_wider_than_it_may_be(
    width: int, names: list[str], depths: list[int]
) -> None:
    answer = pb.GetTraceResponse()
    for index, (name, depth) in enumerate(zip(names, depths, strict=False)):
        span = answer.spans.add(name=name, span=str(index), service=name, depth=depth, error=name)
        span.start.CopyFrom(ms(index))
        answer.hops.add(span=str(index), agent=name, tier=name, score=index / 4, threshold=math.inf, reason=name)
    for shown in tree(answer, width):
        assert cell_len(shown.plain) <= width
        assert "\n" not in shown.plain
        assert "\x1b" not in shown.plain


def test_a_trace_without_spans_has_no_tree() -> None:
    assert tree(pb.GetTraceResponse(), 80) == []


def test_what_moves_the_cursor_is_not_printed() -> None:
    assert clean("a\x1b[2Jb\r\nc\u202ed") == "a [2Jb  c d"
    assert "\x1b" not in line(a_question(agent="\x1b[31mred"))
    assert "[bold]" in heading(a_question(model="[bold]x")).plain


def test_a_question_is_one_line() -> None:
    assert line(a_question()) == (
        "2027-01-15T08:00:00Z 4a38cd47e10fa759e1059be4b05c73ed pattern at device-1 by cloud-1 top 0.13 12 ms "
        "[escalated, unresolved]"
    )
    assert "failed QUEUE_FULL" in line(a_question(answered_by="", reason="QUEUE_FULL", error="full"))
