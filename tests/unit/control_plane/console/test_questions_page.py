"""What becomes of the list of questions while a page stays open."""

import time
from typing import cast

from tests.unit.control_plane.console.markup import Seen
from tests.unit.control_plane.console.open_page import Parts
from upriver.v1 import question_pb2 as pb
from upriver_control.console.asked import read
from upriver_control.console.pages import questions as page
from upriver_control.console.site import Frame, Site

MINUTE_S = 60


def question(number: int, age_s: float) -> pb.Question:
    made = pb.Question(trace=f"{number:032x}", agent="a", model="m")
    made.time.FromNanoseconds(round((time.time() - age_s) * 1e9))
    return made


def test_what_has_become_older_than_is_asked_for_leaves_the_list() -> None:
    parts = Parts()
    opened = page._Page(cast("Site", None), read([("last", "15m")]), cast("Frame", parts))
    opened._came(pb.WatchQuestionsResponse(questions=[question(1, 60 * MINUTE_S), question(2, MINUTE_S)]))
    assert [row["data-key"] for row in Seen(parts.made[-1].content).named("tr") if "data-key" in row] == [
        f"{2:032x} a 0"
    ]
