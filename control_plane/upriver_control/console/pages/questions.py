"""The list of questions: live, filtered by its address, with figures of how long they took and who answered."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from upriver.errors import UpriverError
from upriver.v1 import question_pb2 as pb
from upriver_control.console import span_store, words
from upriver_control.console.asked import PATH, Asked, merged, read, within
from upriver_control.console.drawing import about, question_figures, question_form, question_list
from upriver_control.console.drawing.question_form import Known
from upriver_control.console.drawing.svg import join
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.ladder import USUAL, in_order
from upriver_control.console.site import Frame, Site

SHOWN: Final = 50
_KNOWN: Final = 300
_FIGURES_S: Final = 3.0
_FULLER_S: Final = 2.0


def add(site: Site) -> None:
    """Registers `/` and `/questions`."""

    @site.page("/")
    def start() -> Response:
        return RedirectResponse(PATH)

    @site.page(PATH)
    async def questions(request: Request) -> Response | None:
        asked = read(request.query_params.multi_items())
        if is_trace(asked.q):
            return RedirectResponse(question_list.address(asked.q))
        with site.frame("Questions", PATH) as frame:
            await _Page(site, asked, frame).open()
        return None


def is_trace(searched: str) -> bool:
    """Whether a search names one trace, whose page is shown at once."""
    return len(searched) == 32 and all(letter in "0123456789abcdef" for letter in searched)


class _Page:
    """One browser's list."""

    def __init__(self, site: Site, asked: Asked, frame: Frame) -> None:
        self._site, self._asked, self._frame = site, asked, frame
        self._questions: list[pb.Question] = []
        self._ladder = list(USUAL)
        self._form = frame.part(classes="card")
        self._missing = frame.part()
        self._figures = frame.part()
        self._list = frame.part(classes="card")

    async def open(self) -> None:
        """Draws what is known, then what comes."""
        known, page = await asyncio.gather(self._known(), self._newest())
        self._ladder = in_order({*USUAL, *known.tiers})
        self._form.set(join(question_form.draw(self._asked, known), question_form.chosen(self._asked)))
        self._shown(page)
        remote = self._site.remote.questions
        summary = pb.SummarizeQuestionsRequest
        figures = Feed(lambda: polled(lambda: remote.SummarizeQuestions(summary(filter=self._filter())), _FIGURES_S))
        store = span_store.feed(self._site)
        waiting = [
            self._frame.live(store, lambda told: self._missing.set(about.missing(told)), first=False),
            self._frame.live(
                figures, lambda told: self._figures.set(question_figures.draw(told, self._asked, self._ladder))
            ),
        ]
        if self._asked.live:
            # The service paces what comes itself.
            waiting.append(self._frame.live(Feed(self._news, merge=_both, pace_s=0), self._came, first=False))
            waiting.append(self._frame.live(Feed(lambda: polled(self._fuller, _FULLER_S)), self._came, first=False))
        await asyncio.gather(*waiting)

    def _filter(self) -> pb.QuestionFilter:
        return self._asked.filter(datetime.now(UTC))

    async def _known(self) -> Known:
        """What the fields suggest: what the newest questions have."""
        try:
            told = await self._site.remote.questions.ListQuestions(pb.ListQuestionsRequest(page_size=_KNOWN))
        except UpriverError:  # the list says it
            return Known(tiers=USUAL)
        tiers = {one.tier for one in told.questions} | {one.answered_tier for one in told.questions} | {*USUAL}
        return Known(
            sorted({one.model for one in told.questions}),
            sorted({one.version for one in told.questions if one.version}),
            sorted({one.agent for one in told.questions} | {one.answered_by for one in told.questions} - {""}),
            in_order(tiers - {""}),
            sorted({one.region for one in told.questions if one.region}),
        )

    async def _newest(self) -> pb.ListQuestionsResponse | UpriverError:
        request = pb.ListQuestionsRequest(filter=self._filter(), page_size=SHOWN)
        try:
            return await self._site.remote.questions.ListQuestions(request)  # type: ignore[no-any-return]  # a stub
        except UpriverError as error:
            return error

    async def _news(self) -> AsyncIterator[pb.WatchQuestionsResponse]:
        """What comes; first what came while nobody followed."""
        page = await self._newest()
        if isinstance(page, UpriverError):
            raise page
        yield pb.WatchQuestionsResponse(questions=page.questions)
        async for news in self._site.remote.questions.WatchQuestions(pb.WatchQuestionsRequest(filter=self._filter())):
            yield news

    async def _fuller(self) -> pb.WatchQuestionsResponse:
        """What is shown, anew, where something of it was not told yet: agents above send their spans in their time."""
        if all(one.HasField("threshold") or not one.HasField("score") for one in self._questions):
            return pb.WatchQuestionsResponse()
        page = await self._newest()
        if isinstance(page, UpriverError):
            raise page
        return pb.WatchQuestionsResponse(questions=page.questions)

    def _came(self, news: pb.WatchQuestionsResponse) -> None:
        self._questions = within(merged(self._questions, news.questions, SHOWN), self._filter())
        self._draw(older=len(self._questions) == SHOWN)

    def _shown(self, page: pb.ListQuestionsResponse | UpriverError) -> None:
        if isinstance(page, UpriverError):
            self._list.set(words.problem(str(page)))
            return
        self._questions = list(page.questions)
        self._draw(older=bool(page.next_page_token))

    def _draw(self, older: bool) -> None:
        self._list.set(question_list.listed(self._questions, self._asked, self._ladder, older))


def _both(old: pb.WatchQuestionsResponse, new: pb.WatchQuestionsResponse) -> pb.WatchQuestionsResponse:
    return pb.WatchQuestionsResponse(questions=merged(old.questions, new.questions, SHOWN))
