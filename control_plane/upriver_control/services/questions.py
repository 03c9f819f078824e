"""QuestionService: operators look at questions, their traces and the store that both are in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from upriver.errors import InvalidInput, NotSupported
from upriver.v1 import question_pb2 as pb
from upriver_control.calling.asked import Again, Inputs
from upriver_control.services.question_wire import read_filter, read_place, write_place, write_question, write_summary
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.services.span_standing import SpanStanding
from upriver_control.services.trace_views import TraceViews
from upriver_control.spans.filters import Filter
from upriver_control.spans.following import Following
from upriver_control.spans.histogram import summarize
from upriver_control.spans.looking import MAX_PAGE, Page, Place
from upriver_control.spans.news import News

DEFAULT_PAGE: Final = 100


class QuestionServicer:
    """Serves operators. Without `inputs` and `again` what they are for is not supported."""

    def __init__(
        self,
        views: TraceViews,
        following: Following,
        standing: SpanStanding,
        inputs: Inputs | None = None,
        again: Again | None = None,
    ) -> None:
        self._views = views
        self._store = views.store
        self._following = following
        self._standing = standing
        self._inputs = inputs
        self._again = again

    @refusing
    async def list_questions(self, request: pb.ListQuestionsRequest, context: Context) -> pb.ListQuestionsResponse:
        """Lists questions, newest first."""
        if request.page_size < 0:
            raise InvalidInput(f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}")
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        wanted, after = read_filter(request.filter), read_place(request.page_token, request.filter)
        page, messages = await asyncio.to_thread(self._page, wanted, after, size)
        return pb.ListQuestionsResponse(questions=messages, next_page_token=write_place(page.after, request.filter))

    @refusing_stream
    async def watch_questions(
        self, request: pb.WatchQuestionsRequest, context: Context
    ) -> AsyncIterator[pb.WatchQuestionsResponse]:
        """Sends questions as they come."""
        async with aclosing(self._following.follow(read_filter(request.filter))) as followed:
            async for news in followed:
                yield self._written(news)

    @refusing
    async def summarize_questions(
        self, request: pb.SummarizeQuestionsRequest, context: Context
    ) -> pb.SummarizeQuestionsResponse:
        """Figures over questions."""
        figures = await asyncio.to_thread(self._store.summary, read_filter(request.filter))
        return write_summary(summarize(figures.groups), figures.from_ns, figures.until_ns, figures.truncated)

    @refusing
    async def get_trace(self, request: pb.GetTraceRequest, context: Context) -> pb.GetTraceResponse:
        """Everything that is known of a question."""
        return await asyncio.to_thread(self._views.get, request)

    @refusing
    async def get_question_input(
        self, request: pb.GetQuestionInputRequest, context: Context
    ) -> pb.GetQuestionInputResponse:
        """What was asked."""
        if self._inputs is None:
            raise NotSupported("this control plane does not look for inputs")
        if request.row < 0:
            raise InvalidInput(f"row is {request.row}; expected 0 or more")
        asked = await asyncio.to_thread(self._views.asked, request.trace)
        return await self._inputs.find(asked, request.row)

    @refusing
    async def ask_again(self, request: pb.AskAgainRequest, context: Context) -> pb.AskAgainResponse:
        """Asks again."""
        if self._again is None:
            raise NotSupported("this control plane does not ask questions")
        if request.row < 0 or request.WhichOneof("whom") is None:
            raise InvalidInput(f"row is {request.row}: expected 0 or more; and a version, tier or agent to ask")
        asked = await asyncio.to_thread(self._views.asked, request.trace)
        return await self._again.ask(asked, request)

    @refusing
    async def get_span_store(self, request: pb.GetSpanStoreRequest, context: Context) -> pb.GetSpanStoreResponse:
        """How the store is."""
        return await self._standing.get()

    def _page(self, wanted: Filter, after: Place | None, size: int) -> tuple[Page, list[pb.Question]]:
        page = self._store.questions(wanted, after, size)
        thresholds = self._store.thresholds(page.questions)
        return page, [write_question(row, thresholds) for row in page.questions]

    def _written(self, news: News) -> pb.WatchQuestionsResponse:
        known = {(row.trace, row.answered_by): self._following.threshold(row) for row in news.questions}
        thresholds = {key: threshold for key, threshold in known.items() if threshold is not None}
        return pb.WatchQuestionsResponse(
            questions=[write_question(row, thresholds) for row in news.questions], skipped=news.skipped
        )
