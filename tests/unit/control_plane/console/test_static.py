"""The stylesheet and the script are whole: a browser passes over what it can't read, and says nothing."""

import re

import pytest

from upriver_control.console.site import STATIC

FILES = sorted(STATIC.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_of_a_merge_is_left_and_what_is_opened_is_closed(path) -> None:
    text = path.read_text()
    assert not re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE)
    depth = 0
    for number, line in enumerate(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines(), 1):
        depth += line.count("{") - line.count("}")
        assert depth >= 0, number
    assert depth == 0
