"""Label names travel as one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.labels import join_labels, split_labels

NAMES = st.lists(st.text(st.sampled_from("ab,\\ é\n"), max_size=5), min_size=1, max_size=6).map(tuple)


@given(NAMES.filter(lambda names: names != ("",)))
def test_names_come_back_whatever_is_in_them(names: tuple[str, ...]) -> None:
    assert split_labels(join_labels(names)) == names


@given(st.text(st.sampled_from("ab,\\"), max_size=12))
def test_any_text_can_be_split(text: str) -> None:
    names = split_labels(text)
    if names == ("",):  # one label without a name is no labels
        names = ()
    assert split_labels(join_labels(names)) == names


@pytest.mark.parametrize(
    ("text", "names"), [("", ()), ("a", ("a",)), ("a,b", ("a", "b")), (r"a\,b,c\\", ("a,b", "c\\")), (",", ("", ""))]
)
def test_the_form_on_the_wire(text: str, names: tuple[str, ...]) -> None:
    assert split_labels(text) == names
    assert join_labels(names) == text
