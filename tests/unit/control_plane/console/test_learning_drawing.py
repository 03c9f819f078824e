"""The pictures of *Learning*, of messages made by hand: whatever things are called, and whatever numbers there are."""

import math
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.console import learnt
from tests.unit.control_plane.console.test_svg import Seen, nasty
from upriver.v1 import fleet_pb2, inbox_pb2, mesh_pb2, region_pb2, ticket_pb2, train_pb2
from upriver_control.console import learning_news
from upriver_control.console.drawing import classes, desk, promotions, rates, trainings
from upriver_control.console.drawing.rates import Axes, Course, Mark, Step
from upriver_control.console.drawing.svg import Markup
from upriver_control.console.labelling import Desk, Waiting, arrived, press
from upriver_control.console.pages.learning import Asked, Learnt, choose, draw_courses, draw_learnt

NOW = datetime.fromtimestamp(1_790_000_600, UTC)
SAFE = {
    "a", "br", "button", "caption", "circle", "code", "dd", "details", "div", "dl", "dt", "figure", "h2", "h3", "img",
    "kbd", "li", "line", "p", "path", "pre", "rect", "section", "span", "strong", "summary", "svg", "table", "tbody",
    "td", "text", "th", "thead", "title", "tr", "ul",
}  # fmt: skip
names = nasty
stamps = st.integers(-(2**40), 2**40).map(lambda at: Timestamp(seconds=at))


def seen(markup: Markup) -> Seen:
    """What a browser sees; no element that is not ours, no attribute that runs anything."""
    found = Seen(markup)
    assert {name for name, _ in found.elements} <= SAFE
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
    return found


def shown(*tickets: inbox_pb2.OpenTicket, keys: str = "") -> tuple[Desk, desk.Tickets]:
    now = arrived(Desk(), [Waiting(one.agent, one.ticket.name, tuple(one.labels)) for one in tickets])
    for key in keys:
        now, _ = press(now, key)
    return now, {(one.agent, one.ticket.name): desk.shown_of(one, "/p/1" if one.png else "") for one in tickets}


def test_the_ticket_that_is_looked_at_is_marked_and_its_choice_is_pressed() -> None:
    now, tickets = shown(*(learnt.open_ticket(number) for number in range(3)), keys="3")
    options = [attributes for _, attributes in seen(desk.options(now, tickets, NOW)).elements if "role" in attributes]
    assert [one["aria-selected"] for one in options] == ["true", "false", "false"]
    assert [one.get("aria-current") for one in options] == ["true", None, None]
    assert options[0]["id"] == desk.id_of(now.tickets[0])
    found = seen(desk.detail(now, tickets, NOW))
    pressed = {one["data-value"]: one["aria-pressed"] for _, one in found.elements if "aria-pressed" in one}
    assert [label for label, is_pressed in pressed.items() if is_pressed == "true"] == ["class-2"]
    words = " ".join(found.texts)
    for told in ("best guess class-0, 41 % sure", "device-1, 10 min ago", "another model, or you", "Send class-2"):
        assert told in words
    assert next(one["src"] for name, one in found.elements if name == "img") == "/p/1"


def test_what_can_t_be_shown_is_said_and_can_be_answered_all_the_same() -> None:
    sealed = learnt.open_ticket(1, problem="its input is sealed")
    words = " ".join(seen(desk.detail(*shown(sealed), NOW)).texts)
    assert "Its input is not shown: its input is sealed" in words
    assert "class-9" in words
    bare = learnt.open_ticket(2, labels=())
    assert "upriver tickets answer q-0000000000000002" in " ".join(seen(desk.detail(*shown(bare), NOW)).texts)


def test_digits_stand_at_labels_only_where_they_choose_them() -> None:
    def digits(*labels: str) -> list[str]:
        found = Seen(desk.detail(*shown(learnt.open_ticket(0, labels=labels)), NOW))
        return [text for text in found.texts if text in "123456789"]

    assert digits("cat", "dog") == ["1", "2"]
    assert digits("0", "7") == ["7"], "the label itself"


def test_of_a_thousand_labels_some_are_shown_and_what_is_typed_finds_the_others() -> None:
    many = learnt.open_ticket(0, labels=[f"label {number:04d}" for number in range(1000)])
    assert "940 more labels" in " ".join(Seen(desk.detail(*shown(many), NOW)).texts)
    typed = Seen(desk.detail(*shown(many, keys="label 0999"), NOW))
    assert [one["data-value"] for _, one in typed.elements if one.get("aria-pressed") == "true"] == ["label 0999"]


def test_agents_that_could_not_be_asked_are_told() -> None:
    told = inbox_pb2.ListOpenTicketsResponse(unreachable={"far-1": "it is away"})
    words = " ".join(seen(desk.notes(told, 1, desk.Shelf())).texts)
    assert "far-1" in words
    assert "agents that could be asked" in " ".join(seen(desk.empty(told.unreachable)).texts)


def test_how_many_tickets_wait_is_told_and_the_way_to_those_that_are_not_shown() -> None:
    def told(after: str, behind: str, reported: int = 57, model: str = "") -> tuple[str, list[str]]:
        shelf = desk.Shelf(model, after, lambda place: f"/learning?after={place}")
        response = inbox_pb2.ListOpenTicketsResponse(next_page_token=behind, reported=reported)
        found = seen(desk.notes(response, 20, shelf))
        return " ".join(found.texts), [one["href"] for name, one in found.elements if name == "a"]

    words, links = told("", "p1")
    assert "These are the 20 oldest; more wait behind them" in words
    assert "Agents last told of 57 that wait." in words
    assert links == ["/learning?after=p1"]
    words, links = told("p1", "p2", model="digits")
    assert "These wait behind older ones; more wait behind them" in words
    assert "57 that wait, of all models." in words
    assert links == ["/learning?after=", "/learning?after=p2"]
    words, links = told("p2", "", reported=3)
    assert "more" not in words
    assert "Agents last told" not in words, "which was before these came"
    assert links == ["/learning?after="]
    assert told("", "") == ("", [])
    assert "there any more" in " ".join(seen(desk.empty({}, "p2")).texts), "older ones may wait"


@given(names, names, st.lists(names, max_size=12, unique=True), names, names, stamps)
def test_no_name_of_a_ticket_is_more_than_text(
    agent: str, name: str, labels: list[str], problem: str, text: str, at: Timestamp
) -> None:
    made = inbox_pb2.OpenTicket(
        agent=agent, labels=labels, input_problem=problem, png=text.encode(errors="replace"),
        ticket=ticket_pb2.Ticket(name=name, model=text, trace=text, create_time=at, expire_time=at),
    )  # fmt: skip
    other = inbox_pb2.OpenTicket(agent=agent, labels=labels, ticket=made.ticket)
    for one in (made, other):
        one.ticket.input.inputs.add(name=text, datatype="BYTES", shape=[1])
        one.ticket.input.raw_input_contents.append(b"\x01\x00\x00\x00<")
        now, tickets = shown(one, keys=(labels or ["x"])[0][:3])
        seen(desk.options(now, tickets, NOW))
        seen(desk.detail(now, tickets, NOW))


def test_regions_go_side_by_side_on_one_scale_with_what_was_learnt() -> None:
    now = 1_790_000_600.0
    request = mesh_pb2.ListRatesRequest(from_time=Timestamp(seconds=int(now) - 3600))
    told, heads, agents = learnt.rates(now, request), learnt.heads(now).heads, learnt.agents(now).agents
    found = learning_news.courses(told.rates, learning_news.marks_of(heads, agents, ""))
    assert [course.region for course in found] == ["eu", "us"]
    assert [mark.words for mark in found[0].marks] == ["head of 212 lessons", "device-1: head of 96"]
    assert found[1].marks == ()
    page = seen(draw_courses(found, Asked("", "1h"), now))
    words = " ".join(page.texts)
    for part in ("last hour (UTC)", "Went up", "of 12,000 rows", "Lessons now", "head of 212 lessons"):
        assert part in words
    labels = [one["aria-label"] for _, one in page.elements if "rates" in (one.get("class") or "").split()]
    assert labels[0].startswith("eu: escalated 62 % at first, ")
    assert labels[0].endswith("; 2 promotions")


def test_of_many_regions_those_are_drawn_of_which_most_went_up_and_each_other_has_a_line() -> None:
    courses = [Course(f"r{number:02d}", [Step(0.0, 1000, number, 7)]) for number in range(20)]
    page = seen(draw_courses(courses, Asked("", "1h"), 60.0))
    drawn = [one["data-region"] for name, one in page.elements if name == "section"]
    assert drawn == [f"r{number:02d}" for number in range(8, 20)]
    assert "r07: 0.7 % of 1,000 rows went up, 7 lessons." in page.texts


def test_a_model_of_which_nothing_was_asked_keeps_its_lessons_and_versions_together_are_one() -> None:
    def rate(at: int, model: str, version: str, lessons: int) -> mesh_pb2.Rate:
        made = mesh_pb2.Rate(region="eu", model=model, version=version, rows=10, escalated_rows=5, lessons=lessons)
        made.time.FromSeconds(at)
        return made

    (course,) = learning_news.courses([rate(0, "a", "1", 4), rate(0, "b", "1", 3), rate(60, "a", "2", 6)], {})
    assert list(course.steps) == [Step(0, 20, 10, 7), Step(60, 10, 5, 9)]


def test_another_time_range_keeps_the_model_whatever_is_in_its_name() -> None:
    links = [attributes["href"] for name, attributes in Seen(choose(Asked("a&b", "1h"))).elements if name == "a"]
    assert "?range=24h&model=a%26b" in links
    assert "?range=24h" in [
        attributes["href"] for name, attributes in Seen(choose(Asked("", "1h"))).elements if name == "a"
    ]


def test_where_nothing_was_asked_the_page_says_what_to_do_and_a_pause_is_a_gap() -> None:
    assert "upriver ask" in " ".join(seen(draw_courses([], Asked("", "24h"), 1e9)).texts)
    steps = [Step(at, 10, 5, 1) for at in (0, 60, 120, 1200, 1260)]
    drawn = seen(rates.draw(Course("eu", steps), rates.axes_of([Course("eu", steps)], 0, 1800, 60), 600))
    (path,) = [one["d"] for name, one in drawn.elements if name == "path" and one["class"] == "rates-share"]
    assert (path or "").count("M") == 2


numbers = st.integers(-(2**62), 2**62)
floats = st.floats(allow_nan=True, allow_infinity=True)
steps = st.builds(Step, floats, numbers, numbers, numbers)


@given(names, st.lists(steps, max_size=20), st.lists(st.builds(Mark, floats, names), max_size=50), st.floats(0, 4e9))
def test_no_course_breaks_its_picture(name: str, some: list[Step], marks: list[Mark], end: float) -> None:
    course = Course(name, some, marks)
    for axes in (rates.axes_of([course], end - 3600, end, 60), Axes(end, end, 0, 1, 0)):
        for width in (330, 620):
            found = seen(rates.draw(course, axes, width))
            places = [one[key] for _, one in found.elements for key in ("x", "cx", "x1") if one.get(key)]
            assert all(-width <= float(place or 0) <= 2 * width for place in places)


@given(st.dictionaries(names, st.integers(1, 2**40), max_size=60), names)
def test_lessons_by_class_are_all_counted(labels: dict[str, int], name: str) -> None:
    told = train_pb2.SummarizeLessonsResponse()
    told.summaries.add(region=name, date="2026-11-25", lessons=sum(labels.values()), labels=labels)
    page = seen(classes.lessons([(name, told)]))
    bars = [one for tag, one in page.elements if tag == "rect"]
    assert len(bars) == 2 * min(len(labels), classes.MOST + 1)


def test_without_lessons_it_says_what_to_set() -> None:
    assert "keep_inputs" in " ".join(seen(classes.lessons([("m", train_pb2.SummarizeLessonsResponse())])).texts)


def test_promotions_have_their_certificates_and_what_did_not_pass_says_why() -> None:
    now = NOW.timestamp()
    told = Learnt(learnt.heads(now).heads, learnt.agents(now).agents, learnt.pooled().regions)
    words = " ".join(seen(draw_learnt(told, Asked("", "1h"), NOW)).texts)
    for part in (
        "at most 2 % of all questions lost, but for a chance of 2.5 %: 3 of 412 held-out questions lost",
        "answers 64 held-out questions more and 2 fewer",
        "its test is still to come",
        "3 losses more than it may have",
        "96 lessons of its own, attempt 1",
        "at most 2 % of all questions lost, but for a chance of 5 %: 2 of 318 held-out questions lost",
        "its audits have rung the alarm",
        "Pooled by region",
        "no region's head",
        ", of its region",
    ):
        assert part in words
    assert "keep" not in " ".join(seen(draw_learnt(told, Asked("pattern", "1h"), NOW)).texts)
    assert "Nothing that was learnt answers yet" in " ".join(seen(draw_learnt(told, Asked("x", "1h"), NOW)).texts)


@given(names, names, names, stamps, floats)
def test_no_name_of_a_head_an_agent_or_a_training_is_more_than_text(
    name: str, text: str, state: str, at: Timestamp, number: float
) -> None:
    head = region_pb2.RegionHead(model=text, region=name, state=state, reason=text, create_time=at, lessons=number)
    agent = fleet_pb2.Agent(name=name, region=text)
    agent.slots.add(model=name).reported.refined.policy_document = text
    agent.slots.add(model=text).reported.unrefined = name or "x"
    region = region_pb2.RegionSummary(model=text, region=name, version_digest=text, head_digest=name, scope=state)
    seen(draw_learnt(Learnt([head], [agent], [region]), Asked("", "1h"), NOW))
    training = train_pb2.Training(name=name, reason=text, doing=state, progress=number, create_time=at)
    training.state = train_pb2.TRAINING_STATE_RUNNING
    seen(trainings.draw([training], name, NOW))
    seen(trainings.draw([], name, NOW))


@pytest.mark.parametrize("share", [-1.0, 0.4, 7.0, math.nan, math.inf])
def test_progress_stays_within_its_bar(share: float) -> None:
    widths = [float(one["width"] or 0) for name, one in seen(trainings.progress(share)).elements if name == "rect"]
    assert max(widths) == 120.0


def test_what_a_page_of_promotions_leaves_out_is_told() -> None:
    heads = [learnt.region_head(NOW.timestamp()) for _ in range(promotions.MOST + 5)]
    assert "the newest 50 of 55" in " ".join(seen(promotions.of_regions(heads, NOW)).texts)
