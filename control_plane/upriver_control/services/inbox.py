"""InboxService: what waits for a person anywhere, and operators' answers to it."""

from typing import Final

from upriver.errors import InvalidInput
from upriver.v1 import inbox_pb2 as pb
from upriver_control.calling.inbox import Inbox, read_place, write_place
from upriver_control.services.refusals import Context, refusing

DEFAULT_PAGE: Final = 20
MAX_PAGE: Final = 100
_MAX_NAME: Final = 300


class InboxServicer:
    """Serves operators."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    @refusing
    async def list_open_tickets(
        self, request: pb.ListOpenTicketsRequest, context: Context
    ) -> pb.ListOpenTicketsResponse:
        """Lists what waits."""
        if request.page_size < 0:
            raise InvalidInput(f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}")
        page = await self._inbox.page(
            request.model,
            min(request.page_size or DEFAULT_PAGE, MAX_PAGE),
            read_place(request.page_token),
            request.include_input,
        )
        return pb.ListOpenTicketsResponse(
            tickets=page.tickets,
            next_page_token=write_place(page.after),
            unreachable=page.unreachable,
            reported=page.reported,
        )

    @refusing
    async def answer_open_ticket(
        self, request: pb.AnswerOpenTicketRequest, context: Context
    ) -> pb.AnswerOpenTicketResponse:
        """A person answers."""
        problems = [
            f"{field} has {len(getattr(request, field))} characters; expected 1 to {_MAX_NAME}"
            for field in ("agent", "name", "label")
            if not 0 < len(getattr(request, field)) <= _MAX_NAME
        ]
        if problems:
            raise InvalidInput("; ".join(problems))
        return pb.AnswerOpenTicketResponse(ticket=await self._inbox.answer(request.agent, request.name, request.label))
