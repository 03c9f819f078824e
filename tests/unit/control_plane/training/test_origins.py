"""Which questions the spans of a training link to."""

from hypothesis import given
from hypothesis import strategies as st

from upriver.tracing import MAX_LINKS
from upriver_control.training.origins import MAX_PARTS, Origin, shared_out


def origins(count: int) -> list[Origin]:
    return [Origin(f"{number:032x}", f"{number:016x}") for number in range(1, count + 1)]


@given(st.integers(0, 3_000))
def test_links_are_bounded_and_the_first_questions_have_theirs(count: int) -> None:
    links, parts = shared_out(origins(count))
    assert len(links) <= MAX_LINKS
    assert len(parts) <= MAX_PARTS
    assert all(0 < len(part) <= MAX_LINKS for part in parts)
    assert [*links, *(one for part in parts for one in part)] == origins(count)[: MAX_LINKS * (1 + MAX_PARTS)]


def test_a_question_of_several_rows_is_one_link_and_what_has_no_span_is_none() -> None:
    one, two = origins(2)
    assert shared_out([one, Origin("ab" * 16, ""), one, two, Origin("", "")]) == ((one, two), ())
