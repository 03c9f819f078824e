"""Spans are hung on one another in whatever state they come."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.spans.span_facts import escalated, infer, serve, span, span_id
from upriver.tracing import SpanName
from upriver_control.spans.facts import SpanFacts
from upriver_control.spans.tree import ROOT, Tree, hang


def shape(tree: Tree) -> list[tuple[str, int]]:
    return [(node.span.span.decode().rstrip("."), node.depth) for node in tree.nodes]


def test_spans_hang_where_they_belong_by_time() -> None:
    tree = hang(reversed(escalated()))
    assert shape(tree) == [
        ("sevice-1", 0),
        ("ievice-1", 1),
        ("device-1", 1),
        ("e:far-1", 1),
        ("s:far-1", 2),
        ("i:far-1", 3),
        ("d:far-1", 3),
    ]
    assert [node.agent for node in tree.nodes] == ["device-1"] * 4 + ["far-1"] * 3
    assert tree.missing == ()
    assert tree.children()[ROOT] == [0]


keys = st.sampled_from("abcdefg")
spans = st.builds(
    lambda own, parent, start, length: span("x", own, parent, (start, start + length)),
    keys,
    st.just("") | keys | st.just("zz"),
    st.integers(0, 20),
    st.integers(-5, 20),
)


@given(st.lists(spans, max_size=14), st.randoms(use_true_random=False))
def test_every_span_is_there_once_behind_the_one_that_it_belongs_to(made: list[SpanFacts], chance: object) -> None:
    tree = hang(made)
    assert sorted(node.span.span for node in tree.nodes) == sorted({one.span for one in made})
    for index, node in enumerate(tree.nodes):
        if node.parent == ROOT:
            assert node.depth == 0
        else:
            above = tree.nodes[node.parent]
            assert node.parent < index
            assert node.depth == above.depth + 1
            assert node.span.parent == above.span.span
    shuffled = list(made)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis calls it object
    assert hang(shuffled) == tree


def test_spans_that_are_each_others_parents_are_shown_from_their_earliest_on() -> None:
    circle = [span("x", "a", "b", (2, 9)), span("x", "b", "c", (1, 9)), span("x", "c", "a", (3, 9))]
    below = span("x", "d", "a", (0, 9))
    tree = hang([below, *circle, span("x", "e", "e", (4, 5))])
    assert shape(tree) == [("b", 0), ("a", 1), ("d", 2), ("c", 2), ("e", 0)]
    assert tree.missing[-1].startswith("spans name one another as parents, in 2 circles")


def test_of_a_span_that_came_twice_the_one_that_ended_last_counts() -> None:
    tree = hang([serve("device-1", times=(0, 10)), serve("device-1", times=(0, 12)), serve("device-1", times=(0, 11))])
    assert [node.span.length_ns for node in tree.nodes] == [12_000_000]


def test_a_hole_is_told_and_what_is_below_it_is_shown() -> None:
    without_call = [one for one in escalated() if one.name != SpanName.ESCALATE]
    tree = hang(without_call)
    assert [node.span.span for node in tree.nodes if node.parent == ROOT] == [span_id("s:device-1"), span_id("s:far-1")]
    assert tree.missing == ("the span above upriver.serve of far-1 is not here",)


def test_an_agent_that_answered_and_sent_nothing_is_told_once() -> None:
    tree = hang(escalated()[:4])
    assert tree.missing == ("far-1 was asked, and sent no spans of it",)


def test_the_callers_own_span_is_not_missed() -> None:
    assert hang([serve("device-1", parent="caller"), infer("device-1")]).missing == ()


def test_a_trace_of_great_depth_or_size_is_cut_and_said_so() -> None:
    deep = [span("x", f"{index:07}", f"{index - 1:07}" if index else "", (index, 10_000)) for index in range(3000)]
    tree = hang(deep, most=2000)
    assert (len(tree.nodes), tree.nodes[-1].depth) == (2000, 1999)
    assert tree.missing[-1].startswith("1000 more spans are not shown")
