"""What the demo counts while devices learn, and what it draws of it."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from demo import learn
from demo.asking import read
from demo.learn_tally import WINDOW, Point, RegionTally, share, sparkline
from demo.learn_watching import merged_in_words
from demo.plotting import SIZE, plot
from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as pb
from upriver.v1 import region_pb2

WEST = (31, 119, 180)
"""The colour of the first curve."""


def learnt():
    """A region that asks 1,200 questions; half as many go up from question 600 on, with 500 lessons."""
    tally = RegionTally("west")
    for number in range(1200):
        tally.add(number < 600 or number % 2 == 0, number != 3, number % 2 == 0)
        if number % 50 == 0:
            tally.look(min(500, number))
    tally.look(500)
    return tally


def test_a_rate_is_of_the_last_questions_and_the_start_of_the_first():
    tally = learnt()
    assert tally.start == 1.0
    assert tally.rate() == 0.5
    assert tally.points[0].questions >= WINDOW
    assert tally.points[-1] == Point(1200, 500, 0.5, 1.0)


def test_the_half_life_is_the_lessons_when_half_as_much_goes_up():
    tally = learnt()
    assert tally.half_life == 500
    tally = RegionTally("west")
    assert tally.half_life is None
    assert tally.start == tally.rate() == 0.0


def test_lessons_do_not_become_fewer_and_a_look_without_news_adds_nothing():
    tally = learnt()
    points = len(tally.points)
    tally.look(3)
    assert (tally.lessons, len(tally.points)) == (500, points)


def test_what_was_known_is_told_apart_from_what_is_new():
    tally = learnt()
    assert tally.old_accuracy(late=False) == 1.0  # the wrong one was about something new
    assert share([]) == 0.0


def test_a_sparkline_goes_along_the_lessons():
    points = [Point(300, 0, 1.0, 1.0), Point(600, 50, 1.0, 1.0), Point(900, 100, 0.0, 1.0)]
    assert sparkline(points, 3) == "██ "
    assert sparkline([], 3) == ""
    assert sparkline([Point(300, 0, 0.5, 1.0)], 2) == "▄▄"


@pytest.mark.parametrize("points", [[], [Point(300, 0, 0.9, 1.0)], learnt().points])
def test_curves_are_drawn_however_few_points_there_are(tmp_path, points):
    def coloured(curve):
        """How many of the picture's points have the colour of a curve, its name and its mark."""
        file = tmp_path / "made" / "curves.png"
        plot({"west": curve, "east": []}, {"west": [200]}, file)
        with Image.open(file) as image:
            assert image.size == SIZE
            return {colour: count for count, colour in image.getcolors(1 << 16)}[WEST]

    assert (coloured(points) > coloured([])) == (len(points) > 1)


@pytest.mark.parametrize(("labels", "told"), [("0,1,7", "7"), ("", "2"), (None, "2")])
def test_an_answer_is_read_by_the_names_of_its_columns(labels, told):
    response = pb.ModelInferResponse(raw_output_contents=[np.array([0.1, 0.2, 0.7], np.float32).tobytes()])
    output = response.outputs.add(name="probabilities", datatype="FP32", shape=[1, 3])
    if labels is not None:
        output.parameters[names.LABELS].string_param = labels
    assert read(response, 1.0).label == told


def test_what_became_of_a_head_of_a_region_is_told_in_words():
    head = region_pb2.RegionHead(
        region="west", scope="region", state="passed", lessons=775, agents=2, coverage=0.91, attempt=4, epsilon=0.01,
        delta=0.0005, losses=1, questions=1149, counted_by=2, head_size_bytes=2507, delta_size_bytes=907,
    )  # fmt: skip
    assert merged_in_words(head) == (
        "west: a head merged from 775 lessons of 2 agents answers 91%; certified at attempt 4: at most 1.0% lost "
        "(delta 0.05%), 1 of 1149 held out by 2 agents were; 907 bytes to each agent"
    )
    head.state, head.scope, head.reason = "failed", "global", "it does not escalate less"
    assert merged_in_words(head) == (
        "west, all regions together: a head merged from 775 lessons of 2 agents has failed: it does not escalate less"
    )


class Mesh:
    """Devices that nobody started."""

    def devices(self, region):
        return [SimpleNamespace(address=f"{region}:{number}") for number in (1, 2)]


def test_while_it_stays_up_each_region_is_asked_its_share_of_the_rate_about_its_own_digits(monkeypatch):
    begun, ended = [], []

    class Traffic:
        def __init__(self, *what):
            self.what = what

        def start(self):
            begun.append(self.what)

        def stop(self):
            ended.append(self.what)

    monkeypatch.setattr(learn, "Traffic", Traffic)
    stop = threading.Event()
    stop.set()
    regions = {name: SimpleNamespace(digits=f"digits of {name}") for name in ("west", "east")}
    learn.stay(Mesh(), regions, 5.0, stop)
    assert begun == [
        (["west:1", "west:2"], "digits of west", 2.5),
        (["east:1", "east:2"], "digits of east", 2.5),
    ]
    assert sorted(ended) == sorted(begun)
