"""What the mesh learns: what waits for a person, escalations against lessons, promotions, lessons, trainings."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from fastapi import Request
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.v1 import fleet_pb2, mesh_pb2, region_pb2, registry_pb2, train_pb2
from upriver_control.console import learning_news, units, words
from upriver_control.console.drawing import classes, desk, pooled, promotions, rates, trainings
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.pages import tickets
from upriver_control.console.pictures import Pictures
from upriver_control.console.site import Site

WIDE: Final = 620
NARROW: Final = 330
RANGES: Final = {
    "1h": (3600, "hour"),
    "24h": (86_400, "24 hours"),
    "7d": (604_800, "7 days"),
    "30d": (2_592_000, "30 days"),
}
_STEPS_S: Final = {"1h": 60, "24h": 900, "7d": 7200, "30d": 28_800}
_RATES_S: Final = {"1h": 2.0, "24h": 5.0, "7d": 30.0, "30d": 60.0}
_LEARNT_S: Final = 5.0
_LESSONS_S: Final = 5.0
_TRAININGS: Final = 20
_TRAININGS_S: Final = 1.0
_REGIONS: Final = 12
"""Regions that are drawn, those of which most went up; the others have a line each."""
_MODELS: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page is asked for: a model, empty for all, and how far back."""

    model: str
    span: str

    @property
    def seconds(self) -> int:
        """The time that rates are shown of."""
        return RANGES[self.span][0]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt, and answers or was tried."""

    heads: Sequence[region_pb2.RegionHead]
    agents: Sequence[fleet_pb2.Agent]
    regions: Sequence[region_pb2.RegionSummary] = ()


Lessons = Sequence[tuple[str, train_pb2.SummarizeLessonsResponse]]


def add(site: Site) -> None:
    """Registers `/learning`, and where the pictures of its tickets are."""
    pictures = Pictures("/learning/pictures")
    pictures.serve()

    @site.page("/learning")
    async def learning(request: Request) -> None:
        span = request.query_params.get("range", "1h")
        asked = Asked(request.query_params.get("model", ""), span if span in RANGES else "1h")
        with site.frame("Learning", "/learning") as frame:
            shelf = desk.Shelf(asked.model, request.query_params.get("after", ""), lambda after: _address(asked, after))
            room = tickets.Section(site, frame, shelf)
            frame.part(choose(asked))
            course, learnt = frame.part(classes="card"), frame.part(classes="card learnt")
            lessons, trained = frame.part(classes="card"), frame.part(classes="card")
            news = _News(asked)

            def show_rates(told: mesh_pb2.ListRatesResponse) -> None:
                news.rates = told
                if news.has_changed(time.time()):
                    course.set(news.courses())

            def show_learnt(told: Learnt) -> None:
                news.learnt = told
                learnt.set(draw_learnt(told, asked, datetime.now(UTC)))

            await asyncio.gather(
                frame.live(tickets.feed(site, shelf, pictures), room.show),
                frame.live(_rates(site, asked), show_rates),
                frame.live(_learnt(site), show_learnt),
                frame.live(_lessons(site), lambda told: lessons.set(draw_lessons(told, asked))),
                frame.live(_trainings(site, asked), lambda told: trained.set(draw_trainings(told, asked))),
            )


class _News:
    """What a page was told last; pictures of rates take from two feeds."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.rates = mesh_pb2.ListRatesResponse()
        self.learnt = Learnt((), ())
        self._drawn: tuple[object, ...] = ()
        self._end = 0.0

    def has_changed(self, now: float) -> bool:
        """Whether pictures differ from those that were drawn last: time goes on by whole steps."""
        step_s = _STEPS_S[self._asked.span]
        self._end = (now // step_s + 1) * step_s
        marks = learning_news.marks_of(self.learnt.heads, self.learnt.agents, self._asked.model)
        before, self._drawn = self._drawn, (self._end, self.rates, marks)
        return before != self._drawn

    def courses(self) -> Markup:
        """The pictures of all regions."""
        marks = learning_news.marks_of(self.learnt.heads, self.learnt.agents, self._asked.model)
        return draw_courses(learning_news.courses(self.rates.rates, marks), self._asked, self._end)


def _address(asked: Asked, after: str) -> str:
    """The page with the tickets behind a place; with the oldest for none."""
    query = {"range": asked.span, "model": asked.model, "after": after}
    return f"/learning?{urlencode({name: value for name, value in query.items() if value})}"


def choose(asked: Asked) -> Markup:
    """Which time and which model: links and a form, so that the address says it."""
    model = {"model": asked.model} if asked.model else {}
    links = [
        tag(
            "a",
            {"href": f"?{urlencode({'range': key} | model)}", "aria-current": "true" if key == asked.span else None},
            told,
        )
        for key, (_, told) in RANGES.items()
    ]
    field = tag(
        "input",
        {
            "type": "search",
            "name": "model",
            "id": "model",
            "value": asked.model,
            "placeholder": "all models",
            "data-search": True,
        },
    )
    return tag(
        "form",
        {"method": "get", "action": "/learning", "class": "learning-choose", "role": "search"},
        tag("span", {"class": "learning-ranges", "role": "group", "aria-label": "Time range"}, "Last", *links),
        tag("input", {"type": "hidden", "name": "range", "value": asked.span}),
        tag("label", {"for": "model"}, "Model"),
        field,
        tag("button", {"type": "submit"}, "Show"),
    )


def draw_courses(courses: Sequence[rates.Course], asked: Asked, now: float) -> Markup:
    """Escalations against lessons, region by region."""
    axes = rates.axes_of(courses, now - asked.seconds, now, _STEPS_S[asked.span])
    head = tag("h2", None, f"Escalations against lessons, last {RANGES[asked.span][1]} (UTC)")
    if not any(step.rows for course in courses for step in course.steps):
        return join(
            head,
            words.nothing(
                f"Nothing was asked in the last {RANGES[asked.span][1]}.",
                "upriver ask MODEL FILE --agent HOST:PORT",
                "Agents count what they are asked and what goes up, and tell it with their status.",
            ),
        )
    moving = [one for one in courses if one.marks or any(step.escalated or step.lessons for step in one.steps)]
    drawn = {one.region for one in sorted(moving, key=lambda one: -_rows(one)[1])[:_REGIONS]}
    return join(
        head,
        rates.legend(),
        tag(
            "div",
            {"class": "columns learning-regions"},
            *(_region(one, axes) for one in courses if one.region in drawn),
        ),
        *(
            tag("p", {"class": "quiet", "data-region": one.region}, _line(one))
            for one in courses
            if one.region not in drawn
        ),
    )


def _line(course: rates.Course) -> str:
    """A region that is not drawn: nothing happens there, or more than elsewhere in too many others."""
    rows, escalated = _rows(course)
    share = units.share(escalated / rows) if rows else "none"
    lessons = course.steps[-1].lessons if course.steps else 0
    return (
        f"{course.region or 'no region'}: {share} of {units.count(rows)} rows went up, {units.count(lessons)} lessons."
    )


def _rows(course: rates.Course) -> tuple[int, int]:
    """Rows that were asked, and those of them that went up."""
    return sum(step.rows for step in course.steps), sum(step.escalated for step in course.steps)


def _region(course: rates.Course, axes: rates.Axes) -> Markup:
    asked, escalated = _rows(course)
    share = units.share(escalated / asked) if asked else units.NONE
    return tag(
        "section",
        {"class": "learning-region", "data-region": course.region},
        tag("h3", None, course.region or "no region"),
        words.facts(
            ("Went up", f"{share} of {units.count(asked)} rows"),
            ("Lessons now", units.count(course.steps[-1].lessons)),
            ("Promotions", units.count(len(course.marks)) if course.marks else None),
        ),
        tag("div", {"class": "wide"}, rates.draw(course, axes, WIDE)),
        tag("div", {"class": "narrow"}, rates.draw(course, axes, NARROW)),
    )


def draw_learnt(told: Learnt, asked: Asked, now: datetime) -> Markup:
    """Promotions with their certificates."""
    heads = [one for one in told.heads if asked.model in ("", one.model.removeprefix("models/"))]
    of_agents = promotions.of_agents(told.agents, asked.model, now)
    regions = [one for one in told.regions if asked.model in ("", one.model.removeprefix("models/"))]
    found = join(promotions.of_regions(heads, now) if heads else None, of_agents, pooled.draw(regions))
    return join(tag("h2", None, "Promotions and their certificates"), found or promotions.nothing())


def draw_lessons(told: Lessons, asked: Asked) -> Markup:
    """Lessons by class."""
    wanted = [one for one in told if asked.model in ("", one[0])]
    return join(tag("h2", None, "Lessons by class, handed up with their inputs"), classes.lessons(wanted))


def draw_trainings(told: train_pb2.ListTrainingsResponse, asked: Asked) -> Markup:
    """Trainings."""
    return join(tag("h2", None, "Trainings"), trainings.draw(list(told.trainings), asked.model, datetime.now(UTC)))


def _rates(site: Site, asked: Asked) -> Feed[mesh_pb2.ListRatesResponse]:
    def ask() -> mesh_pb2.ListRatesRequest:
        step_s = _STEPS_S[asked.span]
        request = mesh_pb2.ListRatesRequest(
            model=asked.model, from_time=Timestamp(seconds=int(time.time() - asked.seconds) // step_s * step_s)
        )
        request.step.FromSeconds(step_s)
        return request

    def source() -> AsyncIterator[mesh_pb2.ListRatesResponse]:
        return polled(lambda: site.remote.mesh.ListRates(ask()), _RATES_S[asked.span])

    return site.feed(f"rates of {asked.span} of {asked.model}", lambda: Feed(source))


def _learnt(site: Site) -> Feed[Learnt]:
    async def fetch() -> Learnt:
        heads = await site.remote.regions.ListRegionHeads(region_pb2.ListRegionHeadsRequest())
        regions = await site.remote.regions.ListRegions(region_pb2.ListRegionsRequest())
        found: list[fleet_pb2.Agent] = []
        token = ""
        while True:
            told = await site.remote.fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=1000, page_token=token))
            found += (agent for agent in told.agents if any(_learns(slot) for slot in agent.slots))
            token = told.next_page_token
            if not token:
                return Learnt(heads.heads, found, regions.regions)

    return site.feed("what was learnt", lambda: Feed(lambda: polled(fetch, _LEARNT_S)))


def _learns(slot: fleet_pb2.AgentSlot) -> bool:
    return slot.reported.HasField("refined") or bool(slot.reported.unrefined)


def _lessons(site: Site) -> Feed[Lessons]:
    async def fetch() -> Lessons:
        models = await site.remote.registry.ListModels(registry_pb2.ListModelsRequest(page_size=_MODELS))
        requests = [train_pb2.SummarizeLessonsRequest(parent=one.name) for one in models.models]
        told = await asyncio.gather(*(site.remote.train.SummarizeLessons(request) for request in requests))
        return [(one.name.removeprefix("models/"), each) for one, each in zip(models.models, told, strict=True)]

    return site.feed("lessons", lambda: Feed(lambda: polled(fetch, _LESSONS_S)))


def _trainings(site: Site, asked: Asked) -> Feed[train_pb2.ListTrainingsResponse]:
    request = train_pb2.ListTrainingsRequest(parent=f"models/{asked.model or '-'}", page_size=_TRAININGS)
    return site.feed(
        f"trainings of {asked.model}",
        lambda: Feed(lambda: polled(lambda: site.remote.train.ListTrainings(request), _TRAININGS_S)),
    )
