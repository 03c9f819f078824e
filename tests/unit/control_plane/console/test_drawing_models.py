"""Pictures of models and policies: whatever things are called, they are markup that fits and say what was counted."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.console.drawing import lineage, path, rings, shares
from upriver_control.console.drawing.fitting import extent, fit
from upriver_control.telling.paths import Drawing, Point

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", '" onload="x', "]]>", "&amp;", "\x00", "a" * 300]
)
WIDTHS = st.sampled_from([340.0, 720.0, 1080.0])
ANY = st.floats(allow_nan=True, allow_infinity=True)


def parsed(markup, width):
    """The picture, which is well formed, is named, runs nothing, and has no coordinate outside."""
    root = ElementTree.fromstring(markup)  # noqa: S314 - what we have just written
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]
    high = float(root.attrib["viewBox"].split()[3])
    for element in root.iter():
        assert element.tag in {f"{SVG}{name}" for name in ("svg", "title", "text", "line", "path", "circle", "rect")}
        assert not [name for name in element.attrib if name.startswith("on")]
        for across, down in (("cx", "cy"), ("x", "y"), ("x1", "y1"), ("x2", "y2")):
            if across in element.attrib:
                assert -0.01 <= float(element.attrib[across]) <= width + 0.01
                assert -0.01 <= float(element.attrib[down]) <= high + 0.01
    return root


def texts(root):
    return [element.text or "" for element in root.iter(f"{SVG}text")]


ALIASES = st.lists(HOSTILE, max_size=2).map(tuple)
MADE = st.builds(
    lineage.Made, HOSTILE, HOSTILE | st.sampled_from("abc"), HOSTILE, ALIASES, st.integers(0, 10**6), st.booleans()
)


@given(versions=st.lists(MADE, max_size=12), width=WIDTHS)
def test_any_lineage_can_be_drawn(versions, width):
    parsed(lineage.draw(versions, "<digits>", width), width)


@given(parents=st.lists(st.integers(0, 30), max_size=25))
def test_no_version_lies_on_the_line_between_two_others(parents):
    versions = [
        lineage.Made(str(own), str(own + 1 + step) if step < 20 else "", "") for own, step in enumerate(parents)
    ]
    spots = lineage.lay_out(versions)
    assert sorted(spot.row for spot in spots) == list(range(len(spots)))
    for spot in spots:
        for between in spots[spot.row + 1 : spot.parent_row or 0]:
            assert between.lane != spot.lane


def test_branches_stand_beside_each_other_and_meet_at_their_parent():
    versions = [lineage.Made("3", "1", ""), lineage.Made("2", "1", ""), lineage.Made("1", "0", "")]
    spots = lineage.lay_out(versions)
    assert [(spot.made.name, spot.lane, spot.parent_row) for spot in spots] == [
        ("3", 0, 2), ("2", 1, 2), ("1", 0, 3), ("0", 0, None)
    ]  # fmt: skip
    assert [spot.made.here for spot in spots] == [True, True, True, False]


def test_a_parent_that_is_newer_than_its_child_or_itself_draws_no_line_backwards():
    versions = [lineage.Made("b", "b", ""), lineage.Made("a", "b", "")]
    assert [spot.parent_row for spot in lineage.lay_out(versions)] == [None, None]


def test_the_lineage_says_who_runs_and_is_called_what():
    root = parsed(lineage.draw([lineage.Made("7", "6", "trained", ("champion",), 1)], "digits", 340.0), 340.0)
    assert "@champion" in texts(root)
    assert "1 agent runs it · trained" in texts(root)


COUNT = st.integers(-5, 10**6)
RING = st.builds(rings.Ring, HOSTILE, COUNT, COUNT, COUNT, COUNT, COUNT, st.booleans())


@given(found=st.lists(RING, max_size=5), width=WIDTHS)
def test_any_rings_can_be_drawn_and_no_bar_is_longer_than_full(found, width):
    root = parsed(rings.draw(found, width), width)
    for ring in found:
        parts = rings.parts(ring)
        assert parts.active + parts.failed + parts.moving + parts.untold == max(0, ring.agents)
    for bar in root.iter(f"{SVG}rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width + 0.05


def test_a_ring_is_told_in_words_too():
    ring = rings.Ring("25%", 8, 5, 3, 1, 2, True)
    assert rings.words(ring) == "8 agents: 3 run it, 1 on the way, 1 failed, 2 not connected, 3 not told yet"
    assert rings.words(rings.Ring("all", 0, 0, 0, 0, 0, False)) == "no agents in it"
    (line,) = texts(parsed(rings.draw([ring], 720.0), 720.0))
    assert line.startswith("Ring 1 of 1 (25%) · 8 agents: 3 run it")


POINTS = st.builds(Point, st.floats(0, 1), st.floats(0, 1) | ANY, st.booleans())


@given(
    points=st.lists(POINTS, max_size=40).map(tuple),
    shipped=st.none() | POINTS,
    target=st.floats(1e-4, 0.4),
    ask=st.none() | st.builds(path.Ask, st.floats(0, 1), st.floats(0, 1)),
    title=HOSTILE,
    width=WIDTHS,
)
def test_any_path_can_be_drawn(points, shipped, target, ask, title, width):
    parsed(path.draw(Drawing(title, points, shipped, target), width, ask), width)


def test_what_ships_what_is_proven_and_what_is_not_can_be_told_apart_without_colours():
    points = (Point(0.9, 0.002, True), Point(0.99, 0.009, False))
    root = parsed(path.draw(Drawing("m", points, Point(0.9, 0.004, True), 0.005), 720.0), 720.0)
    fills = [circle.attrib["fill"] for circle in root.iter(f"{SVG}circle")]
    assert sorted(fills) == ["none", "var(--good)"]
    assert "ships: 90 %" in texts(root)
    assert "may be lost: 0.5 %" in texts(root)


COURSE = st.builds(shares.Course, HOSTILE, st.lists(st.tuples(st.floats(0, 2e9), ANY), max_size=20).map(tuple))


@given(lines=st.lists(COURSE, max_size=3), span=st.floats(0, 1e6), width=WIDTHS)
def test_any_course_can_be_drawn(lines, span, width):
    parsed(shares.courses(lines, 1e9, 1e9 + span, "rows that went up", width), width)


WHISKER = st.builds(shares.Whisker, HOSTILE, COUNT, COUNT, ANY, ANY)


@given(found=st.lists(WHISKER, max_size=4), width=WIDTHS)
def test_any_whiskers_can_be_drawn(found, width):
    parsed(shares.whiskers(found, "differ", width), width)


@pytest.mark.parametrize(
    ("most", "end"), [(0.0, 0.01), (0.01, 0.01), (0.011, 0.02), (0.3, 0.5), (0.51, 1.0), (7.0, 1.0)]
)
def test_an_axis_of_shares_ends_at_a_round_one(most, end):
    assert shares.highest([most, math.nan]) == end


@given(words=HOSTILE, room=st.floats(0, 800))
def test_words_are_cut_to_their_room(words, room):
    cut = fit(words, room)
    assert extent(cut) <= room or cut == words
    assert cut == words or cut == "" or cut.endswith("…")
