"""Markup: whatever a name is, it stays text."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.console.markup import Seen
from upriver_control.console.drawing.svg import Markup, join, svg, tag, text
from upriver_control.console.drawing.table import Row, table

nasty = st.text() | st.sampled_from(
    ["<script>alert(1)</script>", '" onload="x', "</title><script>", "&lt;", "javascript:x", "\x00\x1b", "]]>", "<!--"]
)


@given(nasty, nasty)
def test_text_and_attributes_stay_what_they_are(words: str, value: str) -> None:
    seen = Seen(tag("p", {"title": value, "data-x": words}, words))
    assert [name for name, _ in seen.elements] == ["p"]
    assert set(seen.elements[0][1]) == {"title", "data-x"}
    shown = "".join(seen.texts)
    assert len(shown) == len(words.replace("\r", "\ufffd"))


@given(nasty)
def test_no_name_makes_an_element_of_a_picture_or_a_table(name: str) -> None:
    drawn = join(
        svg(10, 10, name, text(1, 2, name)), table(name, [name, name], [Row([name, name], key=name, href=name)])
    )
    assert {element for element, _ in Seen(drawn).elements} <= {
        "svg", "title", "text", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "a",
    }  # fmt: skip


@given(nasty)
def test_a_link_leads_to_pages_only(address: str) -> None:
    href = Seen(tag("a", {"href": address}, "x")).elements[0][1]["href"]
    assert href == "#" or not href.lower().startswith(("javascript:", "data:", "vbscript:"))
    assert Seen(tag("a", {"href": "javascript:alert(1)"}, "x")).elements[0][1]["href"] == "#"


def test_markup_is_taken_as_it_is_and_nothing_is_left_out_but_none_and_false() -> None:
    assert tag("p", {"hidden": True, "title": None, "x": False, "n": 1}, tag("b", None, 2), None, 0.5) == (
        '<p hidden n="1"><b>2</b>0.5</p>'
    )
    assert isinstance(tag("br"), Markup)


def test_a_picture_is_called_by_its_title() -> None:
    attributes = Seen(svg(10.5, 2, "How long")).elements[0][1]
    assert (attributes["role"], attributes["aria-label"], attributes["viewbox"]) == ("img", "How long", "0 0 10.5 2")


def test_a_coordinate_that_is_no_number_does_not_break_a_picture() -> None:
    assert Seen(text(float("nan"), float("inf"), "x")).elements[0][1] == {"x": "0", "y": "0"}
