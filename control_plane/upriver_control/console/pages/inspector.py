"""One question: who answered it and why, all its spans on one axis, its input, what came of it, and asking it again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from fastapi import Request
from nicegui import ui
from starlette.responses import RedirectResponse, Response

from upriver.errors import UpriverError
from upriver.v1 import question_pb2 as pb
from upriver.v1 import registry_pb2
from upriver_control.console import span_store, units, words
from upriver_control.console.drawing import about, afterwards, again, given, hops, verdict, waterfall
from upriver_control.console.drawing.again import Answer
from upriver_control.console.drawing.question_list import address
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed
from upriver_control.console.ladder import USUAL, in_order
from upriver_control.console.site import Frame, Part, Site

_YOUNG_S: Final = 120.0
_LOOK_S: Final = (2.0, 15.0)
"""How often a trace is looked at again: while spans of it may still come, and later, when only what comes of it may."""
_VERSIONS: Final = 6
_LISTED: Final = 200
_INPUT_S: Final = 30.0
_AGAIN_S: Final = 120.0
_ANSWERS: Final = 10
"""Answers of asking again that stay on the page, the newest: each may have large outputs, and all are drawn anew."""


def add(site: Site) -> None:
    """Registers `/questions/{trace}`; the trace may be a question's id, or `last`."""

    @site.page("/questions/{trace}")
    async def inspector(trace: str, request: Request) -> Response | None:
        try:
            told = await site.remote.questions.GetTrace(pb.GetTraceRequest(trace=trace))
        except UpriverError as error:
            _not_there(site, str(error))
            return None
        row = row_of(request.query_params.get("row", ""))
        if told.question.trace and told.question.trace != trace:
            return RedirectResponse(address(told.question.trace) + (f"?row={row}" if row else ""))
        with site.frame(f"Question {told.question.trace[:8]}", "/questions") as frame:
            await _Inspector(site, frame, told, row).open()
        return None


def row_of(asked: str) -> int:
    """The row that an address asks for; the first where that is no number that a row has."""
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 9 else 0


def _not_there(site: Site, problem: str) -> None:
    with site.frame("Question", "/questions") as frame:
        then = "Its spans may still be on their way, may have gone by age, or none were kept."
        frame.part(
            join(words.problem(problem, then), tag("p", None, tag("a", {"href": "/questions"}, "All questions")))
        )


class _Inspector:
    """One browser's look at one question."""

    def __init__(self, site: Site, frame: Frame, told: pb.GetTraceResponse, row: int) -> None:
        self._site, self._frame, self._told, self._row = site, frame, told, row
        self._kept = pb.GetQuestionInputResponse()
        self._versions: dict[str, str] = {}
        self._answers: dict[int, Answer] = {}
        self._asked = 0
        self._parts: dict[str, Part] = {}
        self._buttons: list[ui.button] = []

    async def open(self) -> None:
        """Draws what is known, then what comes."""
        versions = await self._published()
        self._versions = {version.digest: version.name.rpartition("/")[2] for version in versions}
        part = self._frame.part
        self._parts = {
            "verdict": part(classes="card"),
            "store": part(),
            "unknown": part(),
            "waterfall": part(classes="card"),
            "hops": part(),
        }
        with ui.element("div").classes("columns"):
            self._parts["input"] = part(_titled("Input", tag("p", {"class": "quiet"}, "Looking for it …")), "card")
            self._again(versions)
        self._parts["afterwards"] = part()
        self._show(self._told)
        self._frame.later(self._input())
        await self._frame.live(Feed(self._looks), self._show, first=False)
        store = span_store.feed(self._site)
        await self._frame.live(store, lambda told: self._parts["store"].set(about.missing(told)), first=False)

    def _show(self, told: pb.GetTraceResponse) -> None:
        self._told = told
        ladder = in_order({*USUAL, *(hop.tier for hop in told.hops if hop.tier)})
        self._parts["verdict"].set(verdict.draw(told, ladder))
        self._parts["unknown"].set(afterwards.unknown(told))
        title = tag("h2", None, "Where the time went")
        self._parts["waterfall"].set(join(title, waterfall.draw(told.spans, ladder)))
        self._parts["hops"].set(hops.draw(told.hops, ladder, self._versions))
        self._parts["afterwards"].set(afterwards.draw(told))

    async def _looks(self) -> AsyncIterator[pb.GetTraceResponse]:
        """The trace again and again: at first its spans still come, later what comes of it."""
        while True:
            age_s = (datetime.now(UTC) - units.moment(self._told.question.time)).total_seconds()
            await asyncio.sleep(_LOOK_S[0] if age_s < _YOUNG_S else _LOOK_S[1])
            yield await self._site.remote.questions.GetTrace(pb.GetTraceRequest(trace=self._told.question.trace))

    async def _published(self) -> list[registry_pb2.Version]:
        """The model's versions, newest first; none where it has none here."""
        model = self._told.question.model
        request = registry_pb2.ListVersionsRequest(parent=f"models/{model}", page_size=_LISTED)
        try:
            return list((await self._site.remote.registry.ListVersions(request)).versions) if model else []
        except UpriverError:  # agents may serve what was never published
            return []

    async def _input(self) -> None:
        question = self._told.question
        request = pb.GetQuestionInputRequest(trace=question.trace, row=self._row)
        try:
            told = await self._site.remote.questions.GetQuestionInput(request, timeout_s=_INPUT_S)
        except UpriverError as error:
            told = pb.GetQuestionInputResponse(unavailable=str(error))
        self._kept = told
        self._parts["input"].set(_titled("Input", given.draw(told, self._row, question.rows, address(question.trace))))
        for button in self._buttons:
            button.set_enabled(not told.unavailable)
        if told.unavailable:
            self._parts["again"].set(tag("p", None, "Nobody can be asked without its input."))

    def _again(self, versions: list[registry_pb2.Version]) -> None:
        """The buttons, and where the answers stand."""
        with ui.element("section").classes("card again").props('aria-labelledby="again"'):
            ui.html(
                join(
                    tag("h2", {"id": "again"}, "Ask again"),
                    tag("p", {"class": "quiet"}, "The same input, to whom you choose; nothing is learnt from it."),
                ),
                sanitize=False,
            )  # fmt: skip
            with ui.element("div").classes("actions"):
                for version in versions[:_VERSIONS]:
                    name = version.name.rpartition("/")[2]
                    self._button(f"Version {name}", version=version.name)
                for tier in in_order({hop.tier for hop in self._told.hops if hop.tier} | {*USUAL}):
                    self._button(f"Tier {tier}", tier=tier)
            self._parts["again"] = self._frame.part()

    def _button(self, word: str, version: str = "", tier: str = "") -> None:
        async def ask() -> None:
            await self._ask(word, version, tier)

        button = ui.button(word, on_click=ask, color=None).props("no-caps unelevated :ripple=false")
        button.set_enabled(False)
        self._buttons.append(button)

    async def _ask(self, word: str, version: str, tier: str) -> None:
        if any(one.whom == word and one.told is None and not one.problem for one in self._answers.values()):
            return  # pressed twice it asks once; a button that is disabled meanwhile would lose the focus
        self._asked += 1
        number = self._asked
        self._answered(number, Answer(word))
        request = pb.AskAgainRequest(trace=self._told.question.trace, row=self._row)
        if version:
            request.version = version
        else:
            request.tier = tier
        try:
            told = await self._site.remote.questions.AskAgain(request, timeout_s=_AGAIN_S)
        except UpriverError as error:
            self._answered(number, Answer(word, problem=str(error)))
        else:
            self._answered(number, Answer(word, told))

    def _answered(self, number: int, answer: Answer) -> None:
        self._answers[number] = answer
        self._answers = {number: self._answers[number] for number in sorted(self._answers)[-_ANSWERS:]}
        self._parts["again"].set(again.draw(self._told.question, self._kept, list(self._answers.values())))


def _titled(title: str, content: Markup) -> Markup:
    return join(tag("h2", None, title), content)
