"""What `upriver policy` makes of its options, and how it draws."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ConfigError
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli import policy_options as parts
from upriver_control.cli.policy_plot import HEIGHT, WIDTH, as_svg, on_terminal
from upriver_control.telling.paths import Drawing, Point
from upriver_control.telling.policies import percent


@given(hundredths=st.integers(1, 4999))
def test_percentages_and_fractions_are_the_same(hundredths):
    assert parts.max_loss(f"{hundredths / 100}%") == pytest.approx(hundredths / 1e4)
    assert parts.max_loss(str(hundredths / 1e4)) == pytest.approx(hundredths / 1e4)
    assert parts.confidence("95%") == parts.confidence("0.95") == 0.95


@pytest.mark.parametrize("text", ["0", "0%", "-1%", "0.5", "50%", "1", "5", "nan", "inf", "half", "", "%", "1%%"])
def test_a_loss_that_makes_no_sense_is_refused(text):
    with pytest.raises(ConfigError, match="--max-loss"):
        parts.max_loss(text)


@pytest.mark.parametrize("text", ["95", "100%", "1", "5%", "0.05", "nan", "sure"])
def test_a_confidence_that_makes_no_sense_is_refused(text):
    with pytest.raises(ConfigError, match="such as 95% or"):
        parts.confidence(text)


def test_tiers_are_taken_in_their_order_with_what_is_said_of_each():
    device, cloud = parts.tiers("digits", ["device=v3", "cloud=digits@best"], ["cloud=40"], ["cloud=7.5"])
    assert (device.tier, device.version) == ("device", "models/digits/versions/v3")
    assert cloud.version == "models/digits/versions/@best"
    assert (cloud.hop_ms, cloud.cost) == (40.0, 7.5)
    assert parts.tiers("digits", ["a=@x"], [], [])[0].version == "models/digits/versions/@x"
    (hop,) = parts.tiers("digits", [], ["cloud=40"], [])
    assert (hop.tier, hop.version, hop.HasField("cost")) == ("cloud", "", False)


@pytest.mark.parametrize(
    "given_",
    [
        (["device"], [], []),
        (["=v3"], [], []),
        (["a=1", "a=2"], [], []),
        (["a=1"], ["b=4"], []),
        ([], ["a=-1"], []),
        ([], [], ["a=nan"]),
        ([], ["a=x"], []),
    ],
)
def test_tiers_that_make_no_sense_are_refused(given_):
    with pytest.raises(ConfigError):
        parts.tiers("digits", *given_)


def test_forms_costs_plots_and_names():
    assert parts.form("joint") == pb.CERTIFICATE_FORM_JOINT
    assert parts.cost("bytes") == pb.COST_UNIT_BYTES
    assert parts.calibration_name("digits/abc") == "models/digits/calibrations/abc"
    for call in (lambda: parts.form("both"), lambda: parts.cost("money"), lambda: parts.calibration_name("abc"),
                 lambda: parts.plot_file(parts.Path("x.png")), lambda: parts.agreement("nonsense")):  # fmt: skip
        with pytest.raises(ConfigError):
            call()


POINTS = st.builds(Point, st.floats(0, 1), st.floats(0, 1), st.booleans())


@given(points=st.lists(POINTS, max_size=40).map(tuple), shipped=st.none() | POINTS, target=st.floats(1e-4, 0.4))
def test_whatever_is_drawn_fits(points, shipped, target):
    drawing = Drawing("a <model>", points, shipped, target)
    lines = on_terminal(drawing).plain.splitlines()
    assert len(lines) == HEIGHT + 5
    assert all(len(line) <= WIDTH + 24 for line in lines)
    root = ElementTree.fromstring(as_svg(drawing))  # noqa: S314 - what we have just written
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= 720
        assert 0 <= float(circle.attrib["cy"]) <= 400


def test_what_ships_and_what_is_proven_are_told_apart():
    points = (Point(0.9, 0.002, True), Point(0.99, 0.009, False))
    told = on_terminal(Drawing("m", points, Point(0.9, 0.004, True), 0.005)).plain
    assert told.count("●") == told.count("·") == told.count("◆") == 2  # each once, and once in the legend


def test_shares_are_told_with_the_digits_that_matter():
    assert [percent(value) for value in (0.00473, 0.95, 1.0, 0.9628, math.nan, 0.0)] == [
        "0.473 %", "95 %", "100 %", "96.3 %", "-", "0 %"
    ]  # fmt: skip
